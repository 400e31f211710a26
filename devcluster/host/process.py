"""Programs we start, and how to find and end them again.

Every program carries an owner in its environment. So whoever comes next finds what a killed `up` left
behind, whatever the moment of its death, and no pid file can be stale or missing.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devcluster.errors import CommandFailed
from devcluster.host import paths

_VARIABLE = "DEVCLUSTER_OWNER"


@dataclass(frozen=True)
class Runner:
    """Runs programs for one owner, with their output in one log if a log is given."""

    owner: str
    environment: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None

    def run(
        self,
        command: Sequence[str | Path],
        *,
        timeout: float = 120,
        directory: Path | None = None,
        text: str | None = None,
    ) -> str:
        """Run to the end and return standard output (and the errors too when there is a log)."""
        words = [str(word) for word in command]
        try:
            result = subprocess.run(
                words,
                env=self.variables(),
                cwd=directory,
                input=text,
                stdin=subprocess.DEVNULL if text is None else None,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if self.log else subprocess.PIPE,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise CommandFailed(_shown(words), f"It did not end within {timeout:.0f} s.", self.log) from late
        except FileNotFoundError as absent:
            raise CommandFailed(_shown(words), f"{words[0]} is not installed.") from absent
        if self.log:
            with self.log.open("a") as log:
                log.write(f"$ {' '.join(words)}\n{result.stdout}")
        if result.returncode:
            raise CommandFailed(_shown(words), _tail(result.stdout + (result.stderr or "")), self.log)
        return result.stdout

    def succeeds(self, command: Sequence[str | Path], *, timeout: float = 60) -> bool:
        try:
            self.run(command, timeout=timeout)
        except CommandFailed:
            return False
        return True

    def start(self, command: Sequence[str | Path], log: Path) -> None:
        """Start a program that outlives us; it is nobody's child, so that it never stays as a zombie."""
        with log.open("ab") as output:
            subprocess.run(
                ["setsid", "--fork", *map(str, command)],
                env=self.variables(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=True,
            )

    def variables(self) -> dict[str, str]:
        return {**os.environ, **self.environment, _VARIABLE: _value(self.owner)}


@dataclass(frozen=True)
class Process:
    pid: int
    program: str


def owned_by(owner: str) -> list[Process]:
    """The living programs of an owner, found in the kernel's own list."""
    mark = f"{_VARIABLE}={_value(owner)}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if mark not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            program = (entry / "comm").read_text().strip()
        except OSError:  # it ended meanwhile, or is another user's
            continue
        found.append(Process(int(entry.name), program))
    return found


def stop_all(owner: str, *, patience: float = 0) -> list[Process]:
    """End every program of an owner: politely for `patience` seconds, then at once."""
    stopped: dict[int, Process] = {}
    deadline = time.monotonic() + patience
    while living := owned_by(owner):
        for process in living:
            stopped[process.pid] = process
            polite = time.monotonic() < deadline
            end(process, owner, signal.SIGTERM if polite else signal.SIGKILL, wait=patience if polite else 10)
    return list(stopped.values())


def end(process: Process, owner: str, with_signal: signal.Signals, *, wait: float) -> None:
    """Send one signal to a program, if it still is the owner's, and wait until it is gone."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        # Asked again under the descriptor: a number may have gone to another program meanwhile.
        if process in owned_by(owner):
            signal.pidfd_send_signal(descriptor, with_signal)
            select.select([descriptor], [], [], wait)
    except ProcessLookupError:
        pass
    finally:
        os.close(descriptor)


def _value(owner: str) -> str:
    """Owners of different caches are different: each cache has its own locks."""
    return f"{owner} of {paths.cache()}"


def _shown(words: Sequence[str]) -> str:
    line = " ".join(words)
    return line if len(line) < 400 else f"{line[:400]}…"


def _tail(output: str, lines: int = 15) -> str:
    return "\n".join(output.strip().splitlines()[-lines:])
