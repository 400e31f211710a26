"""Bounds what runs at the same time, fairly: those who wait take turns, whatever one of them asks for."""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class FairSlots(Generic[Key]):
    """At most `total` slots are in use, at most `each` of them by one key; waiting keys take turns."""

    def __init__(self, total: int, each: int) -> None:
        self._free = total
        self._each = each
        self._used: Counter[Key] = Counter()
        self._waiting: dict[Key, deque[asyncio.Future[None]]] = {}
        self._turns: dict[Key, None] = {}
        """Keys that wait and may have a slot, in the order of their turns."""

    @contextlib.asynccontextmanager
    async def slot(self, key: Key) -> AsyncIterator[None]:
        """Wait for a slot, and give it back at the end."""
        await self._take(key)
        try:
            yield
        finally:
            self._give_back(key)

    async def _take(self, key: Key) -> None:
        granted = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(granted)
        self._line_up(key)
        self._grant()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self._give_back(key)
            raise

    def _give_back(self, key: Key) -> None:
        self._free += 1
        self._used[key] -= 1
        if not self._used[key]:
            del self._used[key]
        self._line_up(key)
        self._grant()

    def _line_up(self, key: Key) -> None:
        if key in self._waiting and self._used[key] < self._each:
            self._turns.setdefault(key)

    def _grant(self) -> None:
        while self._free and self._turns:
            key = next(iter(self._turns))
            del self._turns[key]
            waiting = self._waiting[key]
            granted = waiting.popleft()
            if not waiting:
                del self._waiting[key]
            if not granted.cancelled():
                self._free -= 1
                self._used[key] += 1
                granted.set_result(None)
            self._line_up(key)
