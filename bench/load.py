"""Load from wrk and ghz, and what the server's process tree paid for it."""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.payloads import Body
from devcluster.host.process import stop
from modelserver import proto

PROTO = Path(proto.__file__).with_name("grpc_predict_v2.proto")
SETTLE_SECONDS = 0.5


@dataclass(frozen=True)
class Point:
    """One measured point."""

    replies: int
    failed: int
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and of everything below it."""
    root = psutil.Process(pid)
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


@contextlib.contextmanager
def running(command: Sequence[str], log: Path, **variables: str) -> Iterator[int]:
    """A server in the background, ended by its own pid."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=variables or None)
    try:
        yield process.pid
    finally:
        stop(process, 20)


@dataclass(frozen=True)
class Caller:
    """How a load is put on: programs, number of callers, seconds, and the core they stay on."""

    wrk: Path
    ghz: Path
    callers: int
    seconds: int
    core: int | None = None

    def _pinned(self, command: list[str]) -> list[str]:
        return command if self.core is None else ["taskset", "-c", str(self.core), *command]

    def rest(self, pid: int, url: str, body: Body) -> Point:
        """wrk, one thread."""
        script = body.file.with_suffix(".lua")
        script.write_text(_lua(body))
        command = [
            str(self.wrk),
            "-t1",
            f"-c{self.callers}",
            f"-d{self.seconds}s",
            "--timeout",
            "60s",
            "-s",
            str(script),
            url,
        ]
        output, cpu = self._watched(pid, command)
        report = json.loads(output[output.rindex("{") :])
        replies = report["requests"] - report["failed"]
        return _point(replies, report["failed"], report["seconds"], (report["p50"], report["p99"]), cpu)

    def grpc(self, pid: int, address: str, body: Body) -> Point:
        """ghz, one connection for two callers."""
        command = [
            str(self.ghz), "--insecure", "--proto", str(PROTO),
            "--call", "inference.GRPCInferenceService.ModelInfer", "-B", str(body.file),
            "-c", str(self.callers), "--connections", str(max(1, self.callers // 2)),
            "-z", f"{self.seconds}s", "--duration-stop", "wait", "-O", "json", address,
        ]  # fmt: skip
        output, cpu = self._watched(pid, command)
        report = json.loads(output)
        replies = report["statusCodeDistribution"].get("OK", 0)
        latency = {one["percentage"]: one["latency"] / 1e6 for one in report["latencyDistribution"] or ()}
        seconds = report["total"] / 1e9
        percentiles = (latency.get(50, 0.0), latency.get(99, 0.0))
        return _point(replies, report["count"] - replies, seconds, percentiles, cpu)

    def _watched(self, pid: int, command: list[str]) -> tuple[str, float]:
        before = cpu_seconds(pid)
        limit = self.seconds * 10 + 60
        done = subprocess.run(
            self._pinned(command), capture_output=True, text=True, timeout=limit, check=False
        )
        spent = cpu_seconds(pid) - before
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed: {done.stderr[-2000:]}{done.stdout[-2000:]}")
        time.sleep(SETTLE_SECONDS)
        return done.stdout, spent


def _point(replies: int, failed: int, seconds: float, percentiles: tuple[float, float], cpu: float) -> Point:
    p50, p99 = percentiles
    used = cpu / replies * 1e6 if replies else float("nan")
    return Point(replies, failed, round(replies / seconds, 1), round(p50, 2), round(p99, 2), round(used, 1))


def _lua(body: Body) -> str:
    headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in body.headers.items())
    return f"""
local file = io.open("{body.file}", "rb")
wrk.method = "POST"
wrk.body = file:read("*a")
{headers}
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{{"requests": %d, "failed": %d, "seconds": %f, "p50": %f, "p99": %f}}',
    summary.requests, e.status + e.connect + e.read + e.write + e.timeout, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""
