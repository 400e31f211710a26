"""Documents of GET /status, as a server with one model would answer."""

import json
from typing import Any


def report(revision: str = "r1", models: int = 1, **changes: Any) -> dict[str, Any]:
    """`changes`: error, state and wanted of each model and its version."""
    version = {
        "version": 1, "state": changes.get("state", "AVAILABLE"), "wanted": changes.get("wanted", True),
        "error": None,
    }  # fmt: skip
    model = {
        "device": "CPU", "executionDevices": ["CPU"], "streams": 1, "nireq": 2, "hint": "THROUGHPUT",
        "versions": [version], "revision": revision, "error": changes.get("error"),
    }  # fmt: skip
    return {
        "schemaVersion": 1, "revision": revision, "affinity": [0], "cpusOnline": 4, "threads": 1,
        "quota": None, "cpus": {"cgroup": 2, "ownCpuset": [0], "siblings": [], "numaNodes": []},
        "pinning": True, "pinningReason": "one model on CPUs of its own", "workers": 1, "warnings": [],
        "models": [{"name": f"m{number or ''}", **model} for number in range(models)],
    }  # fmt: skip


def document(revision: str = "r1", models: int = 1, **changes: Any) -> bytes:
    return json.dumps(report(revision, models, **changes)).encode()
