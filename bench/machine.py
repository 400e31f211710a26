"""What machine the figures come from: facts that belong next to every number."""

import os
import platform
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_NO_TURBO = Path("/sys/devices/system/cpu/intel_pstate/no_turbo")


def facts() -> dict[str, Any]:
    """The machine as it is now; what cannot be read is None."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "governor": _read(_GOVERNOR),
        "no_turbo": _read(_NO_TURBO),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "busy_before": busy_share(2.0),
        "kernel": platform.release(),
        "python": sys.version.split()[0],
        "versions": {name: version(name) for name in ("openvino", "grpcio", "uvicorn", "uvloop", "orjson")},
    }


def busy_share(seconds: float) -> float:
    """How much of all cores others use right now; some virtual machines tell no load average."""
    before = _ticks()
    time.sleep(seconds)
    after = _ticks()
    total = sum(after) - sum(before)
    idle = (after[3] + after[4]) - (before[3] + before[4])
    return round(1 - idle / total, 2) if total else 0.0


def _ticks() -> list[int]:
    return [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]


def _cpu_model() -> str | None:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def _read(file: Path) -> str | None:
    try:
        return file.read_text().strip()
    except OSError:
        return None
