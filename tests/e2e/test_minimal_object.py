"""The minimal object, one model with name and uri, is admitted, runs and is Ready on any node."""

from collections.abc import Iterator

import pytest

from devcluster import Cluster
from devcluster import engine as engines
from devcluster.demo import evidence
from devcluster.kubectl import Kubernetes
from tests.support.e2e import minimal, pod_of, remove
from tests.support.node import Node

pytestmark = pytest.mark.kind


@pytest.fixture
def no_cpu_policy(kind_cluster: Cluster) -> Iterator[None]:
    """The node's kubelet runs without the static CPU policy."""
    if not kind_cluster.node_ports:
        pytest.skip("only on a cluster of our own: the test changes the kubelet's configuration")
    node = Node(kind_cluster, engines.ensure())
    node.set_cpu_policy("none")
    yield
    node.set_cpu_policy("static")


def test_it_is_ready_with_a_cpu_of_its_own_where_the_kubelet_has_the_static_policy(kubernetes: Kubernetes):
    kubernetes.apply(minimal("minimal"))
    kubernetes.wait_for("minimal")

    assert kubernetes.condition("minimal", "ExclusiveCPUs")["status"] == "True"
    assert pod_of(kubernetes, "minimal")["status"]["qosClass"] == "Guaranteed"
    remove(kubernetes, "minimal")


def test_it_is_ready_and_says_why_its_cpus_are_shared_where_there_is_no_policy(
    kubernetes: Kubernetes, no_cpu_policy: None
):
    kubernetes.apply(minimal("minimal"))
    kubernetes.wait_for("minimal")

    exclusive = kubernetes.condition("minimal", "ExclusiveCPUs")
    assert (exclusive["status"], exclusive["reason"]) == ("False", "NodePolicyNone")
    assert "policy" in exclusive["message"]
    assert kubernetes.get("modelserver", "minimal")["status"]["tuning"]["pinning"] is False
    assert not evidence.affinities(kubernetes, "minimal").are_exclusive
    remove(kubernetes, "minimal")
