"""The part of a kubelet that tests on a bare API server need: a real server behind a real Pod object.

The server is ours and runs with the very arguments of the Pod; only who starts it differs.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from devcluster.kubectl import Kubernetes
from tests.support.server_process import command, environment, fetch, free_port
from tests.support.waiting import until


def ports() -> dict[str, int]:
    """Free ones: all pods here share one address."""
    return {"grpc": free_port(), "rest": free_port(), "status": free_port()}


@contextmanager
def placed(kubernetes: Kubernetes, pod: str) -> Iterator[None]:
    """Give the pod a node on which nothing runs it."""
    node = f"of-{kubernetes.namespace}"
    kubernetes.apply(json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}}))
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": pod},
        "target": {"kind": "Node", "name": node},
    }
    path = f"/api/v1/namespaces/{kubernetes.namespace}/pods/{pod}/binding"
    kubernetes.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(binding))
    try:
        yield
    finally:
        # No kubelet would confirm that it has ended.
        kubernetes.kubectl("delete", "pod", pod, "--force", "--grace-period=0", "--ignore-not-found")
        kubernetes.kubectl("delete", "node", node)


def report(kubernetes: Kubernetes, name: str, ready: str, **container: dict) -> None:
    """Write a pod's status as the kubelet would; its address is this machine's loopback."""
    status = {
        "phase": "Running",
        "podIP": "127.0.0.1",
        "podIPs": [{"ip": "127.0.0.1"}],
        "conditions": [
            {"type": kind, "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}
            for kind in ("Ready", "ContainersReady")
        ],
        "containerStatuses": [
            {
                "name": "modelserver",
                "image": "modelserver:test",
                "imageID": "",
                "ready": ready == "True",
                "restartCount": 0,
                "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
                **container,
            }
        ],
    }
    kubernetes.kubectl(
        "patch", "pod", name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status})
    )


class RunningPod:
    """The one pod of an object, with its server; a context manager."""

    def __init__(self, kubernetes: Kubernetes, directory: Path, cpus: str) -> None:
        self._kubernetes = kubernetes
        self._directory = directory
        self._cpus = cpus
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed at the exit
        self.name = ""
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> Self:
        (pod,) = until("a pod", lambda: self._kubernetes.items("pods"), timeout=20)
        self.name = pod["metadata"]["name"]
        self.bring_configuration()
        (container,) = pod["spec"]["containers"]
        arguments = [a.replace("/etc/modelserver", str(self._directory)) for a in container["args"]]
        self.status_port = next(int(a.partition("=")[2]) for a in arguments if a.startswith("--status_port"))
        self.process = subprocess.Popen(
            ["taskset", "-c", self._cpus, *command(*arguments)],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=environment(),
        )
        until("the server lives", lambda: self._answers("/v2/health/live"), timeout=30)
        return self

    def __exit__(self, *_) -> None:
        self.end()
        self._log.close()

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def bring_configuration(self) -> None:
        """What the kubelet does with a ConfigMap volume: a new file takes the old one's place."""
        content = self._kubernetes.get("configmap", "server-config")["data"]["config.json"]
        new = self._directory / ".config.json"
        new.write_text(content)
        new.rename(self._directory / "config.json")

    def become_ready(self) -> None:
        until("the server is ready", lambda: self._answers("/v2/health/ready"), timeout=60)
        self.report("True")

    def report(self, ready: str, **container: dict) -> None:
        """Write the pod's status as the kubelet would."""
        report(self._kubernetes, self.name, ready, **container)

    def status(self) -> bytes:
        return fetch(f"http://127.0.0.1:{self.status_port}/status")[1]

    def _answers(self, path: str) -> bool:
        if self.process is not None and self.process.poll() is not None:
            self._log.seek(0)
            sys.stderr.write(self._log.read())
            raise AssertionError("the server has ended")
        try:
            return fetch(f"http://127.0.0.1:{self.status_port}{path}")[0] == 200
        except OSError:
            return False


Start = Callable[..., RunningPod]
