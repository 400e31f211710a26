"""Load makes three replicas of one and its end makes one again, by each metric, and not one request fails."""

from collections.abc import Iterator

import pytest

from devcluster.demo import installation
from devcluster.kubectl import Kubernetes
from tests.support import scaled
from tests.support.scaled import HEAVY, LIGHT, Clients, Course, Document, Record

pytestmark = [pytest.mark.kind, pytest.mark.long, pytest.mark.timeout(1500)]
FROM_ONE_TO_THREE = {"minReplicas": 1, "maxReplicas": 3}
METRICS = {
    "CPU": scaled.HALF,
    "Concurrency": {"type": "Concurrency", "averageValue": "1500m"},
}


def up_and_down(kubernetes: Kubernetes, name: str, record: Record) -> None:
    """Many clients until there are three replicas, a few all the time, until there is one again."""
    course = Course(kubernetes, name, record)
    course.reaches(1, "until one replica is there")
    with Clients(kubernetes, name, **LIGHT) as few:
        with Clients(kubernetes, name, **HEAVY) as many:
            course.begin()
            course.reaches(3, "from the load to three ready replicas")
            record("Autoscaled under load", scaled.autoscaled(kubernetes, name)["message"])
        course.begin()
        course.reaches(1, "from the end of the load to one replica")
    record("requests", few.answered + many.answered)

    assert many.errors == []
    assert few.errors == []
    assert many.answered > 100


@pytest.fixture(params=METRICS)
def by_metric(request: pytest.FixtureRequest, keda: Kubernetes, clients: str) -> Iterator[str]:
    name = f"by-{request.param.lower()}"
    wish = {**FROM_ONE_TO_THREE, "metrics": [METRICS[request.param]]}
    limits = {"requests": {"cpu": "100m"}, "limits": {"cpu": "400m", "memory": "512Mi"}}
    with scaled.running(keda, scaled.scaled(name, wish, resources=limits)):
        yield name


def test_one_to_three_to_one_by_a_metric(keda: Kubernetes, by_metric: str, record_property: Record):
    up_and_down(keda, by_metric, record_property)


@pytest.fixture
def example(keda: Kubernetes, clients: str) -> Iterator[str]:
    """The third example on a small node: little CPU, one replica to begin with, and a quick end."""
    document = scaled.example("03-autoscaled")
    spec: Document = document["spec"]
    spec |= scaled.SMALL
    spec["autoscaling"] |= {**FROM_ONE_TO_THREE, "behavior": scaled.QUICK}
    with scaled.running(keda, document) as name:
        yield name


def test_one_to_three_to_one_by_requests_per_stream_as_the_example_has_it(
    keda: Kubernetes, example: str, record_property: Record
):
    up_and_down(keda, example, record_property)


@pytest.fixture
def by_prometheus(keda: Kubernetes, prometheus: Kubernetes, clients: str) -> Iterator[str]:
    """An object without autoscaling, and the ScaledObject of the fifth example aimed at it."""
    directory = installation.EXAMPLES / "05-prometheus"
    document = scaled.example(directory.name)
    document["spec"] |= scaled.SMALL
    scaler = '{"spec": {"advanced": {"horizontalPodAutoscalerConfig": {"behavior": BEHAVIOR}}}}'
    with scaled.running(keda, document) as name:
        keda.apply(directory / "scaledobject.yaml")
        try:
            quick = scaler.replace("BEHAVIOR", scaled.QUICK_TEXT)
            keda.kubectl("patch", "scaledobject", name, "--type=merge", "-p", quick)
            yield name
        finally:
            keda.kubectl("delete", "scaledobject", name, "--wait=true")


def test_one_to_three_to_one_by_the_users_own_scaled_object_on_prometheus(
    keda: Kubernetes, by_prometheus: str, record_property: Record
):
    up_and_down(keda, by_prometheus, record_property)

    condition = scaled.says(keda, by_prometheus, "ForeignAutoscaler")
    assert condition["status"] == "True"
    assert f"ScaledObject {by_prometheus} scales this object" in condition["message"]
