"""A small object that any node can run, for tests of what its conditions say."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from devcluster.kubectl import Kubernetes
from tests.support.e2e import remove
from tests.support.models import dummy, save

NAME = "judged"
CPU_OF_ITS_OWN = {"limits": {"cpu": "1", "memory": "512Mi"}}
SHARED = {"cpuManagerPolicy": "none", "resources": {"limits": {"cpu": "200m", "memory": "512Mi"}}}


@contextmanager
def model(kubernetes: Kubernetes, directory: Path) -> Iterator[None]:
    """Its model, in a ConfigMap, which every node can mount."""
    files = save(dummy(), directory / "1")
    data = {path.name: base64.b64encode(path.read_bytes()).decode() for path in sorted(files.iterdir())}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "binaryData": data}
    kubernetes.kubectl("create", "-f", "-", stdin=json.dumps(body))
    try:
        yield
    finally:
        kubernetes.kubectl("delete", "configmap", NAME)


def manifest(name: str = NAME, pod: dict[str, Any] | None = None, **spec: Any) -> str:
    """`pod` and `spec`: fields on top."""
    items = [{"key": key, "path": f"1/{key}"} for key in ("model.xml", "model.bin")]
    given = {
        "models": [{"name": "plus-one", "uri": "file:///plus-one"}],
        "resources": CPU_OF_ITS_OWN,
        "rollout": {"drainSeconds": 0},
        "pod": {
            "volumes": [{"name": "model", "configMap": {"name": NAME, "items": items}}],
            "volumeMounts": [{"name": "model", "mountPath": "/plus-one"}], **(pod or {}),
        },
    }  # fmt: skip
    body = {
        "apiVersion": "modelserver.dev/v1alpha1", "kind": "ModelServer", "metadata": {"name": name},
        "spec": {**given, **spec},
    }  # fmt: skip
    return json.dumps(body)


@contextmanager
def applied(kubernetes: Kubernetes, text: str, name: str = NAME) -> Iterator[None]:
    """The object exists meanwhile."""
    kubernetes.apply(text)
    try:
        yield
    finally:
        remove(kubernetes, name)


def verdict(kubernetes: Kubernetes, condition: str, name: str = NAME) -> tuple[str, str]:
    """Status and reason of a condition; empty until it speaks of the present generation."""
    found = kubernetes.condition(name, condition)
    return str(found.get("status", "")), str(found.get("reason", ""))
