"""Models and tuning change inside the running server: no pod is replaced."""

import json

import pytest

from devcluster.kubectl import Kubernetes
from tests.support.e2e import pod_of

pytestmark = pytest.mark.kind


def test_a_changed_hint_is_served_by_the_same_pod(kubernetes: Kubernetes, example: str):
    before = pod_of(kubernetes, example)["metadata"]["uid"]
    assert kubernetes.get("modelserver", example)["status"]["tuning"]["hint"] == "THROUGHPUT"

    kubernetes.kubectl(
        "patch", "modelserver", example, "--type=merge", "-p", json.dumps({"spec": {"hint": "LATENCY"}})
    )

    kubernetes.wait_for(example, timeout=60)
    assert kubernetes.get("modelserver", example)["status"]["tuning"]["hint"] == "LATENCY"
    assert pod_of(kubernetes, example)["metadata"]["uid"] == before
    assert pod_of(kubernetes, example)["status"]["containerStatuses"][0]["restartCount"] == 0
