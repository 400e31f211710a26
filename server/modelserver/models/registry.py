"""Models and their versions: what is wanted, what is served, and the way from one to the other.

`converge` is level-triggered: it looks at the configuration and the files, loads what is missing
next to what is served, swaps, and only then retires the rest. Nothing is torn down before its
replacement has answered a real inference, and whatever fails leaves the old one in place.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from modelserver.engine import LoadedModel
from modelserver.errors import ConfigError, LoadFailed, NotFound, NotReady
from modelserver.models.loader import Loader
from modelserver.models.model import Model, Version, is_backing_off
from modelserver.models.repository import Storage, VersionFiles
from modelserver.settings.config_file import Configuration, ModelSettings
from modelserver.tuning.machine import Machine
from modelserver.tuning.plan import Neighbours, Plan, count_neighbours, plan

T = TypeVar("T")
LOG = logging.getLogger(__name__)
SETTLE_SECONDS = 0.3
"""Files that change within this time are still being copied."""
MAX_BACKOFF_SECONDS = 60.0


class Registry:
    """All models. Only the converging task changes it; everything runs on the event loop."""

    def __init__(
        self, storage: Storage, loader: Loader, machine: Callable[[], Machine], exclusive: int | None
    ) -> None:
        self.models: dict[str, Model] = {}
        self.revision: str | None = None
        self.changes = 0
        """Versions that were loaded or retired so far."""
        self._storage = storage
        self._loader = loader
        self._machine = machine
        self._exclusive = exclusive
        self._threads = ThreadPoolExecutor(1, "load")
        self._retiring: set[asyncio.Task[None]] = set()

    def find(self, name: str, number: int | None) -> Version:
        """The version that answers; raises NotFound or NotReady in OVMS's words."""
        model = self._known(name)
        if number is None or model.is_unloaded:
            if (newest := model.newest) is not None:
                return newest
            raise NotReady(f"Model {name} has no version that is served: {model.error or 'still loading'}")
        version = model.versions.get(number)
        if version is None:
            raise NotFound("Model with requested version is not found")
        if version.state == "END":
            raise NotFound("Model with requested version is retired")
        if version.loaded is None:
            raise NotReady("Model with requested version is not loaded yet")
        return version

    def states(self, name: str, number: int | None) -> list[Version]:
        """All versions of a model, or one, whatever their state; raises NotFound in OVMS's words."""
        model = self._known(name)
        if number is None:
            return [version for _, version in sorted(model.versions.items())]
        if number not in model.versions:
            raise NotFound("Model with requested version is not found")
        return [model.versions[number]]

    def _known(self, name: str) -> Model:
        model = self.models.get(name)
        if model is None:
            raise NotFound("Model with requested name is not found")
        return model

    def served(self, name: str) -> list[int]:
        """The versions of a model that answer."""
        return self.models[name].available

    async def apply(self, configuration: Configuration) -> None:
        """Make the configuration's models the wanted ones and go there."""
        self._loader.follow(configuration.limits, self._all_loaded())
        wanted = {settings.name: settings for settings in configuration.models}
        for name in self.models.keys() - wanted.keys():
            self._retire_model(self.models.pop(name))
        for name, settings in wanted.items():
            model = self.models.setdefault(name, Model(settings))
            if model.settings != settings:
                model.settings, model.is_unloaded = settings, False
        await self.converge(configuration.revision, settle=False)
        self.revision = configuration.revision

    async def converge(self, revision: str | None, *, settle: bool = True, scan: bool = True) -> None:
        """One pass: look at the files, load, swap, retire. `settle` waits for half-copied files."""
        if scan:
            await self._scan(settle=settle)
        neighbours = self._neighbours()
        for model in list(self.models.values()):
            await self._converge_model(model, neighbours)
            if model.error is None:
                model.revision = revision

    async def load(self, name: str) -> None:
        """Serve a configured model, again or as its files are now; LoadFailed tells what is wrong with it."""
        model = self._known(name)
        model.is_unloaded = False
        model.forgive()
        model.files = await self._look(model)
        await self.converge(self.revision, scan=False)
        if model.error is not None:
            raise LoadFailed(f"Model {name} cannot be loaded: {model.error}")

    async def unload(self, name: str) -> None:
        """Serve a model no longer; what is inside finishes."""
        model = self._known(name)
        model.is_unloaded = True
        self._retire_model(model)
        await self.converge(self.revision, scan=False)

    def failures(self) -> list[str]:
        """What is wanted and cannot be loaded, and why."""
        return [f"model {name} {text}" for name, model in self.models.items() for text in model.failures()]

    def is_retry_due(self) -> bool:
        """Whether a version that could not be loaded may be tried again now."""
        versions = [version for model in self.models.values() for version in model.versions.values()]
        return any(
            version.error and version.is_wanted and time.monotonic() >= version.retry_at
            for version in versions
        )

    def close(self) -> None:
        """Load nothing more; what was served stays valid until the process ends."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _scan(self, *, settle: bool) -> None:
        for model in self.models.values():
            found = await self._look(model)
            if settle and found != model.files:
                await asyncio.sleep(SETTLE_SECONDS)
                found = _settled(found, await self._look(model), model.files)
            model.files = found

    async def _look(self, model: Model) -> dict[int, VersionFiles]:
        try:
            found = await self._in_thread(self._storage.scan, model.settings.base_path)
        except LoadFailed as error:
            self._note_scan(model, str(error))
            model.is_unreadable = True
            return model.files
        model.is_unreadable = False
        base = model.settings.base_path
        self._note_scan(model, None if found else f"No version found for model in path: {base}")
        return found

    def _note_scan(self, model: Model, error: str | None) -> None:
        if error not in (None, model.scan_error):
            LOG.error("model %s: %s", model.settings.name, error)
        model.scan_error = error

    async def _in_thread(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    def _neighbours(self) -> Neighbours:
        """Everything that will be loaded when this pass is through."""
        loads = [(model.settings.wish, len(model.select(model.files))) for model in self.models.values()]
        return count_neighbours(loads, self._exclusive)

    async def _converge_model(self, model: Model, neighbours: Neighbours) -> None:
        wanted = model.select(model.files)
        for number in wanted - model.versions.keys():
            model.versions[number] = Version(model.settings.name, number)
        for number, version in model.versions.items():
            version.is_wanted = number in wanted
        serving = await self._bring_up(model, neighbours)
        for number, version in model.versions.items():
            if number not in serving and version.loaded is not None:
                self._retire(version)
            elif not version.is_wanted and version.loaded is None and version.state != "UNLOADING":
                version.state, version.error = "END", None
        model.error = model.why_not_as_wanted()

    async def _bring_up(self, model: Model, neighbours: Neighbours) -> set[int]:
        """Load what the policy selects; without those that fail it selects again from the others."""
        failed: set[int] = set()
        while True:
            chosen = model.select(model.files.keys() - failed)
            broken = set()
            for number in sorted(chosen):
                version = model.versions.setdefault(number, Version(model.settings.name, number))
                if not await self._bring_up_version(model, version, neighbours):
                    broken.add(number)
            if not broken:
                return chosen
            failed |= broken

    async def _bring_up_version(self, model: Model, version: Version, neighbours: Neighbours) -> bool:
        """True when the version answers afterwards, be it with its old content."""
        files = model.files[version.number]
        try:
            model.settings.shaping.check()
            wanted = plan(model.settings.wish, self._machine(), neighbours)
        except (ConfigError, TypeError, ValueError) as error:
            return self._note_failure(version, str(error), str(error))
        key = (files.fingerprint, model.settings.shaping, wanted)
        if version.loaded is not None and version.key == key:
            # Only its reasons and warnings may be new.
            version.plan, version.error, version.failures = wanted, None, 0
            return True
        if is_backing_off(version, key):
            return version.loaded is not None
        return await self._load(version, files, model.settings, (wanted, key))

    async def _load(
        self, version: Version, files: VersionFiles, settings: ModelSettings, aim: tuple[Plan, object]
    ) -> bool:
        wanted, key = aim
        old = version.loaded
        if old is None:
            version.state = "LOADING"
        try:
            new = await self._in_thread(
                partial(self._loader.load, files, settings, wanted, beside_others=self._serves_anything())
            )
        except LoadFailed as error:
            return self._note_failure(version, key, str(error))
        except Exception as error:
            LOG.exception("loading failed in a way nobody foresaw")
            return self._note_failure(version, key, repr(error))
        version.loaded, version.key, version.plan = new, key, wanted
        version.state, version.error, version.failures = "AVAILABLE", None, 0
        self.changes += 1
        self._loader.announce(version)
        if old is not None:
            self._let_go(old)
        return True

    def _all_loaded(self) -> list[LoadedModel]:
        versions = [version for model in self.models.values() for version in model.versions.values()]
        return [version.loaded for version in versions if version.loaded is not None]

    def _serves_anything(self) -> bool:
        return any(model.available for model in self.models.values())

    def _note_failure(self, version: Version, key: object, reason: str) -> bool:
        """Keep what is served; try again when something changes, or later and later."""
        if is_backing_off(version, key):
            return version.loaded is not None
        version.failures = version.failures + 1 if version.failed_key == key else 1
        version.failed_key = key
        version.retry_at = time.monotonic() + min(MAX_BACKOFF_SECONDS, 2.0**version.failures / 2)
        if version.loaded is None:
            version.state = "LOADING"
        version.error = reason
        LOG.error("model %s version %d cannot be loaded: %s", version.model, version.number, reason)
        self._loader.count_failure(version)
        return version.loaded is not None

    def _retire_model(self, model: Model) -> None:
        for version in model.versions.values():
            if version.loaded is not None:
                self._retire(version)

    def _retire(self, version: Version) -> None:
        """No new requests from now on; those inside finish."""
        old, version.loaded, version.key = version.serving, None, None
        version.state = "UNLOADING"
        self.changes += 1
        self._loader.retire(version)
        self._let_go(old, version)

    def _let_go(self, old: LoadedModel, version: Version | None = None) -> None:
        task = asyncio.get_running_loop().create_task(self._finish(old, version))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _finish(self, old: LoadedModel, version: Version | None) -> None:
        await old.drained()
        await self._in_thread(old.close)
        if version is not None and version.state == "UNLOADING":
            version.state = "END"
            if self._is_current(version):
                self._loader.forget(version)
            LOG.info("model %s version %d is retired", version.model, version.number)

    def _is_current(self, version: Version) -> bool:
        """False when a model of the same name has come back meanwhile, with metrics of its own."""
        model = self.models.get(version.model)
        return model is None or model.versions.get(version.number, version) is version


def _settled(
    first: Mapping[int, VersionFiles], second: Mapping[int, VersionFiles], known: Mapping[int, VersionFiles]
) -> dict[int, VersionFiles]:
    """What did not change between two looks; what did stays as it was known, for the next pass."""
    settled = {number: files for number, files in second.items() if first.get(number) == files}
    return {number: known[number] for number in second.keys() & known.keys()} | settled
