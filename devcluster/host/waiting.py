"""The one way to wait for something that cannot be waited for by a call: ask again until it is so."""

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")
PAUSE = 0.02


def wait_until(holds: Callable[[], Answer], seconds: float) -> Answer:
    """Ask until the answer is true or the time is up, and return the last answer."""
    deadline = time.monotonic() + seconds
    while True:
        asked = time.monotonic()
        answer = holds()
        answered = time.monotonic()
        if answer or answered > deadline:
            return answer
        # A question can be a program; at least half of the time is left to what is waited for.
        time.sleep(max(PAUSE, answered - asked))
