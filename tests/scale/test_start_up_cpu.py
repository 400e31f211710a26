"""A server that loads a model uses all of its CPU, and this is no load: it asks for no further replica."""

from collections.abc import Iterator
from datetime import datetime

import pytest

from devcluster.demo import installation, weights
from devcluster.errors import CommandFailed
from devcluster.host.paths import cache
from devcluster.kubectl import Kubernetes, selector
from tests.support import scaled
from tests.support.scaled import Course, Record

pytestmark = [pytest.mark.kind, pytest.mark.long, pytest.mark.timeout(600)]
NAME = "slow-to-load"


@pytest.fixture
def slow_to_load(kubernetes: Kubernetes) -> Iterator[str]:
    installation.copy_into_volume(kubernetes, weights.resnet50(cache()), "resnet")
    model = {"name": "resnet", "uri": "pvc://models/resnet"}
    wish = {"minReplicas": 1, "maxReplicas": 4, "metrics": [scaled.HALF]}
    limits = {"requests": {"cpu": "60m"}, "limits": {"cpu": "200m", "memory": "1Gi"}}
    with scaled.running(kubernetes, scaled.scaled(NAME, wish, models=[model], resources=limits)) as name:
        yield name


def test_two_replicas_that_start_do_not_become_more(
    kubernetes: Kubernetes, slow_to_load: str, record_property: Record
):
    scaled.patch(kubernetes, slow_to_load, {"autoscaling": {"minReplicas": 2}})
    course = Course(kubernetes, slow_to_load, record_property)
    course.reaches(2, "until the second replica is ready")
    course.stays(2, lambda: len(measured(kubernetes)) == 2, timeout=240)

    assert course.wished in ([1, 2], [2])
    message = scaled.autoscaled(kubernetes, slow_to_load)["message"]
    record_property("Autoscaled", message)
    assert max(course.wished) == 2


def measured(kubernetes: Kubernetes) -> list[str]:
    """The pods of whose time after they became ready there is a whole measurement, from metrics-server."""
    pods = {pod["metadata"]["name"]: since_ready(pod) for pod in kubernetes.items("pods", selector(NAME))}
    try:
        found = kubernetes.items("podmetrics", selector(NAME))
    except CommandFailed:
        return []
    return [
        item["metadata"]["name"]
        for item in found
        if (ready := pods.get(item["metadata"]["name"]))
        and datetime.fromisoformat(item["timestamp"]).timestamp() > ready + 60
    ]


def since_ready(pod: dict) -> float:
    conditions = pod["status"].get("conditions") or []
    ready = [item for item in conditions if item["type"] == "Ready" and item["status"] == "True"]
    return datetime.fromisoformat(ready[0]["lastTransitionTime"]).timestamp() if ready else 0.0
