"""Run programs, and find and end them again.

Every program carries its owner in its environment. So the next command finds what a killed `up` left
behind, whenever it was killed, and there are no pid files that could be stale or missing.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devcluster.errors import CommandFailed
from devcluster.host import paths

_VARIABLE = "DEVCLUSTER_OWNER"
_ENV_START = 50 - 3
"""The place of env_start in /proc/PID/stat, counted from the state, which proc(5) gives the number 3."""


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
        stdin: str | None = None,
    ) -> str:
        """Run to the end and return standard output (and standard error too if there is a log)."""
        words = [str(word) for word in command]
        try:
            result = self._run(words, timeout, directory, stdin)
        except subprocess.TimeoutExpired as late:
            raise self._failure(words, f"It did not end within {timeout:.0f} s.") from late
        except FileNotFoundError as absent:
            raise self._failure(words, f"{words[0]} is not installed.") from absent
        if self.log:
            with self.log.open("a") as log:
                log.write(f"$ {' '.join(words)}\n{result.stdout}")
        if result.returncode:
            raise self._failure(words, last_lines(result.stdout + (result.stderr or "")))
        return result.stdout

    def succeeds(self, command: Sequence[str | Path], *, timeout: float = 60) -> bool:
        try:
            self.run(command, timeout=timeout)
        except CommandFailed:
            return False
        return True

    def start(self, command: Sequence[str | Path], log: Path) -> None:
        """Start a program that outlives us; it has no parent here, so it never becomes a zombie."""
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

    def _run(
        self, words: list[str], timeout: float, directory: Path | None, stdin: str | None
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            words,
            env=self.variables(),
            cwd=directory,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if self.log else subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )

    def _failure(self, words: list[str], output: str) -> CommandFailed:
        where = f"\nThe complete output is in {self.log}." if self.log else ""
        return CommandFailed(f"This command failed: {_shown(words)}\n{output}{where}", output)


@dataclass(frozen=True)
class Process:
    pid: int
    program: str


def owned_by(owner: str) -> list[Process]:
    """The running programs of an owner, read from /proc."""
    mark = f"{_VARIABLE}={_value(owner)}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if mark not in _environment(entry).split(b"\0"):
                continue
            program = (entry / "comm").read_text().strip()
        except OSError:  # it has ended, or belongs to another user
            continue
        found.append(Process(int(entry.name), program))
    return found


def _environment(entry: Path) -> bytes:
    """What a program was started with; it has none for the moment in which it becomes another program."""
    while True:
        place = _place_of_environment(entry)
        environment = (entry / "environ").read_bytes()
        if environment or (place != "0" and place == _place_of_environment(entry)):
            return environment
        time.sleep(0.001)


def _place_of_environment(entry: Path) -> str:
    """Its address in memory: "0" in the middle of execve, "" without memory (a zombie, a kernel's thread)."""
    try:
        (entry / "exe").readlink()
    except FileNotFoundError:
        return ""
    return (entry / "stat").read_text().rpartition(")")[2].split()[_ENV_START]


def stop_all(owner: str, *, grace: float = 0) -> list[Process]:
    """End every program of an owner: with SIGTERM for `grace` seconds, then with SIGKILL."""
    stopped: dict[int, Process] = {}
    deadline = time.monotonic() + grace
    while running := owned_by(owner):
        for process in running:
            stopped[process.pid] = process
            if time.monotonic() < deadline:
                end(process, owner, signal.SIGTERM, wait=grace)
            else:
                end(process, owner, signal.SIGKILL, wait=10)
    return list(stopped.values())


def end(process: Process, owner: str, with_signal: signal.Signals, *, wait: float) -> None:
    """Send a signal to a program if it still belongs to the owner, and wait until it is gone."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        # Checked again with the descriptor open: the pid may belong to another program by now.
        if process in owned_by(owner):
            signal.pidfd_send_signal(descriptor, with_signal)
            select.select([descriptor], [], [], wait)
    except ProcessLookupError:
        pass
    finally:
        os.close(descriptor)


def stop(child: "subprocess.Popen[Any]", grace: float = 15) -> int:
    """End a child of ours with SIGTERM, and with SIGKILL if it is still there; returns its exit code."""
    child.terminate()
    try:
        return child.wait(grace)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def last_lines(text: str, count: int = 15) -> str:
    return "\n".join(text.strip().splitlines()[-count:])


def _value(owner: str) -> str:
    """The owner's name and the cache, because each cache has its own locks."""
    return f"{owner} of {paths.cache()}"


def _shown(words: Sequence[str]) -> str:
    line = " ".join(words)
    return line if len(line) < 400 else f"{line[:400]}…"
