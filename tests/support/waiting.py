"""The one way in which tests wait: ask until something holds, and fail with what was last seen."""

import asyncio
import time

from devcluster.host.waiting import PAUSE, wait_until


def until(what: str, holds, timeout: float = 60):
    """The first true value of `holds()`; a condition is polled, time is never spent instead of it."""
    seen = wait_until(holds, timeout)
    assert seen, f"waited {timeout} s for {what}; last seen: {seen!r}"
    return seen


async def until_async(what: str, holds, timeout: float = 60):  # noqa: ASYNC109 - called as until is
    """The same where what is waited for happens on the test's own event loop."""
    end = time.monotonic() + timeout
    while not (seen := holds()):
        assert time.monotonic() < end, f"waited {timeout} s for {what}; last seen: {seen!r}"
        await asyncio.sleep(PAUSE)
    return seen
