"""How a version ends: no new requests, those inside finish, then its memory is given back."""

import asyncio
import logging

from modelserver.engine import LoadedModel
from modelserver.models.catalogue import Catalogue
from modelserver.models.loader import Loader
from modelserver.models.model import State, Version
from modelserver.telemetry.series import VersionSeries

LOG = logging.getLogger(__name__)


class Retirement:
    """Ends versions, and loaded models that were replaced; each in a task of its own."""

    def __init__(self, catalogue: Catalogue, loader: Loader, series: VersionSeries) -> None:
        self._catalogue = catalogue
        self._loader = loader
        self._series = series
        self._tasks: set[asyncio.Task[None]] = set()

    def retire(self, version: Version) -> None:
        """No new requests from now on; those inside finish."""
        old, version.loaded, version.recipe, version.fault = version.serving, None, None, None
        version.state = State.UNLOADING
        self._series.retires(version.labels)
        self._catalogue.changes += 1
        self._catalogue.notify()
        self._begin(old, version.model, version)

    def replaced(self, old: LoadedModel, model: str) -> None:
        """Its version goes on with another one."""
        self._begin(old, model, None)

    def _begin(self, old: LoadedModel, model: str, version: Version | None) -> None:
        self._catalogue.draining[old] = model
        task = asyncio.get_running_loop().create_task(self._finish(old, version))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, old: LoadedModel, version: Version | None) -> None:
        await old.drained()
        del self._catalogue.draining[old]
        await self._loader.close(old)
        if version is not None and version.state is State.UNLOADING:
            version.state = State.END
            if self._is_current(version):
                self._series.ended(version.labels)
            self._catalogue.notify()
            LOG.info("model %s version %d is retired", version.model, version.number)

    def _is_current(self, version: Version) -> bool:
        """False when a model of the same name has come back meanwhile, with metrics of its own."""
        model = self._catalogue.models.get(version.model)
        return model is None or model.versions.get(version.number, version) is version
