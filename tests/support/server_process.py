"""A real server in a process of its own, on free ports, ended by its own pid."""

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
FIRST_PORT, PORTS, WORKERS = 11_000, 1_800, 10
"""Below NodePorts and the ports that the kernel chooses."""


def _stretch() -> Iterator[int]:
    """This worker's ports, from a place of this process's own on, again and again."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = FIRST_PORT + worker % WORKERS * PORTS
    return itertools.cycle(first + (os.getpid() * 37 + number) % PORTS for number in range(PORTS))


_ports = _stretch()


def free_port() -> int:
    """One that no other test, worker or outgoing connection is given before a server listens on it."""
    return next(port for port in _ports if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind(("", port))
        return True
    return False


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "modelserver", *arguments]


def environment(**extra: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    return {**kept, "PYTHONPATH": str(ROOT / "server"), **extra}


def run_to_end(
    *arguments: str, prefix=(), timeout: float = 60, **extra: str
) -> subprocess.CompletedProcess[str]:
    """For command lines that should end by themselves."""
    return subprocess.run(
        [*prefix, *command(*arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment(**extra),
        check=False,
    )


def fetch(url: str, body: bytes | None = None, method: str | None = None, **headers: str):
    """Status, body and headers of one HTTP exchange."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    request = urllib.request.Request(url, body, named, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read(), response.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


class ServerProcess:
    """One running server; a context manager."""

    def __init__(
        self, *arguments: str, prefix=(), rest: bool = True, grpc: bool = True, **extra: str
    ) -> None:
        self.grpc_port, self.rest_port = free_port(), free_port()
        ports = (["--port", str(self.grpc_port)] if grpc else []) + (
            ["--rest_port", str(self.rest_port)] if rest else []
        )
        self._log = tempfile.NamedTemporaryFile("w+", prefix="modelserver-", suffix=".log")  # noqa: SIM115
        self.process = subprocess.Popen(
            [*prefix, *command(*ports, *arguments)],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=environment(**extra),
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
        self._log.close()

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def rest(self) -> str:
        return f"127.0.0.1:{self.rest_port}"

    def url(self, path: str) -> str:
        return f"http://{self.rest}{path}"

    def get(self, path: str):
        return fetch(self.url(path))

    def post(self, path: str, body, **headers: str):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return fetch(self.url(path), raw, **headers)

    def status(self) -> dict:
        return json.loads(self.get("/status")[1])

    def log(self) -> str:
        return Path(self._log.name).read_text()

    def answers(self, path: str) -> bool:
        """Whether a GET gives 200 now; a refused connection is a no."""
        assert self.process.poll() is None, f"the server has ended:\n{self.log()}"
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            return self.get(path)[0] == 200
        return False

    def wait_ready(self):
        try:
            until("readiness", lambda: self.answers("/v2/health/ready"), START_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from error
        return self

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = 30) -> int:
        return self.process.wait(seconds)

    def end(self) -> None:
        """SIGTERM, and SIGKILL for one that does not listen."""
        if self.process.poll() is None:
            self.terminate()
            try:
                self.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
