"""A /status of tens of kilobytes that arrives slowly, in small pieces: the object is Ready all the same."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devcluster import Cluster
from devcluster import engine as engines
from devcluster.demo import images, installation
from devcluster.demo.installation import SYSTEM_NAMESPACE
from devcluster.kubectl import Kubernetes
from tests.support.e2e import remove
from tests.support.models import dummy, save
from tests.support.node import Node
from tests.support.waiting import until

pytestmark = [pytest.mark.kind, pytest.mark.long]
MODELS, VERSIONS = 64, 3
NAMES = [f"m-{number:02}" for number in range(MODELS)]
PORT, STATUS_PORT = 18082, 8082
PROXY = (Path(__file__).parents[1] / "support" / "slow_proxy.py").read_text()
OBJECT = {
    "apiVersion": "modelserver.dev/v1alpha1",
    "kind": "ModelServer",
    "metadata": {"name": "many"},
    "spec": {
        "models": [
            {
                "name": f"m-{number:02}",
                "uri": f"pvc://models/many/m-{number:02}",
                "versionPolicy": {"all": True},
            }
            for number in range(MODELS)
        ],
        "cpuManagerPolicy": "none",
        "resources": {"requests": {"cpu": "250m"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        "rollout": {"drainSeconds": 0},
    },
}


@pytest.fixture
def many(kubernetes: Kubernetes, tmp_path: Path) -> Iterator[Kubernetes]:
    """64 models with three versions each; the one with the number N adds N."""
    for number in range(MODELS * VERSIONS):
        model, version = divmod(number, VERSIONS)
        save(dummy(float(number)), tmp_path / "many" / NAMES[model] / str(version + 1))
    installation.copy_into_volume(kubernetes, tmp_path / "many", "many")
    yield kubernetes
    remove(kubernetes, "many")


@pytest.fixture
def proxy(kubernetes: Kubernetes, kind_cluster: Cluster, server_image: images.Image) -> Iterator[str]:
    """What the operator asks any status port passes through a process on the node."""
    if not kind_cluster.node_ports:
        pytest.skip("only on a cluster of our own: the test redirects connections on the node")
    (operator,) = Kubernetes(kubernetes.environment, SYSTEM_NAMESPACE).items("pods")
    node = Node(kind_cluster, engines.ensure())
    kubernetes.apply(json.dumps(proxy_pod(server_image.name)))
    try:
        kubernetes.kubectl("wait", "pod/slow-proxy", "--for=condition=Ready", "--timeout=60s")
        until("it listens", lambda: "listening" in kubernetes.kubectl("logs", "slow-proxy"), timeout=30)
        with node.redirected(operator["status"]["podIP"], STATUS_PORT, PORT):
            yield "slow-proxy"
    finally:
        kubernetes.kubectl("delete", "pod", "slow-proxy", "--ignore-not-found", "--wait=true")


def proxy_pod(image: str) -> dict:
    """1 kB every 5 ms."""
    command = ["/opt/venv/bin/python", "-c", PROXY, str(PORT), "1000", "0.005"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "slow-proxy"},
        "spec": {
            "hostNetwork": True,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "proxy", "image": image, "command": command}],
        },
    }


def test_64_models_with_3_versions_are_ready_although_their_status_arrives_slowly(
    many: Kubernetes, proxy: str, record_property: Callable[[str, object], None]
):
    many.apply(json.dumps(OBJECT))

    many.wait_for("many", timeout=150)

    answers = [json.loads(line) for line in many.kubectl("logs", proxy).splitlines() if line[:1] == "{"]
    largest = max(answers, key=lambda answer: answer["bytes"])
    record_property("largest /status", f"{largest['bytes']} bytes in {largest['seconds']:.2f} s")
    assert largest["bytes"] > 20_000
    assert largest["seconds"] > largest["bytes"] / 1000 * 0.005
    models = many.get("modelserver", "many")["status"]["models"]
    served = [version for model in models for version in model["versions"] if version["readyPods"] == 1]
    assert {version["state"] for version in served} == {"AVAILABLE"}
    omitted = sum(model.get("versionsOmitted", 0) for model in models)
    assert len(served) + omitted == MODELS * VERSIONS
