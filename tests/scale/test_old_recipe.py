"""The HPA of the deprecated operator's documentation, with apiVersion and kind changed."""

import json
from collections.abc import Iterator

import pytest

from devcluster.kubectl import Kubernetes, selector
from tests.support import prometheus as real_prometheus
from tests.support import scaled
from tests.support.scaled import HEAVY, Clients, Record
from tests.support.waiting import until

pytestmark = [pytest.mark.kind, pytest.mark.long, pytest.mark.timeout(600)]
NAME = "recipe"
EXPRESSION = "avg(avg_over_time(ovms_current_requests[1m]) / avg_over_time(ovms_streams[1m])) by (pod)"
RECIPE = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "recipe-of-old"},
    "spec": {
        "scaleTargetRef": {"apiVersion": "modelserver.dev/v1alpha1", "kind": "ModelServer", "name": NAME},
        "minReplicas": 1,
        "maxReplicas": 3,
        "metrics": [
            {
                "type": "Pods",
                "pods": {
                    "metric": {"name": "ovms_requests_streams_ratio"},
                    "target": {"type": "AverageValue", "averageValue": 1},
                },
            }
        ],
        "behavior": {
            "scaleUp": {"stabilizationWindowSeconds": 120},
            "scaleDown": {"stabilizationWindowSeconds": 120},
        },
    },
}


@pytest.fixture
def recipe(kubernetes: Kubernetes, prometheus: Kubernetes, clients: str) -> Iterator[str]:
    with scaled.running(kubernetes, scaled.scaled(NAME, None)) as name:
        try:
            kubernetes.apply(json.dumps(RECIPE))
            yield name
        finally:
            kubernetes.kubectl("delete", "hpa", "recipe-of-old", "--ignore-not-found")


def test_it_scales_our_object_and_its_expression_is_the_load_of_each_pod(
    kubernetes: Kubernetes, recipe: str, record_property: Record
):
    """Nothing here serves custom metrics: that its figure reaches the HPA is prometheus-adapter's part."""
    looked = until("it has looked", lambda: scaled.looks(kubernetes, recipe), timeout=90)
    assert (looked["AbleToScale"]["status"], looked["AbleToScale"]["reason"]) == ("True", "SucceededGetScale")
    record_property("ScalingActive", looked["ScalingActive"]["message"])

    (pod,) = [pod["metadata"]["name"] for pod in kubernetes.items("pods", selector(recipe))]
    with Clients(kubernetes, recipe, **HEAVY) as clients:
        ratio = until("six clients at one stream", lambda: above(kubernetes, pod, 3.0), timeout=120)
    record_property("requests per stream of six clients", f"{ratio:.1f}")
    assert ratio <= 6.1
    assert clients.errors == []


def above(kubernetes: Kubernetes, pod: str, least: float) -> float:
    """The expression's value for the pod, once it is that much."""
    found = {
        item["metric"]["pod"]: float(item["value"][1])
        for item in real_prometheus.query(kubernetes, EXPRESSION)
    }
    return found.get(pod, 0.0) if found.get(pod, 0.0) >= least else 0.0
