"""The programs a benchmark needs: wrk, ghz, and KServe's Python SDK in an environment of its own."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from devcluster.host import paths

BENCH = Path(__file__).resolve().parent
GO_MODULE = BENCH / "gotools"
KSERVE_VERSION = "0.21.0"


@dataclass(frozen=True)
class Tools:
    """Where the programs are."""

    wrk: Path
    ghz: Path
    kserve_python: Path
    benchmark_app: Path


def prepare() -> Tools:
    """Install or build what is missing; the next run finds it in the cache."""
    return Tools(_wrk(), _ghz(), _kserve(), Path(sys.executable).with_name("benchmark_app"))


def cache() -> Path:
    """The programs' part of the project's cache."""
    return paths.cache() / "bench"


def _wrk() -> Path:
    if shutil.which("wrk") is None:
        print("==> wrk, from Debian")
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", "wrk"], check=True)
    return Path(shutil.which("wrk") or "wrk")


def _ghz() -> Path:
    target = cache() / f"ghz-{paths.fingerprint(GO_MODULE / name for name in ('go.mod', 'go.sum'))}"
    if not target.exists():
        print("==> ghz, built from its Go module")
        unfinished = target.with_suffix(".unfinished")
        flags = ["-trimpath", "-mod=readonly", "-buildvcs=false", "-ldflags", "-s -w"]
        command = ["go", "build", *flags, "-o", str(unfinished), "github.com/bojand/ghz/cmd/ghz"]
        variables = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(command, cwd=GO_MODULE, env=variables, check=True)
        unfinished.replace(target)
    return target


def _kserve() -> Path:
    """The same OpenVINO as ours, or the comparison would be one of engines."""
    engine = version("openvino")
    directory = cache() / f"kserve-{KSERVE_VERSION}-openvino-{engine}"
    python = directory / "bin" / "python"
    done = directory / ".installed"
    if not done.exists():
        print(f"==> KServe's Python SDK {KSERVE_VERSION} in {directory}")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(directory)], check=True)
        wanted = [f"kserve=={KSERVE_VERSION}", f"openvino=={engine}"]
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *wanted], check=True)
        done.touch()
    return python
