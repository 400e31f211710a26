"""Scalers on a real API server: ours and somebody else's, and what is said about them."""

from typing import Any

from devcluster.kubectl import Kubernetes
from modelserver_operator.naming import selector_text
from tests.support.children import deployment
from tests.support.modelservers import scaled

CPU = scaled(metrics=[{"type": "CPU", "averageUtilization": 80}])
SCALERS = "horizontalpodautoscalers,scaledobjects"


def scalers(kubernetes: Kubernetes) -> list[str]:
    """Ours."""
    found = kubernetes.items(SCALERS, selector_text("server"))
    return sorted(item["kind"] for item in found if item["metadata"]["name"] == "server")


def autoscaled(kubernetes: Kubernetes) -> tuple[str, str]:
    found = kubernetes.condition("server", "Autoscaled")
    return found.get("reason", ""), found.get("message", "")


def replicas(kubernetes: Kubernetes) -> tuple[int, int]:
    """Of the object and of its Deployment."""
    body = kubernetes.get("modelserver", "server")
    return body["spec"]["replicas"], deployment(kubernetes)["spec"]["replicas"]


def hpa(name: str, target: dict[str, str], **spec: Any) -> dict[str, Any]:
    """Somebody else's."""
    cpu = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
    }
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 4, "metrics": [cpu], **spec},
    }


OBJECT = {"apiVersion": "modelserver.dev/v1alpha1", "kind": "ModelServer", "name": "server"}
DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "server"}
