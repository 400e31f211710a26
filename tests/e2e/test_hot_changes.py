"""Models and tuning change inside the running server: no pod is replaced."""

import json

import pytest

from devcluster.demo.kubernetes import Kubernetes, until
from tests.support.e2e import pod_of

pytestmark = pytest.mark.kind


def test_a_changed_hint_is_served_by_the_same_pod(kubernetes: Kubernetes, example: str):
    before = pod_of(kubernetes, example)["metadata"]["uid"]
    assert kubernetes.get("modelserver", example)["status"]["tuning"]["hint"] == "THROUGHPUT"

    kubernetes.kubectl(
        "patch", "modelserver", example, "--type=merge", "-p", json.dumps({"spec": {"hint": "LATENCY"}})
    )

    def served() -> bool:
        found = kubernetes.get("modelserver", example)
        ready = kubernetes.condition(example, "Ready")
        return (
            found["status"]["tuning"].get("hint") == "LATENCY"
            and ready["status"] == "True"
            and ready["observedGeneration"] == found["metadata"]["generation"]
        )

    until("the new hint is served", served, timeout=60)
    assert pod_of(kubernetes, example)["metadata"]["uid"] == before
    assert pod_of(kubernetes, example)["status"]["containerStatuses"][0]["restartCount"] == 0
