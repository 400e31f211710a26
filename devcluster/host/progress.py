"""What is being done, for how long, and how many steps are left: one line per finished step, on stderr."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_CLEAR_LINE = "\r\033[K"


def duration(seconds: float) -> str:
    """A duration as people write it: 4.2s, 1m05s."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    return f"{int(seconds // 60)}m{int(seconds % 60):02d}s"


def note(text: str, stream: TextIO | None = None) -> None:
    """Print a line that is not a step, such as a package that is installed."""
    stream = stream or sys.stderr
    print(f"{_CLEAR_LINE if stream.isatty() else ''}{text}", file=stream, flush=True)


class Progress:
    """Steps may run in parallel; a terminal also shows the steps that are running."""

    def __init__(self, total: int = 0, stream: TextIO | None = None) -> None:
        self._total = total
        self._done = 0
        self._started = time.monotonic()
        self._running: dict[str, float] = {}
        self._lock = threading.Lock()
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()

    def expect(self, more: int) -> None:
        """Count steps that were not known at the start."""
        with self._lock:
            self._total += more

    @property
    def seconds(self) -> float:
        """The time since the start."""
        return time.monotonic() - self._started

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        begun = time.monotonic()
        with self._lock:
            self._running[title] = begun
        stop = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(stop,), daemon=True)
        if self._live:
            ticker.start()
        try:
            yield
        except BaseException:
            self._finish(title, begun, failed=True)
            raise
        else:
            self._finish(title, begun, failed=False)
        finally:
            stop.set()

    def _tick(self, stop: threading.Event) -> None:
        while not stop.wait(1):
            with self._lock:
                now = time.monotonic()
                running = ", ".join(
                    f"{name} {duration(now - since)}" for name, since in self._running.items()
                )
                self._stream.write(f"{_CLEAR_LINE}{running}")
                self._stream.flush()

    def _finish(self, title: str, begun: float, *, failed: bool) -> None:
        with self._lock:
            self._running.pop(title, None)
            self._done += 0 if failed else 1
            total = max(self._total, self._done)
            outcome = "failed after" if failed else "done in"
            self._stream.write(
                f"{_CLEAR_LINE if self._live else ''}[{self._done}/{total}] {title}:"
                f" {outcome} {duration(time.monotonic() - begun)}"
                f" (elapsed {duration(self.seconds)}, {total - self._done} left)\n"
            )
            self._stream.flush()
