"""A keyed queue: each key is worked on by one worker at a time, again when it was woken meanwhile."""

import asyncio
import contextlib
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
_BACK_OFF_START = 1.0
_BACK_OFF_LIMIT = 60.0
_logger = logging.getLogger(__name__)


class WorkQueue(Generic[Key]):
    """`process` answers in how many seconds it wants the key again, or None; an exception means back-off."""

    def __init__(self, process: Callable[[Key], Awaitable[float | None]]) -> None:
        self._process = process
        self._dirty: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._count = itertools.count()
        self._active: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._changed = asyncio.Event()

    def wake(self, key: Key, after: float = 0.0) -> None:
        """Work on the key; the earliest wish holds."""
        due = asyncio.get_running_loop().time() + after
        if due < self._dirty.get(key, float("inf")):
            self._dirty[key] = due
            heapq.heappush(self._heap, (due, next(self._count), key))
            self._changed.set()

    def depth(self) -> int:
        """Keys that wait."""
        return len(self._dirty)

    async def work(self) -> None:
        """Work for ever; run as many of these as should work in parallel."""
        while True:
            key = await self._next()
            self._active.add(key)
            try:
                await self._attempt(key)
            finally:
                self._active.discard(key)
                self._changed.set()

    async def _attempt(self, key: Key) -> None:
        try:
            again = await self._process(key)
        except Exception as error:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            pause = min(_BACK_OFF_LIMIT, _BACK_OFF_START * 2.0 ** (failures - 1))
            _logger.warning("%s failed, next try in %.0f s: %s", key, pause, error, exc_info=_is_bug(error))
            self.wake(key, pause)
        else:
            self._failures.pop(key, None)
            if again is not None:
                self.wake(key, again)

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
        """The first due key that nobody works on, or when the next one is due."""
        held = []
        found: tuple[Key | None, float | None] = (None, None)
        while self._heap:
            due, _, key = self._heap[0]
            if self._dirty.get(key) != due:
                heapq.heappop(self._heap)
            elif due > now:
                found = (None, due)
                break
            elif key in self._active:
                held.append(heapq.heappop(self._heap))
            else:
                heapq.heappop(self._heap)
                found = (key, None)
                break
        for entry in held:
            heapq.heappush(self._heap, entry)
        return found


def _is_bug(error: Exception) -> bool:
    """Errors raised on purpose say all in their message."""
    return not type(error).__module__.startswith("modelserver_operator")
