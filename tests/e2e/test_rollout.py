"""A change of the pod template gets through even where a surge pod finds no CPU: one is all this node has."""

import json

import pytest

from devcluster.kubectl import Kubernetes, selector
from tests.support.e2e import pod_of
from tests.support.waiting import until

pytestmark = pytest.mark.kind
CHANGE = {"spec": {"pod": {"env": [{"name": "ROLLED", "value": "yes"}]}}}


def test_where_there_is_no_room_for_a_surge_pod_the_old_one_is_replaced_and_the_status_reports_it(
    kubernetes: Kubernetes, example: str
):
    before = pod_of(kubernetes, example)["metadata"]["uid"]

    kubernetes.kubectl("patch", "modelserver", example, "--type=merge", "-p", json.dumps(CHANGE))

    messages: set[str] = set()

    def is_rolled() -> bool:
        ready = kubernetes.condition(example, "Ready")
        messages.add(ready.get("message", ""))
        pods = kubernetes.items("pods", selector(example))
        return ready.get("status") == "True" and [pod["metadata"]["uid"] for pod in pods] not in (
            [before],
            [],
        )

    until("the new pod serves", is_rolled, timeout=150)
    assert any("no node can fit" in message for message in messages), messages
    deployment = kubernetes.items("deployments", selector(example))[0]
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
