"""What several end-to-end tests do."""

from pathlib import Path

from devcluster import Cluster, load
from devcluster.demo import images, installation
from devcluster.kubectl import Kubernetes, selector
from tests.support.waiting import until

MINIMAL = """
apiVersion: modelserver.dev/v1alpha1
kind: ModelServer
metadata: {name: NAME}
spec:
  models:
  - {name: text-orientation, uri: "pvc://models/text-orientation"}
"""
# What a server writes to its log counts as ephemeral storage, and its file system is read-only.
FILL_THE_LOG = "head -c 6000000 /dev/zero | tr '\\0' x | fold -w 1000 > /proc/1/fd/1"


def minimal(name: str) -> str:
    """The smallest object there is: one model with name and uri."""
    return MINIMAL.replace("NAME", name)


def install(cluster: Cluster, operator: images.Image, server: images.Image, model: Path) -> Kubernetes:
    load(cluster.name, operator.name, server.name)
    kubernetes = cluster.kubernetes()
    # Only pods that a node rejects wait for it: ten minutes otherwise.
    installation.install_operator(kubernetes, operator.name, server.name, values=["rejectionRetrySeconds=6"])
    installation.fill_models_volume(kubernetes, server.name, model)
    return kubernetes


def remove(kubernetes: Kubernetes, name: str) -> None:
    kubernetes.kubectl("delete", "modelserver", name, "--ignore-not-found", "--wait=true")
    # No client uses these pods any more: do not wait for their drain.
    kubernetes.kubectl("delete", "pods", "--selector", selector(name), "--grace-period=1", "--wait=false")
    until(f"no pod of {name} is left", lambda: not kubernetes.items("pods", selector(name)), timeout=90)


def end_drains(kubernetes: Kubernetes, name: str) -> None:
    """End the pods that are being deleted, where the rest of their drain does not matter."""
    pods = [pod["metadata"] for pod in kubernetes.items("pods", selector(name))]
    ending = [pod["name"] for pod in pods if "deletionTimestamp" in pod]
    if ending:
        kubernetes.kubectl(
            "delete", "pods", *ending, "--ignore-not-found", "--grace-period=1", "--wait=false"
        )


def pod_of(kubernetes: Kubernetes, name: str) -> dict:
    (pod,) = kubernetes.items("pods", selector(name))
    return pod
