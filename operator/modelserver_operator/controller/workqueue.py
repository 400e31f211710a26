"""A keyed queue: one worker at a time processes a key, and once more if it was woken meanwhile."""

import asyncio
import contextlib
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
BACK_OFF_SECONDS = 1.0
_BACK_OFF_LIMIT = 60.0
_LEAST_SECONDS = 0.1
"""Before a key that asks for it is processed again: its passes may wait for nothing, and others wait."""
_SPARE = 100
"""Outdated entries that are kept however few keys wait."""
_logger = logging.getLogger(__name__)


class WorkQueue(Generic[Key]):
    """`process` returns the seconds after which it wants the key again, or None; an error means back-off."""

    def __init__(
        self, process: Callable[[Key], Awaitable[float | None]], back_off: float = BACK_OFF_SECONDS
    ) -> None:
        """`back_off`: the seconds before a key that failed is tried again; they double with each failure."""
        self._process = process
        self._back_off = back_off
        self._dirty: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._count = itertools.count()
        self._active: dict[Key, float] = {}
        """The keys that are being processed, and since when."""
        self._failures: dict[Key, int] = {}
        self._changed = asyncio.Event()

    def wake(self, key: Key, after: float = 0.0) -> None:
        """Process the key after this time; the earliest request wins."""
        due = asyncio.get_running_loop().time() + after
        if due < self._dirty.get(key, float("inf")):
            self._dirty[key] = due
            heapq.heappush(self._heap, (due, next(self._count), key))
            self._changed.set()
            if len(self._heap) > 2 * len(self._dirty) + _SPARE:
                self._drop_outdated()

    def _drop_outdated(self) -> None:
        """A key that is woken often leaves an entry for the time of each of its later passes."""
        self._heap = [entry for entry in self._heap if self._dirty.get(entry[2]) == entry[0]]
        heapq.heapify(self._heap)

    def depth(self) -> int:
        """How many keys are waiting."""
        return len(self._dirty)

    def entries(self) -> int:
        """How many entries are remembered for them, outdated ones included."""
        return len(self._heap)

    def oldest_seconds(self) -> float:
        """How long the first of the keys that are due has waited."""
        now = asyncio.get_running_loop().time()
        return max(0.0, now - min(self._dirty.values(), default=now))

    def longest(self) -> float:
        """The seconds for which a key has been processed without an end; 0 when none is."""
        now = asyncio.get_running_loop().time()
        return max((now - begun for begun in self._active.values()), default=0.0)

    async def work(self) -> None:
        """Process keys forever; run one of these for each worker."""
        while True:
            key = await self._next()
            self._active[key] = asyncio.get_running_loop().time()
            try:
                # Neither `_next` of a key that is due nor a pass need wait for anything.
                await asyncio.sleep(0)
                await self._attempt(key)
            finally:
                self._active.pop(key, None)
                self._changed.set()

    async def _attempt(self, key: Key) -> None:
        try:
            again = await self._process(key)
        except Exception as error:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            pause = min(_BACK_OFF_LIMIT, self._back_off * 2.0 ** (failures - 1))
            _logger.warning("%s failed, retrying in %.0f s: %s", key, pause, error, exc_info=_is_bug(error))
            self.wake(key, pause)
        else:
            self._failures.pop(key, None)
            if again is not None:
                self.wake(key, max(again, _LEAST_SECONDS))

    async def _next(self) -> Key:
        while True:
            now = asyncio.get_running_loop().time()
            key, due = self._first(now)
            if key is not None:
                del self._dirty[key]
                return key
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), None if due is None else due - now)

    def _first(self, now: float) -> tuple[Key | None, float | None]:
        """The first due key that no worker has, or the time when the next one is due."""
        held = []
        first: tuple[Key | None, float | None] = (None, None)
        while self._heap:
            due, _, key = self._heap[0]
            if self._dirty.get(key) != due:
                heapq.heappop(self._heap)
            elif due > now:
                first = (None, due)
                break
            elif key in self._active:
                held.append(heapq.heappop(self._heap))
            else:
                heapq.heappop(self._heap)
                first = (key, None)
                break
        for entry in held:
            heapq.heappush(self._heap, entry)
        return first


def _is_bug(error: Exception) -> bool:
    """The operator's own errors need no traceback."""
    return not type(error).__module__.startswith("modelserver_operator")
