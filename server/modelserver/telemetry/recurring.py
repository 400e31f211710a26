"""Errors that come again and again: logged whole when they are new, and rarer and rarer from then on."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

FIRST_PAUSE_SECONDS = 60.0
MAX_PAUSE_SECONDS = 3600.0
MAX_KNOWN = 100
"""An error whose text is another one each time must not fill the memory."""


@dataclass(slots=True)
class _Known:
    next_line: float
    pause: float = FIRST_PAUSE_SECONDS
    count: int = 1


class RecurringErrors:
    """The errors of one thing that is tried over and over."""

    def __init__(
        self, log: logging.Logger, attempt: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`attempt` is what is tried, as in "checking for changes"."""
        self._log = log
        self._attempt = attempt
        self._clock = clock
        self._known: dict[str, _Known] = {}

    def failed(self, error: Exception) -> None:
        """It failed, perhaps as before."""
        text, now = repr(error), self._clock()
        known = self._known.get(text)
        if known is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[text] = _Known(now + FIRST_PAUSE_SECONDS)
            self._log.error("unexpected error while %s", self._attempt, exc_info=error)
            return
        known.count += 1
        if now >= known.next_line:
            known.pause = min(MAX_PAUSE_SECONDS, known.pause * 2)
            known.next_line = now + known.pause
            self._log.error("%s still fails, for the %d. time: %s", self._attempt, known.count, text)

    def succeeded(self) -> None:
        """It works: what fails from now on is new."""
        if self._known:
            self._known.clear()
            self._log.info("%s works again", self._attempt)
