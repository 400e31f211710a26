"""A drain of one node of two, under load: the budget holds a pod back until the other one is replaced."""

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import devcluster
from devcluster import engine
from devcluster.demo import images, installation
from devcluster.kubectl import Kubernetes, selector
from tests.support.models import dummy, save
from tests.support.under_load import Load, Serving, client, two_replicas

pytestmark = [pytest.mark.kind, pytest.mark.long, pytest.mark.timeout(900)]
TAINT = "node-role.kubernetes.io/control-plane"
# Both nodes have the model: a volume of the local kind would keep the pods on one of them.
VOLUME = """
apiVersion: v1
kind: PersistentVolume
metadata: {name: models}
spec:
  capacity: {storage: 10Mi}
  accessModes: [ReadOnlyMany]
  storageClassName: ""
  hostPath: {path: /models}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: models}
spec:
  accessModes: [ReadOnlyMany]
  storageClassName: ""
  volumeName: models
  resources: {requests: {storage: 10Mi}}
"""


@dataclass(frozen=True)
class Nodes:
    """Two of them, and a client on the first."""

    kubernetes: Kubernetes
    first: str
    second: str

    def of_pods(self, name: str) -> list[str]:
        return sorted(pod["spec"]["nodeName"] for pod in self.kubernetes.items("pods", selector(name)))

    def drain(self, node: str) -> str:
        """What kubectl says."""
        command = ["kubectl", "drain", node, "--ignore-daemonsets", "--delete-emptydir-data"]
        done = subprocess.run(
            [*command, "--timeout=240s"],
            env=self.kubernetes.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def nodes(
    run_name: str,
    operator_image: images.Image,
    server_image: images.Image,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Nodes]:
    name = f"{run_name}-drain"
    cluster = devcluster.up(name, nodes=2, cpu_policy="none")
    try:
        devcluster.load(name, operator_image.name, server_image.name)
        model = tmp_path_factory.mktemp("models") / "plus-one"
        save(dummy(), model / "1")
        both = Nodes(cluster.kubernetes(), f"{name}-control-plane", f"{name}-worker")
        for node in (both.first, both.second):
            give_model(node, model)
        kubernetes = both.kubernetes
        if TAINT in kubernetes.kubectl("get", "node", both.first, "-o", "jsonpath={.spec.taints}"):
            kubernetes.kubectl("taint", "node", both.first, f"{TAINT}-")
        installation.install_operator(kubernetes, operator_image.name, server_image.name)
        kubernetes.apply(VOLUME)
        with client(kubernetes, server_image.name, both.first):
            yield both
    finally:
        devcluster.down(name)


def give_model(node: str, model: Path) -> None:
    """Copy it to the node, readable for every user."""
    run = engine.ensure().run
    run("exec", node, "mkdir", "/models")
    run("cp", model, f"{node}:/models/{model.name}")
    run("exec", node, "chmod", "--recursive", "a+rX", "/models")


def test_a_drain_takes_one_replica_after_the_other_and_no_request_fails(
    nodes: Nodes, record_property: Callable[[str, object], None]
):
    kubernetes = nodes.kubernetes
    kubernetes.kubectl("cordon", nodes.first)
    kubernetes.apply(two_replicas("drained", "500m"))
    kubernetes.wait_for("drained", timeout=150)
    assert nodes.of_pods("drained") == [nodes.second, nodes.second]
    kubernetes.kubectl("uncordon", nodes.first)

    with Load(kubernetes, "drained") as load, Serving(kubernetes, "drained") as serving:
        begun = time.monotonic()
        said = nodes.drain(nodes.second)
        record_property("seconds of the drain", f"{time.monotonic() - begun:.1f}")
        kubernetes.wait_for("drained", timeout=150)
        record_property("seconds until Ready", f"{time.monotonic() - begun:.1f}")

    assert "would violate the pod's disruption budget" in said, "one was held back"
    assert load.errors == []
    assert load.answered > 100
    assert min(serving.counts()) == 1, serving.counts()
    assert nodes.of_pods("drained") == [nodes.first, nodes.first]
    record_property("pods that served", serving.counts())
    record_property("answered", load.answered)
