"""Looks which versions of the models lie on disk, in the loading thread."""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor

from modelserver.errors import LoadFailed
from modelserver.models.model import Model
from modelserver.models.repository import Storage, VersionFiles

LOG = logging.getLogger(__name__)
SETTLE_SECONDS = 0.3
"""Files that change within this time are still being copied."""
QUIET_SECONDS = 1.0
"""The same for files that were just written.

Who copies slowly pauses between two writes, and may have reserved the whole size before the first. Tools that
rename, or set the time of the original at the end, leave old times: their files wait no longer than others.
"""

Versions = Mapping[int, VersionFiles]


class Scanner:
    """Keeps the models' `files` as they are on disk."""

    def __init__(self, storage: Storage, thread: Executor) -> None:
        self._storage = storage
        self._thread = thread

    async def scan(self, models: Iterable[Model], *, settle: bool) -> None:
        """All of them; `settle` leaves half-copied files for the next time."""
        found = [(model, await self._look(model)) for model in models]
        if settle:
            new = [files for model, versions in found for files in _unknown(versions, model.files)]
            if new:
                await asyncio.sleep(_pause(new, time.time_ns()))
            found = [(model, await self._settled(model, versions)) for model, versions in found]
        for model, versions in found:
            model.files = dict(versions)

    async def _settled(self, model: Model, first: Versions) -> Versions:
        """What did not change since the first look; what did stays as it was known, for the next pass."""
        known = model.files
        if first == known:
            return known
        second = await self._look(model)
        settled = {number: files for number, files in second.items() if first.get(number) == files}
        return {number: known[number] for number in second.keys() & known.keys()} | settled

    async def _look(self, model: Model) -> Versions:
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


def _unknown(found: Versions, known: Versions) -> list[VersionFiles]:
    return [files for number, files in found.items() if known.get(number) != files]


def _pause(new: Iterable[VersionFiles], now: int) -> float:
    """Seconds until the second look; `now` in nanoseconds, by a clock that may differ from the files'."""
    ages = [(now - files.modified) / 1e9 for files in new]
    return max(SETTLE_SECONDS, *(min(QUIET_SECONDS, QUIET_SECONDS - age) for age in ages))
