"""CPU alone: a HorizontalPodAutoscaler with figures of the real metrics-server; and what a drain may take."""

from collections.abc import Iterator

import pytest

from devcluster.errors import CommandFailed
from devcluster.kubectl import Kubernetes, selector
from tests.support import scaled
from tests.support.scaled import Clients, Course, Record
from tests.support.waiting import until

pytestmark = [pytest.mark.kind, pytest.mark.timeout(600)]
NAME = "by-cpu"
EVICTION = '{{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {{"name": "{pod}"}}}}'


@pytest.fixture(scope="module")
def by_cpu(kubernetes: Kubernetes, clients: str) -> Iterator[str]:
    wish = {"minReplicas": 1, "maxReplicas": 2, "metrics": [scaled.HALF]}
    with scaled.running(kubernetes, scaled.scaled(NAME, wish, resources=scaled.MEASURED)) as name:
        yield name


def test_load_makes_a_second_replica_by_cpu_and_no_request_fails(
    kubernetes: Kubernetes, by_cpu: str, record_property: Record
):
    course = Course(kubernetes, by_cpu, record_property)
    with Clients(kubernetes, by_cpu, number=1, pause=0.03) as clients:
        course.reaches(2, "from the first request to two ready replicas")
    record_property("requests", clients.answered)

    assert clients.errors == []
    assert clients.answered > 20
    assert course.wished == [1, 2]
    assert "CPU" in scaled.autoscaled(kubernetes, by_cpu)["message"]


def test_the_budget_refuses_a_second_eviction_while_the_first_is_not_replaced(
    kubernetes: Kubernetes, by_cpu: str, record_property: Record
):
    scaled.patch(kubernetes, by_cpu, {"autoscaling": {"minReplicas": 2}})
    Course(kubernetes, by_cpu, record_property).reaches(2, "until both replicas are ready")
    first, second = until("two pods that may go, one at a time", lambda: both(kubernetes), timeout=90)

    evict(kubernetes, first)
    with pytest.raises(CommandFailed, match=r"TooManyRequests.*disruption budget"):
        evict(kubernetes, second)


def both(kubernetes: Kubernetes) -> list[str]:
    """The two pods, once the budget allows one of them to go."""
    pods = [pod["metadata"] for pod in kubernetes.items("pods", selector(NAME))]
    budget = kubernetes.items("pdb", selector(NAME))
    is_settled = len(pods) == 2 and not any("deletionTimestamp" in pod for pod in pods)
    allows = [item["status"].get("disruptionsAllowed") for item in budget] == [1]
    return [pod["name"] for pod in pods] if is_settled and allows else []


def evict(kubernetes: Kubernetes, pod: str) -> None:
    path = f"/api/v1/namespaces/{kubernetes.namespace}/pods/{pod}/eviction"
    kubernetes.kubectl("create", "--raw", path, "-f", "-", stdin=EVICTION.format(pod=pod))
