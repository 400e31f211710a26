"""A pod that the kubelet evicts because it used too much of the node's disk."""

import time
from collections.abc import Callable, Iterator

import pytest

from devcluster.kubectl import Kubernetes
from tests.support.e2e import FILL_THE_LOG, minimal, pod_of, remove
from tests.support.waiting import until

pytestmark = pytest.mark.kind
LIMITED = """
  cpuManagerPolicy: none
  resources:
    limits: {cpu: 500m, memory: 512Mi, ephemeral-storage: 4Mi}
  rollout: {drainSeconds: 0}
"""


@pytest.fixture
def limited(kubernetes: Kubernetes) -> Iterator[str]:
    kubernetes.apply(minimal("evicted") + LIMITED)
    kubernetes.wait_for("evicted")
    yield "evicted"
    remove(kubernetes, "evicted")


def test_the_status_names_the_eviction_and_ready_follows(
    kubernetes: Kubernetes, limited: str, record_property: Callable[[str, object], None]
):
    before = pod_of(kubernetes, limited)["metadata"]["name"]
    seen: list[dict] = []

    def is_seen() -> bool:
        """Whether it was not Ready because of the eviction."""
        seen.append(kubernetes.condition(limited, "Ready"))
        return seen[-1].get("status") == "False" and "Evicted" in seen[-1]["message"]

    begun = time.monotonic()
    kubernetes.exec(before, "sh", "-c", FILL_THE_LOG)
    until("Ready says that it was evicted", is_seen, timeout=90)
    record_property("seconds until Ready said so", f"{time.monotonic() - begun:.1f}")
    record_property("Ready", f"{seen[-1]['reason']}: {seen[-1]['message']}")

    failure = kubernetes.get("modelserver", limited)["status"]["lastFailure"]
    assert (failure["pod"], failure["reason"]) == (before, "Evicted")
    assert "ephemeral" in failure["message"]
    assert "Raise the limit that was exceeded" in seen[-1]["message"]
    kubernetes.wait_for(limited, timeout=60)
    status = kubernetes.get("modelserver", limited)["status"]
    assert status["lastFailure"] == failure
    assert status["models"][0]["versions"][0]["readyPods"] == 1
