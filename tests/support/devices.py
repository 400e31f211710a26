"""Devices that a node of a test's cluster offers: the device plugin beside this file, in a privileged pod."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devcluster.kubectl import Kubernetes
from tests.support.waiting import until

_PROGRAM = Path(__file__).with_name("device_plugin.py")
_PYTHON = "/opt/venv/bin/python"
_SOCKETS = "/var/lib/kubelet/device-plugins"
_FAILING = "/state/failing"


@dataclass(frozen=True)
class DeviceFile:
    """What a container gets with a device."""

    name: str
    """Below /dev."""
    group: int


@dataclass(frozen=True)
class Devices:
    """One resource of the node on which its pod runs."""

    kubernetes: Kubernetes
    pod: str
    resource: str
    node: str

    def break_down(self, why: str) -> None:
        """From now on every allocation fails."""
        self._run(f"import pathlib; pathlib.Path({_FAILING!r}).write_text({why!r})")

    def mend(self) -> None:
        """From now on allocations succeed."""
        self._run(f"import os; os.remove({_FAILING!r})")

    def take_away(self) -> None:
        """Nobody offers them any more."""
        self.kubernetes.kubectl("delete", "pod", self.pod, "--wait=true")
        until("the node has none", lambda: self.offered() == 0, timeout=60)

    def offered(self) -> int:
        """How many the node has to give, as the scheduler sees them."""
        allocatable = self.kubernetes.get("node", self.node)["status"]["allocatable"]
        return int(allocatable.get(self.resource, "0"))

    def _run(self, script: str) -> None:
        self.kubernetes.exec(self.pod, _PYTHON, "-c", script)


@contextmanager
def devices(
    kubernetes: Kubernetes, image: str, resource: str, count: int, file: DeviceFile | None = None
) -> Iterator[Devices]:
    """The node offers them meanwhile; `image` is that of the server, `file` is handed out with each."""
    name = resource.rpartition("/")[2]
    program = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    kubernetes.apply(json.dumps(program | {"data": {_PROGRAM.name: _PROGRAM.read_text()}}))
    kubernetes.apply(json.dumps(_pod(name, image, resource, count, file)))
    try:
        kubernetes.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=60s")
        node = kubernetes.get("pod", name)["spec"]["nodeName"]
        found = Devices(kubernetes, name, resource, node)
        until("the node offers the devices", lambda: found.offered() == count, timeout=60)
        yield found
    finally:
        kubernetes.kubectl("delete", "pod", name, "--wait=true", "--ignore-not-found")
        kubernetes.kubectl("delete", "configmap", name)
        # The next plugin of the same resource begins with devices of its own.
        until("the node has none", lambda: not found.offered(), timeout=60)


def _pod(name: str, image: str, resource: str, count: int, file: DeviceFile | None) -> dict:
    command = [_PYTHON, f"/program/{_PROGRAM.name}"]
    command += [f"--resource={resource}", f"--count={count}", f"--failing-file={_FAILING}"]
    command += [f"--device-file={file.name}", f"--group={file.group}"] if file else []
    mounts = {"sockets": _SOCKETS, "program": "/program", "state": "/state", "devices": "/node-dev"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 3,
            "restartPolicy": "Never",
            "containers": [
                {
                    "name": "plugin",
                    "image": image,
                    "command": command,
                    "securityContext": {"privileged": True, "runAsUser": 0},
                    "resources": {"limits": {"cpu": "50m", "memory": "128Mi"}},
                    "volumeMounts": [{"name": key, "mountPath": path} for key, path in mounts.items()],
                }
            ],
            "volumes": [
                {"name": "sockets", "hostPath": {"path": _SOCKETS}},
                {"name": "program", "configMap": {"name": name}},
                {"name": "state", "emptyDir": {}},
                {"name": "devices", "hostPath": {"path": "/dev"}},
            ],
        },
    }
