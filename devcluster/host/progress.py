"""What is being done, for how long, and how many steps are left: one line per finished step."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


def duration(seconds: float) -> str:
    """A duration as people write it: 4.2s, 1m05s."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    return f"{int(seconds // 60)}m{int(seconds % 60):02d}s"


class Progress:
    """Steps may run beside each other; a terminal also shows the ones that run now."""

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
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
                self._stream.write(f"\r\033[K{running}")
                self._stream.flush()

    def _finish(self, title: str, begun: float, *, failed: bool) -> None:
        with self._lock:
            now = time.monotonic()
            self._running.pop(title, None)
            self._done += 0 if failed else 1
            left = max(self._total - self._done, 0)
            outcome = "failed after" if failed else "done in"
            clear = "\r\033[K" if self._live else ""
            count = f"[{self._done}/{max(self._total, self._done)}]"
            self._stream.write(
                f"{clear}{count} {title}: {outcome} {duration(now - begun)}"
                f" (elapsed {duration(now - self._started)}, {left} left)\n"
            )
            self._stream.flush()
