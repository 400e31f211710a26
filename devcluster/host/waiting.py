"""The one way to wait for something that cannot be waited for by a call: ask again until it is so."""

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")
PAUSE, LONGEST_PAUSE = 0.02, 0.2
_SHARE = 20
"""A second is noticed a twentieth of a second late: asking all the time slows down what is waited for."""


def wait_until(holds: Callable[[], Answer], seconds: float) -> Answer:
    """Ask until the answer is true or the time is up, and return the last answer."""
    begun = time.monotonic()
    deadline = begun + seconds
    while True:
        asked = time.monotonic()
        answer = holds()
        answered = time.monotonic()
        if answer or answered > deadline:
            return answer
        # A question can be a program; at least half of the time is left to what is waited for.
        pause = min(LONGEST_PAUSE, (answered - begun) / _SHARE)
        time.sleep(max(PAUSE, pause, answered - asked))
