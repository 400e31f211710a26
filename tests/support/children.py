"""What the operator's tests look for: an object's children, and who says what about them."""

import json

from devcluster.kubectl import Kubernetes
from tests.support.modelservers import model_server
from tests.support.waiting import until

CHILDREN = [
    "ConfigMap/server-config",
    "Deployment/server",
    "Service/server",
    "Service/server-headless",
    "ServiceAccount/server",
]
KINDS = "configmaps,deployments,services,serviceaccounts"
OURS = "app.kubernetes.io/managed-by=modelserver-operator"
SOON = 30


def submit(kubernetes: Kubernetes, body: dict) -> None:
    kubernetes.apply(json.dumps(body))


def children(kubernetes: Kubernetes) -> list[str]:
    return sorted(f"{item['kind']}/{item['metadata']['name']}" for item in kubernetes.items(KINDS, OURS))


def versions(kubernetes: Kubernetes) -> dict[str, object]:
    """By uid, what a write to a child changes; of a Deployment without what its controller writes."""
    return {item["metadata"]["uid"]: _version(item) for item in kubernetes.items(KINDS, OURS)}


def _version(item: dict) -> object:
    metadata = item["metadata"]
    if item["kind"] != "Deployment":
        return metadata["resourceVersion"]
    annotations = metadata.get("annotations", {}).items()
    ours = {name: value for name, value in annotations if name != "deployment.kubernetes.io/revision"}
    return metadata["generation"], metadata.get("labels"), ours


def created(kubernetes: Kubernetes, **spec) -> None:
    submit(kubernetes, model_server(**spec))
    until("all children", lambda: children(kubernetes) == CHILDREN, timeout=SOON)
    until("Applied", lambda: kubernetes.condition("server", "Applied").get("status") == "True", timeout=SOON)


def patch(kubernetes: Kubernetes, what: str, change: dict, *options: str) -> None:
    kubernetes.kubectl("patch", what, "--type=merge", "-p", json.dumps(change), *options)


def deployment(kubernetes: Kubernetes) -> dict:
    return kubernetes.get("deployment", "server")


def events(kubernetes: Kubernetes, reason: str) -> list[str]:
    found = json.loads(
        kubernetes.kubectl("get", "events", "--field-selector", f"reason={reason}", "-o", "json")
    )
    return [item["message"] for item in found["items"]]


def is_alone(kubernetes: Kubernetes) -> bool:
    """Whether the namespaces of all other tests are gone."""
    names = kubernetes.kubectl("get", "namespaces", "-o", "name").split()
    return [name for name in names if name.startswith("namespace/t-")] == [
        f"namespace/{kubernetes.namespace}"
    ]
