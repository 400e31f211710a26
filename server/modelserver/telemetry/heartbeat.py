"""Whether the main event loop still moves, for probes that are answered by another thread."""

import asyncio
import time
from collections.abc import Callable

BEAT_SECONDS = 1.0
SILENT_SECONDS = 30.0
"""How long the loop may be busy with one thing and still count as alive. Models are loaded and long bodies
parsed beside it, so nothing it does comes near: under the worst load measured it was late by less than 3 s. A
limit closer to that would end servers for being busy, just when every one of them is needed."""


class Heartbeat:
    """Beats on the loop it is begun on; any thread may ask for it."""

    def __init__(self, at_beat: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._at_beat = at_beat
        self._clock = clock
        self._last = clock()
        self._handle: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Beat on the running loop from now on."""
        self.beat()
        self._handle = asyncio.get_running_loop().call_later(BEAT_SECONDS, self.begin)
        self._at_beat()

    def end(self) -> None:
        """Beat no more."""
        if self._handle is not None:
            self._handle.cancel()

    def beat(self) -> None:
        """The loop is here."""
        self._last = self._clock()

    def stopped_for(self) -> float | None:
        """The seconds since the last beat when they are too many; None while it beats."""
        silent = self._clock() - self._last
        return silent if silent > SILENT_SECONDS else None
