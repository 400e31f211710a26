"""The operator as a process beside a real API server, and what it costs."""

import contextlib
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from prometheus_client.parser import text_string_to_metric_families

import devcluster
from bench.apiserver import CHILDREN, ApiServer
from devcluster.build import upstream
from devcluster.host.ports import free
from devcluster.host.process import stop

CRD = Path(__file__).parents[1] / "crds" / "modelservers.modelserver.dev.yaml"
START_SECONDS = 60
REST_SECONDS = 5.0
"""Without a write for this time, the operator is at rest."""
PAUSE = 0.25
Samples = Mapping[tuple[str, ...], float]


@dataclass
class Program:
    """Started again and again under one name, as the container of one pod is."""

    kubeconfig: Path
    log: Path
    options: tuple[str, ...] = ()
    port: int = field(default_factory=lambda: free(1)[0])
    scale_port: int = field(default_factory=lambda: free(1)[0])
    process: "subprocess.Popen[bytes] | None" = None
    began: float = 0.0

    def start(self) -> None:
        """Returns when it lives."""
        command = [sys.executable, "-m", "modelserver_operator", "run", f"--liveness-port={self.port}"]
        command += [f"--scale-port={self.scale_port}"]
        variables = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "POD_NAME": "bench"}
        self.began = time.monotonic()
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*command, *self.options], stdout=output, stderr=subprocess.STDOUT, env=variables
            )
        until("the operator lives", self._lives, START_SECONDS)

    def stop(self) -> None:
        if self.process is not None:
            stop(self.process, 20)
            self.process = None

    @property
    def pid(self) -> int:
        if self.process is None or self.process.poll() is not None:
            raise RuntimeError(f"the operator has ended; it wrote: {self.log.read_text()[-2000:]}")
        return self.process.pid

    def cpu(self) -> float:
        """User and system seconds since it was started."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def peak_mib(self) -> float:
        """The most memory that it has had."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        kib = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
        return round(kib / 1024, 1)

    def samples(self) -> Samples:
        """Of /metrics, by name and values of the labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def writes(self) -> dict[str, int]:
        """So far: of children, of the status, of Events."""
        found = dict.fromkeys(("children", "status", "events"), 0)
        for (name, *labels), value in self.samples().items():
            if name == "modelserver_operator_writes_total":
                kind = {"ModelServer": "status", "Event": "events"}.get(labels[0], "children")
                found[kind] += int(value)
        return found

    def passes(self) -> int:
        """So far."""
        return int(self.samples().get(("modelserver_operator_reconciles_total", "done"), 0))

    def waiting(self) -> int:
        """Objects that are due, or have something to be looked at later."""
        return int(self.samples()["modelserver_operator_queue_depth",])

    def rest(self, seconds: float = 120) -> None:
        """Wait until it has written nothing for a while."""
        last, since = self.writes(), time.monotonic()
        end = since + seconds
        while time.monotonic() - since < REST_SECONDS:
            time.sleep(1)
            if (now := self.writes()) != last:
                last, since = now, time.monotonic()
            if time.monotonic() > end:
                raise TimeoutError(f"the operator still writes after {seconds:.0f} s")

    def _lives(self) -> bool:
        url = f"http://127.0.0.1:{self.port}/healthz"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return self.pid > 0
        return self.pid < 0  # raises, when it has ended


@contextlib.contextmanager
def beside_an_api_server(directory: Path) -> Iterator[tuple[Program, ApiServer]]:
    """etcd, the API server and the controller manager, and the operator among them."""
    name = f"bench-{os.getpid()}"
    try:
        kubernetes = devcluster.up(name, no_node=True, extras=("controller-manager",)).kubernetes()
        for crd in (CRD, upstream.scaled_object_crd()):
            kubernetes.kubectl("apply", "--server-side", "-f", str(crd))
        until("the API of the CRD", lambda: kubernetes.succeeds("get", "modelservers"), START_SECONDS)
        kubeconfig = Path(kubernetes.environment["KUBECONFIG"])
        program = Program(kubeconfig, directory / "operator.log", ("--cpu-image=modelserver:bench",))
        program.start()
        try:
            yield program, ApiServer(kubeconfig, "default")
        finally:
            program.stop()
    finally:
        devcluster.down(name)


def children(api: ApiServer) -> int:
    """How many there are."""
    return sum(map(api.count, CHILDREN.values()))


def until(what: str, holds: Callable[[], object], seconds: float) -> float:
    """Ask until it is so; returns the time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(PAUSE)
    return time.monotonic()
