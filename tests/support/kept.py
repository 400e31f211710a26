"""What is kept of the object `server`, and what runs of it."""

import json

from devcluster.kubectl import Kubernetes
from tests.support.children import OURS, SOON, deployment, patch
from tests.support.waiting import until

OLD, NEW = "modelserver:test", "modelserver:next"
UPGRADE, CURRENT, LAST_GOOD = (f"modelserver.dev/{word}" for word in ("upgrade", "current", "last-good"))


def image(kubernetes: Kubernetes) -> str:
    return deployment(kubernetes)["spec"]["template"]["spec"]["containers"][0]["image"]


def config(kubernetes: Kubernetes) -> dict:
    return json.loads(kubernetes.get("configmap", "server-config")["data"]["config.json"])


def revisions(kubernetes: Kubernetes) -> list[dict]:
    """The newest last."""
    found = kubernetes.items("controllerrevisions", f"{OURS},app.kubernetes.io/instance=server")
    return sorted(found, key=lambda item: item["revision"])


def roles(kubernetes: Kubernetes) -> list[tuple[int, set[str]]]:
    return [
        (item["revision"], {CURRENT, LAST_GOOD} & item["metadata"]["labels"].keys())
        for item in revisions(kubernetes)
    ]


def status(kubernetes: Kubernetes) -> dict:
    return kubernetes.get("modelserver", "server").get("status") or {}


def is_carried_out(kubernetes: Kubernetes) -> bool:
    """Whether the operator has applied this generation."""
    found = kubernetes.get("modelserver", "server")
    applied = kubernetes.condition("server", "Applied")
    return (applied.get("status"), applied.get("observedGeneration")) == (
        "True",
        found["metadata"]["generation"],
    )


def change(kubernetes: Kubernetes, **spec) -> None:
    patch(kubernetes, "modelserver/server", {"spec": spec})
    until("it is carried out", lambda: is_carried_out(kubernetes), timeout=SOON)


def ask_for_upgrade(kubernetes: Kubernetes, value: str) -> None:
    kubernetes.kubectl("annotate", "--overwrite", "modelserver/server", f"{UPGRADE}={value}")


def generation(kubernetes: Kubernetes) -> int:
    """Of the Deployment: any change of its spec counts."""
    return deployment(kubernetes)["metadata"]["generation"]
