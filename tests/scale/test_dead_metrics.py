"""Whoever gives the figures is down: replicas stay, Autoscaled says why, and afterwards it goes on."""

from collections.abc import Callable, Iterator

import pytest

from devcluster.demo.installation import RELEASE, SYSTEM_NAMESPACE
from devcluster.kubectl import Kubernetes
from tests.support import keda as real_keda
from tests.support import scaled
from tests.support.scaled import HEAVY, Clients, Course, Record
from tests.support.waiting import until

pytestmark = [pytest.mark.kind, pytest.mark.long, pytest.mark.timeout(1800)]
NAME = "by-requests"


@pytest.fixture
def by_requests(keda: Kubernetes, clients: str) -> Iterator[str]:
    metrics = [{"type": "RequestsPerStream", "averageValue": "750m"}]
    wish = {"minReplicas": 1, "maxReplicas": 3, "metrics": metrics}
    with scaled.running(keda, scaled.scaled(NAME, wish)) as name:
        yield name


def goes_down_under_load(keda: Kubernetes, course: Course, stop: Callable[[], None]) -> None:
    """There are three replicas because of their load; with the figures gone, the load ends."""
    with Clients(keda, NAME, **HEAVY) as clients:
        course.reaches(3, "to three replicas")
        stop()
    assert clients.errors == []
    course.wished.clear()


def operator_scaled(kubernetes: Kubernetes, replicas: int) -> None:
    system = Kubernetes(kubernetes.environment, SYSTEM_NAMESPACE)
    system.kubectl("scale", f"deployment/{RELEASE}", f"--replicas={replicas}")
    if replicas:
        system.kubectl("rollout", "status", f"deployment/{RELEASE}", "--timeout=120s", timeout=150)
    else:
        until("the operator is gone", lambda: not system.items("pods"), timeout=60)


def test_while_the_operator_is_down_replicas_stay_and_afterwards_they_follow_the_load(
    keda: Kubernetes, by_requests: str, record_property: Record
):
    course = Course(keda, by_requests, record_property)
    try:
        goes_down_under_load(keda, course, lambda: operator_scaled(keda, 0))
        course.begin()
        course.stays(3, lambda: failures(keda) > 3 and fallback(keda) == "True", timeout=240)
        record_property("seconds until KEDA falls back", course.seconds())
        before = failures(keda)
        course.stays(3, lambda: failures(keda) > before + 3, timeout=240)
    finally:
        operator_scaled(keda, 1)

    course.begin()
    course.reaches(1, "from the operator's return to one replica")
    assert scaled.says(keda, by_requests, "Autoscaled")["status"] == "True"


def test_while_keda_is_down_replicas_stay_and_autoscaled_says_so(
    keda: Kubernetes, by_requests: str, record_property: Record
):
    course = Course(keda, by_requests, record_property)
    try:
        goes_down_under_load(keda, course, lambda: real_keda.scale(keda, 0))
        course.begin()
        condition = scaled.says(keda, by_requests, "MetricsUnavailable", timeout=240)
        record_property("seconds until Autoscaled says so", course.seconds())
        record_property("Autoscaled", condition["message"])
        before = complaints(keda)
        course.stays(3, lambda: complaints(keda) > before + 2, timeout=240)
    finally:
        real_keda.scale(keda, 1)

    assert "HorizontalPodAutoscaler cannot scale" in condition["message"]
    course.begin()
    course.reaches(1, "from KEDA's return to one replica")
    assert scaled.says(keda, by_requests, "Autoscaled")["status"] == "True"


def failures(keda: Kubernetes) -> int:
    """How often KEDA has asked in vain, in turn."""
    health = (keda.get("scaledobject", NAME).get("status") or {}).get("health") or {}
    return max((item.get("numberOfFailures") or 0 for item in health.values()), default=0)


def fallback(keda: Kubernetes) -> str:
    """Whether KEDA says that it has no figures."""
    conditions = (keda.get("scaledobject", NAME).get("status") or {}).get("conditions") or []
    return next((item["status"] for item in conditions if item["type"] == "Fallback"), "")


def complaints(keda: Kubernetes) -> int:
    """How often the controller of HorizontalPodAutoscalers has asked KEDA in vain."""
    events = [item for item in keda.items("events") if item["involvedObject"]["name"] == f"keda-hpa-{NAME}"]
    return sum(item.get("count") or 1 for item in events if item["type"] == "Warning")
