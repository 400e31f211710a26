"""The operator as a container is run: whenever it ends, it is started again, under the same name."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.support.operator_process import ROOT
from tests.support.server_process import fetch, free_port
from tests.support.waiting import until

IDENTITY = "chaos/operator/pod-0"
RELIST_SECONDS = 5.0
LEASE_SECONDS = 300
_PAUSE = 0.5
"""Between an end and the next start, where a kubelet takes longer and longer."""


@dataclass
class Container:
    """Ended by its own pid; `kill` is SIGKILL."""

    kubeconfig: Path
    namespaces: Sequence[str]
    log: Path
    source: Path = ROOT / "operator"
    lease_seconds: int = LEASE_SECONDS
    environment: Mapping[str, str] = field(default_factory=dict)
    image: str = "modelserver:test"
    starts: int = 0
    _process: subprocess.Popen | None = None
    _port: int = 0
    _is_wanted: bool = True

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._keep, name="container")
        self._stopped = threading.Event()
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._is_wanted = False
        self._stopped.set()
        if (process := self._process) is not None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        self._thread.join(20)

    def kill(self) -> None:
        """As a node does that runs out of memory."""
        if (process := self._process) is not None:
            process.kill()

    def leads(self) -> set[str]:
        """The namespaces in which it writes."""
        with contextlib.suppress(OSError):
            return set(json.loads(fetch(f"http://127.0.0.1:{self._port}/readyz")[1])["leads"])
        return set()

    def await_start(self) -> None:
        until("the operator writes", lambda: self.leads() == set(self.namespaces), timeout=180)

    def _keep(self) -> None:
        while self._is_wanted:
            with self.log.open("a") as log:
                self._port = free_port()
                self._process = subprocess.Popen(
                    self._command(), env=self._variables(), stdout=log, stderr=subprocess.STDOUT
                )
            self.starts += 1
            if not self._is_wanted:
                self._process.terminate()
            self._process.wait()
            self._stopped.wait(_PAUSE)

    def _command(self) -> list[str]:
        installation, _, pod = IDENTITY.rpartition("/")
        return [
            sys.executable, "-m", "modelserver_operator", "run", f"--liveness-port={self._port}",
            f"--scale-port={free_port()}",
            f"--namespaces={','.join(self.namespaces)}", f"--installation={installation}", f"--pod={pod}",
            f"--lease-seconds={self.lease_seconds}", f"--relist-seconds={RELIST_SECONDS}", "--workers=64",
            f"--cpu-image={self.image}",
        ]  # fmt: skip

    def _variables(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
        paths = {"KUBECONFIG": str(self.kubeconfig), "PYTHONPATH": str(self.source)}
        return {**kept, **paths, **self.environment}
