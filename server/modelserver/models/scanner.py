"""Looks which versions of the models lie on disk, in the loading thread."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor

from modelserver.errors import LoadFailed
from modelserver.models.model import Model
from modelserver.models.repository import Storage, VersionFiles

LOG = logging.getLogger(__name__)
SETTLE_SECONDS = 0.3
"""Files that change within this time are still being copied."""


class Scanner:
    """Keeps the models' `files` as they are on disk."""

    def __init__(self, storage: Storage, thread: Executor) -> None:
        self._storage = storage
        self._thread = thread

    async def scan(self, models: Iterable[Model], *, settle: bool) -> None:
        """All of them; `settle` leaves half-copied files for the next time."""
        for model in models:
            found = await self._look(model)
            if settle and found != model.files:
                await asyncio.sleep(SETTLE_SECONDS)
                found = _settled(found, await self._look(model), model.files)
            model.files = found

    async def _look(self, model: Model) -> dict[int, VersionFiles]:
        base = model.settings.base_path
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._thread, self._storage.scan, base)
        except LoadFailed as error:
            _note(model, str(error))
            model.is_unreadable = True
            return model.files
        model.is_unreadable = False
        _note(model, None if found else f"No version found for model in path: {base}")
        if not found and model.scanned != base:
            return model.files  # a new path that is still empty deletes nothing
        model.scanned = base
        return found


def _note(model: Model, error: str | None) -> None:
    if error not in (None, model.scan_error):
        LOG.error("model %s: %s", model.settings.name, error)
    model.scan_error = error


def _settled(
    first: Mapping[int, VersionFiles], second: Mapping[int, VersionFiles], known: Mapping[int, VersionFiles]
) -> dict[int, VersionFiles]:
    """What did not change between two looks; what did stays as it was known, for the next pass."""
    settled = {number: files for number, files in second.items() if first.get(number) == files}
    return {number: known[number] for number in second.keys() & known.keys()} | settled
