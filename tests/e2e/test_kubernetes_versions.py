"""The main path on each version of Kubernetes that the local cluster can be built with."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import devcluster
from devcluster import Cluster
from devcluster import cluster as clusters
from devcluster.build import programs
from devcluster.demo import evidence, images, installation
from devcluster.host.progress import Progress
from devcluster.kubectl import Kubernetes, selector
from devcluster.state import Options
from tests.support.e2e import install
from tests.support.waiting import until

pytestmark = [pytest.mark.kind, pytest.mark.long]
NAME = "text-orientation"
MINORS = [programs.kubernetes_version().removeprefix("v").rpartition(".")[0], *programs.VERSIONS]


@pytest.fixture(scope="module", params=MINORS)
def cluster(run_name: str, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    name = f"{run_name}-{request.param.replace('.', '-')}"
    try:
        yield clusters.start(name, Options(kubernetes=request.param), Progress())
    finally:
        devcluster.down(name)


@pytest.fixture(scope="module")
def served(
    cluster: Cluster, operator_image: images.Image, server_image: images.Image, text_orientation: Path
) -> Kubernetes:
    """The operator and the first example, Ready."""
    kubernetes = install(cluster, operator_image, server_image, text_orientation)
    kubernetes.apply(installation.EXAMPLES / "01-text-orientation" / "modelserver.yaml")
    kubernetes.wait_for(NAME)
    return kubernetes


def test_an_object_is_served_from_cpus_of_its_own(
    cluster: Cluster, served: Kubernetes, text_orientation: Path, record_property
):
    (node,) = served.items("nodes")
    version = node["status"]["nodeInfo"]["kubeletVersion"]
    assert version == programs.kubernetes_version(cluster.options.kubernetes)

    inferences = evidence.infer(served, NAME, text_orientation / "1" / "model.onnx")
    assert max(inference.difference for inference in inferences) < 1e-4
    seen = evidence.settled_affinities(served, NAME)
    assert seen.are_exclusive
    assert served.condition(NAME, "ExclusiveCPUs")["status"] == "True"
    record_property("Kubernetes", f"{version}: CPUs of the server {seen.server}")


def test_a_hot_change_is_served_by_the_same_pod(served: Kubernetes, record_property):
    (before,) = served.items("pods", selector(NAME))
    begun = time.monotonic()
    served.kubectl("patch", "modelserver", NAME, "--type=merge", '--patch={"spec": {"hint": "LATENCY"}}')
    until("the hint is served", lambda: tuning(served).get("hint") == "LATENCY", timeout=60)
    seconds = time.monotonic() - begun
    served.wait_for(NAME)

    (after,) = served.items("pods", selector(NAME))
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    record_property("seconds until a new hint is served", f"{seconds:.1f}")


def tuning(kubernetes: Kubernetes) -> dict:
    return kubernetes.get("modelserver", NAME)["status"].get("tuning", {})
