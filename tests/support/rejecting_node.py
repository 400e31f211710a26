"""A node whose kubelet takes or rejects pods as a test says; there is no kubelet and no scheduler."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from devcluster.errors import CommandFailed
from devcluster.kubectl import Kubernetes, selector
from tests.support.waiting import until

MESSAGE = "Allocate failed due to rpc error: code = Unavailable desc = no driver, which is unexpected"


@dataclass(frozen=True)
class Node:
    """One for the pods of one object."""

    kubernetes: Kubernetes
    name: str
    server: str

    def reject(self, reason: str = "UnexpectedAdmissionError") -> int:
        """Reject all pods that no node has; how many that were."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return self._answer({"phase": "Failed", "reason": reason, "message": MESSAGE, "startTime": at})

    def take(self) -> int:
        """Take all pods that no node has, and begin to create their containers; how many that were."""
        container = {
            "name": "modelserver", "image": "i", "imageID": "", "ready": False, "restartCount": 0,
            "state": {"waiting": {"reason": "ContainerCreating"}},
        }  # fmt: skip
        return self._answer({"containerStatuses": [container]})

    def waiting(self) -> list[dict]:
        """Its pods that no node has."""
        return [pod for pod in self.kubernetes.items("pods", selector(self.server)) if _is_free(pod)]

    def is_empty(self) -> bool:
        """Delete its pods; whether none is left."""
        label = selector(self.server)
        self.kubernetes.kubectl("delete", "pods", "-l", label, "--force", "--grace-period=0")
        return not self.kubernetes.items("pods", label)

    def _answer(self, status: dict) -> int:
        return sum(self._is_answered(pod["metadata"]["name"], status) for pod in self.waiting())

    def _is_answered(self, pod: str, status: dict) -> bool:
        try:
            self._bind(pod)
            self._report(pod, status)
        except CommandFailed as error:
            if "NotFound" not in str(error) and "is being deleted" not in str(error):
                raise
            return False  # by its ReplicaSet
        return True

    def _report(self, pod: str, status: dict) -> None:
        """One that its ReplicaSet has deleted meanwhile is gone then."""
        options = ("--subresource=status", "--type=merge", "-o", "json", "-p", json.dumps({"status": status}))
        written = json.loads(self.kubernetes.kubectl("patch", "pod", pod, *options))
        if "deletionTimestamp" in written["metadata"]:
            self.kubernetes.kubectl("delete", "pod", pod, "--force", "--grace-period=0")

    def _bind(self, pod: str) -> None:
        target = {"kind": "Node", "name": self.name}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target}
        path = f"/api/v1/namespaces/{self.kubernetes.namespace}/pods/{pod}/binding"
        self.kubernetes.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(binding))


def _is_free(pod: dict) -> bool:
    is_waiting = pod["status"].get("phase") == "Pending" and "nodeName" not in pod["spec"]
    return is_waiting and "deletionTimestamp" not in pod["metadata"]


@contextmanager
def node(kubernetes: Kubernetes, server: str = "server") -> Iterator[Node]:
    """Removed together with the object and its pods, whose end no kubelet would confirm."""
    name = f"{server}-of-{kubernetes.namespace}"
    kubernetes.apply(json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}))
    found = Node(kubernetes, name, server)
    try:
        yield found
    finally:
        kubernetes.kubectl("delete", "modelserver", server, "--wait=true", "--ignore-not-found")
        kubernetes.kubectl("delete", "deployment", server, "--wait=true", "--ignore-not-found")
        until("its pods are gone", found.is_empty, timeout=30)
        kubernetes.kubectl("delete", "node", name)
