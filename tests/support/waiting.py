"""The one way in which tests wait: ask until something holds, and fail with what was last seen."""

import asyncio
import time

PAUSE = 0.02


class _Waiting:
    def __init__(self, what: str, timeout: float) -> None:
        self._what, self._timeout = what, timeout
        self._asked = time.monotonic()
        self._end = self._asked + timeout

    def pause(self, seen: object) -> float:
        """How long to wait after an answer: as long as the asking took, so that it never fills a CPU."""
        now = time.monotonic()
        assert now < self._end, f"waited {self._timeout} s for {self._what}; last seen: {seen!r}"
        pause = max(PAUSE, now - self._asked)
        self._asked = now + pause
        return pause


def until(what: str, holds, timeout: float = 60):
    """The first true value of `holds()`; a condition is polled, time is never spent instead of it."""
    waiting = _Waiting(what, timeout)
    while not (seen := holds()):
        time.sleep(waiting.pause(seen))
    return seen


async def until_async(what: str, holds, timeout: float = 60):  # noqa: ASYNC109 - called as until is
    """The same where what is waited for happens on the test's own event loop."""
    waiting = _Waiting(what, timeout)
    while not (seen := holds()):  # noqa: ASYNC110 - nothing here has an event to wait for
        await asyncio.sleep(waiting.pause(seen))
    return seen
