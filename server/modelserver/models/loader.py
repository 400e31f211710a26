"""Loads one version, in the loading thread: room first, then the engine."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from modelserver.admission import LiveLimits
from modelserver.engine import Devices, LoadedModel, Source, load
from modelserver.engine.names import read_names
from modelserver.errors import LoadFailed, NoMemoryForSwap
from modelserver.models.model import Recipe
from modelserver.models.repository import VersionFiles

GROWTH = 2.4
"""Peak of loading over the files' size: OpenVINO holds the weights as read and as it packs them.
Measured 2.2 for FP32 and 2.4 for FP16 weights, memory-mapped or not."""
FIXED_BYTES = 48 << 20
PROGRESS_SECONDS = 10.0
"""How often the log says that a model is still being loaded."""
_POINTER = b"version https://git-lfs.github.com/spec/"
_POINTER_BYTES = 1024
"""A pointer of Git LFS is smaller."""
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loading:
    """A model that was loaded, and how long that took."""

    model: LoadedModel
    seconds: float


class Loader:
    """Turns files into a model that answers."""

    def __init__(
        self, devices: Devices, limits: LiveLimits, free: Callable[[], int | None], thread: Executor
    ) -> None:
        """`free` gives the bytes of memory that the process may still take; None means no limit."""
        self._devices = devices
        self._limits = limits
        self._free = free
        self._thread = thread

    async def load(self, recipe: Recipe, *, beside_others: bool) -> Loading:
        """A model that has answered once; raises LoadFailed. `beside_others`: what is served must stay."""
        job = partial(self._load, recipe, beside_others=beside_others)
        started, work = time.monotonic(), asyncio.get_running_loop().run_in_executor(self._thread, job)
        try:
            while not (await asyncio.wait({work}, timeout=PROGRESS_SECONDS))[0]:
                LOG.info("still loading %s, %d s so far", recipe.files.model, time.monotonic() - started)
            return work.result()
        finally:
            work.cancel()

    async def close(self, model: LoadedModel) -> None:
        """Give its memory back."""
        await asyncio.get_running_loop().run_in_executor(self._thread, model.close)

    def _load(self, recipe: Recipe, *, beside_others: bool) -> Loading:
        files = recipe.files
        _require_content(files)
        if beside_others:
            self._require_room(files)
        started = time.perf_counter()
        source = Source(files.model, recipe.shaping, recipe.plan, read_names(files.mapping))
        loaded = load(self._devices, source, self._limits)
        return Loading(loaded, time.perf_counter() - started)

    def _require_room(self, files: VersionFiles) -> None:
        """Rather keep what is served than be killed half-way to the new.

        The error has no figure of the moment: it is the same for each attempt that fails in the same way.
        """
        free, need = self._free(), int(files.size * GROWTH) + FIXED_BYTES
        if free is not None and free < need:
            raise NoMemoryForSwap(
                f"NoMemoryForSwap: loading needs about {need >> 20} MiB next to what is served, more than "
                "the memory limit leaves; raise the limit or replace the process"
            )


def _require_content(files: VersionFiles) -> None:
    """Raise LoadFailed for what readers of models only call broken: no right to read, a pointer to a file."""
    if files.fault is not None:
        raise LoadFailed(files.fault)
    for name, size, _, _ in files.fingerprint:
        try:
            with Path(name).open("rb") as file:
                is_pointer = size < _POINTER_BYTES and file.read(len(_POINTER)) == _POINTER
        except OSError as error:
            raise LoadFailed(f"{name} cannot be read: {error.strerror or error}") from error
        if is_pointer:
            raise LoadFailed(
                f"{name} is a Git LFS pointer, not the file: run `git lfs pull` in the repository"
            )
