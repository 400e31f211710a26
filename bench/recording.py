"""A program of ours that runs under bench/traced.py, and the recordings it gives."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from bench.tracing import Episode, Step, background, without
from devcluster.host.process import stop

IDLE_SECONDS = 3.0
"""Longer than anything of ours sleeps between two looks at something."""
SETTLE_SECONDS = 0.15
QUIET_SECONDS = 0.4
"""Longer than a request that a program waits for, shorter than a pause after which it looks again."""
WAIT_SECONDS = 60


class Traced:
    """The running program."""

    def __init__(self, commands: IO[str], answers: IO[str]) -> None:
        self._commands, self._answers = commands, answers
        self.idle: set[Episode] = set()
        """What runs anyway."""
        self.idle_threads: set[int] = set()

    def record(self, work: Callable[[], object]) -> list[Step]:
        """What runs while this is done, and shortly after."""
        self._say("begin")
        work()
        time.sleep(SETTLE_SECONDS)
        return self._end()

    def record_until_quiet(self, work: Callable[[], object]) -> list[Step]:
        """What runs from when this begins until the program has reacted and nothing of it runs any more."""
        self._say("begin")
        work()
        wait_for(self._is_quiet, "the program to react and to come to rest")
        return self._end()

    def _is_quiet(self) -> bool:
        before = self._news()
        time.sleep(QUIET_SECONDS)
        return self._news() == before != []

    def _news(self) -> list[Step]:
        """What has been recorded and does not run anyway."""
        return without([Step(*step) for step in self._say("so_far")], self.idle)

    def learn_idle(self, work: Callable[[], object] = lambda: None) -> None:
        """Learn what runs while the program is idle, or does no more than this."""

        def wait() -> None:
            end = time.monotonic() + IDLE_SECONDS
            while time.monotonic() < end:
                work()
                time.sleep(0.05)

        steps = self.record(wait)
        self.idle |= background(steps)
        self.idle_threads |= {step.thread for step in steps}

    def _end(self) -> list[Step]:
        return [Step(*step) for step in self._say("end")]

    def _say(self, command: str) -> Any:
        self._commands.write(command + "\n")
        self._commands.flush()
        line = self._answers.readline()
        if not line:
            raise RuntimeError("the traced program has ended; see its log")
        return json.loads(line)


@contextlib.contextmanager
def traced(package: str, arguments: list[str], log: Path, **variables: str) -> Iterator[Traced]:
    """Start `python -m PACKAGE ARGUMENTS` with its calls recorded, and end it."""
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "bench.traced", package, str(writing), package, *arguments]
    with log.open("w") as output, os.fdopen(reading) as answers:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, text=True,
            pass_fds=(writing,), env={**os.environ, **variables},
        )  # fmt: skip
        os.close(writing)
        assert process.stdin is not None  # noqa: S101 - asked for
        try:
            yield Traced(process.stdin, answers)
        except Exception as error:
            error.add_note(f"{package} wrote: {log.read_text()[-3000:]}")
            raise
        finally:
            stop(process, WAIT_SECONDS)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Ask until it is so."""
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {WAIT_SECONDS} s for {what}")
        time.sleep(0.02)
