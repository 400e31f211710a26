"""The servers and programs that are compared, started for one run."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.load import Point, cpu_seconds, running
from bench.tools import Tools
from devcluster.host.ports import free

START_SECONDS = 120
SERVER_CORE, CLIENT_CORE = 0, 1


@dataclass(frozen=True)
class Peer:
    """A running server."""

    pid: int
    rest_port: int
    grpc_port: int
    model: str

    @property
    def infer_url(self) -> str:
        return f"http://127.0.0.1:{self.rest_port}/v2/models/{self.model}/infer"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def wait(self) -> "Peer":
        """Until the model answers."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                url = f"http://127.0.0.1:{self.rest_port}/v2/models/{self.model}/ready"
                with urllib.request.urlopen(url, timeout=5) as answer:
                    if answer.status == 200:
                        return self
            if not psutil.pid_exists(self.pid) or psutil.Process(self.pid).status() == "zombie":
                raise RuntimeError(f"the server of {self.model} has ended; see the logs of the run")
            time.sleep(0.1)
        raise TimeoutError(f"{self.model} was not ready within {START_SECONDS} s; see the logs of the run")

    def status(self) -> dict[str, Any]:
        """What our server says is in effect for its one model."""
        url = f"http://127.0.0.1:{self.rest_port}/status"
        with urllib.request.urlopen(url, timeout=5) as answer:
            document: dict[str, Any] = json.load(answer)
        return document


@contextlib.contextmanager
def ours(
    directory: Path, logs: Path, *options: str, core: int | None = None, config: Path | None = None
) -> Iterator[Peer]:
    """Our server with one model, given by the command line or by a config.json."""
    rest, grpc = free(2)
    name = directory.name
    model = ["--model_path", str(directory), "--model_name", name]
    command = [
        *(["taskset", "-c", str(core)] if core is not None else []),
        sys.executable, "-m", "modelserver", *(["--config_path", str(config)] if config else model),
        "--rest_port", str(rest), "--port", str(grpc), "--metrics_enable", *options,
    ]  # fmt: skip
    with running(command, logs / f"ours-{name}.log") as pid:
        yield Peer(pid, rest, grpc, name).wait()


@contextlib.contextmanager
def kserve(tools: Tools, directory: Path, logs: Path) -> Iterator[Peer]:
    """KServe's SDK with one model."""
    rest, grpc = free(2)
    name = directory.name
    script = Path(__file__).with_name("kserve_server.py")
    model = directory / "1" / "model.xml"
    command = [str(tools.kserve_python), str(script), str(rest), str(grpc), str(model), name]
    with running(command, logs / f"kserve-{name}.log") as pid:
        yield Peer(pid, rest, grpc, name).wait()


def benchmark_app(tools: Tools, model: Path, seconds: int, settings: dict[str, int], core: int) -> Point:
    """OpenVINO's own measurement of the bare model with the same streams, infer requests and threads.

    Its CPU time is taken between the lines that begin and end the measuring, so that loading does not count.
    """
    command = [
        *(["taskset", "-c", str(core)] if shutil.which("taskset") else []),
        str(tools.benchmark_app), "-m", str(model), "-d", "CPU", "-hint", "none", "-t", str(seconds),
        "-nstreams", str(settings["streams"]), "-nireq", str(settings["nireq"]),
        "-nthreads", str(settings["threads"]), "-inference_only", "false",
    ]  # fmt: skip
    spent: list[float] = []
    lines = list(_watched(command, spent))
    text = "".join(lines)
    count, duration = _number(text, r"Count:\s+(\d+)"), _number(text, r"Duration:\s+([\d.]+) ms")
    median = _number(text, r"Median:\s+([\d.]+) ms")
    used = (spent[1] - spent[0]) / count * 1e6
    return Point(int(count), 0, round(count / duration * 1e3, 1), median, 0.0, round(used, 1))


def _watched(command: list[str], spent: list[float]) -> Iterator[str]:
    variables = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=variables
    )
    assert process.stdout is not None  # noqa: S101 - asked for
    with process.stdout as output:
        for line in output:
            if "First inference took" in line or "[Step 11/11]" in line:
                spent.append(cpu_seconds(process.pid))
            yield line
    process.wait()
    if process.returncode or len(spent) != 2:
        raise RuntimeError(f"benchmark_app ended with {process.returncode} and {len(spent)} marks")


def _number(text: str, pattern: str) -> float:
    found = re.search(pattern, text)
    if not found:
        raise RuntimeError(f"benchmark_app said nothing like {pattern}:\n{text[-2000:]}")
    return float(found[1])
