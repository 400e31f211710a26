"""Constant load on served objects, from a pod of its own."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from devcluster.kubectl import Kubernetes

_LOAD = Path(__file__).with_name("load.py").read_text()
_POD = """
apiVersion: v1
kind: Pod
metadata: {name: load}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
  - name: load
    image: IMAGE
    command: [/opt/venv/bin/python, -c, "import time; time.sleep(3600)"]
"""


@contextlib.contextmanager
def client(kubernetes: Kubernetes, image: str) -> Iterator[None]:
    """The pod from which requests are sent; `image` is that of the server."""
    kubernetes.apply(_POD.replace("IMAGE", image))
    try:
        kubernetes.kubectl("wait", "pod/load", "--for=condition=Ready", "--timeout=60s")
        yield
    finally:
        kubernetes.kubectl("delete", "pod", "load", "--ignore-not-found", "--wait=true")


def under_load(kubernetes: Kubernetes, name: str) -> "subprocess.Popen[str]":
    """Requests to an object until the process's stdin is closed."""
    command = ["kubectl", "exec", "-i", "pod/load", "--", "/opt/venv/bin/python", "-c", _LOAD]
    return subprocess.Popen(
        [*command, name, "8081"],
        env=kubernetes.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
