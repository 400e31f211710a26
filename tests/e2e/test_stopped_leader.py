"""Two pods of the operator as the chart runs them; the one that leads is stopped amid its work."""

import time
from collections.abc import Callable, Iterator

import pytest

from devcluster import Cluster
from devcluster import engine as engines
from devcluster.demo.installation import CHART, RELEASE, SYSTEM_NAMESPACE
from devcluster.kubectl import Kubernetes
from tests.support.e2e import minimal, remove
from tests.support.node import Node
from tests.support.waiting import until

pytestmark = [pytest.mark.kind, pytest.mark.long]
TAKE_OVER_SECONDS = 20


@pytest.fixture
def pair(kubernetes: Kubernetes, kind_cluster: Cluster) -> Iterator[Kubernetes]:
    """The operator's namespace, with two pods of it that are ready."""
    if not kind_cluster.node_ports:
        pytest.skip("only on a cluster of our own: the test stops a process on the node")
    replicas(kubernetes, 2)
    yield Kubernetes(kubernetes.environment, SYSTEM_NAMESPACE)
    remove(kubernetes, "meanwhile")
    replicas(kubernetes, 1)


def replicas(kubernetes: Kubernetes, number: int) -> None:
    kubernetes.helm(
        "upgrade", RELEASE, str(CHART), "--namespace", SYSTEM_NAMESPACE, "--reuse-values",
        "--set", f"replicaCount={number}", "--wait", "--timeout", "120s",
    )  # fmt: skip


def leader(kubernetes: Kubernetes) -> str:
    """The name of the pod that holds the Lease."""
    lease = Kubernetes(kubernetes.environment, "kube-system").get("lease", "modelserver-operator")
    return lease["spec"].get("holderIdentity", "").rpartition("/")[2]


def port(pod: str, path: str) -> tuple[str, str, str]:
    """For kubectl: GET a path of the pod's port, through the API server."""
    return "get", "--raw", f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/pods/{pod}:8080/proxy/{path}"


def writes(system: Kubernetes, pod: str) -> float:
    """How many writes it has counted."""
    lines = system.kubectl(*port(pod, "metrics")).splitlines()
    return sum(
        float(line.split()[-1]) for line in lines if line.startswith("modelserver_operator_writes_total")
    )


def test_a_stopped_leader_is_replaced_within_20_s_and_writes_nothing_when_it_goes_on(
    kubernetes: Kubernetes,
    kind_cluster: Cluster,
    pair: Kubernetes,
    record_property: Callable[[str, object], None],
):
    pods = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pair.items("pods")}
    first = until("one leads", lambda: leader(kubernetes) in pods and leader(kubernetes), timeout=30)
    node = Node(kind_cluster, engines.ensure())
    (pid,) = node.pids(pods[first], "modelserver-operator")
    written = writes(pair, first)

    node.signal(pid, "STOP")
    stopped = time.monotonic()
    try:
        kubernetes.apply(minimal("meanwhile"))
        until("the other leads", lambda: leader(kubernetes) not in {first, ""}, timeout=TAKE_OVER_SECONDS)
        seconds = time.monotonic() - stopped
        until("it works", lambda: kubernetes.condition("meanwhile", "Applied"), timeout=TAKE_OVER_SECONDS)
    finally:
        node.signal(pid, "CONT")
    second = leader(kubernetes)
    record_property("take-over", f"{seconds:.1f} s")
    kubernetes.kubectl("scale", "modelserver/meanwhile", "--replicas=0")
    until("it lives again", lambda: pair.succeeds(*port(first, "healthz")), timeout=30)
    kubernetes.wait_for("meanwhile", timeout=60)
    time.sleep(3)  # for what it had begun to write

    assert seconds <= TAKE_OVER_SECONDS
    assert leader(kubernetes) == second
    assert writes(pair, first) == written
    restarts = [pod["status"]["containerStatuses"][0]["restartCount"] for pod in pair.items("pods")]
    assert restarts == [0, 0], "the kubelet must not have restarted it before it went on"
