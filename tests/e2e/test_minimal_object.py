"""The minimal object, one model with name and uri, is admitted, runs and is Ready on any node."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import devcluster
from devcluster.demo import evidence, images
from devcluster.kubectl import Kubernetes
from tests.support.e2e import install, minimal, pod_of, remove

pytestmark = pytest.mark.kind


@pytest.fixture(scope="module")
def shared_cpus(
    operator_image: images.Image, server_image: images.Image, text_orientation: Path
) -> Iterator[Kubernetes]:
    """A cluster whose kubelet has no static CPU policy."""
    cluster = devcluster.up("nopolicy", cpu_policy="none")
    yield install(cluster, operator_image, server_image, text_orientation)
    devcluster.down("nopolicy")


def test_it_is_ready_with_a_cpu_of_its_own_where_the_kubelet_has_the_static_policy(kubernetes: Kubernetes):
    kubernetes.apply(minimal("minimal"))
    kubernetes.wait_for("minimal")

    assert kubernetes.condition("minimal", "ExclusiveCPUs")["status"] == "True"
    assert pod_of(kubernetes, "minimal")["status"]["qosClass"] == "Guaranteed"
    remove(kubernetes, "minimal")


def test_it_is_ready_and_says_why_its_cpus_are_shared_where_there_is_no_policy(shared_cpus: Kubernetes):
    shared_cpus.apply(minimal("minimal"))
    shared_cpus.wait_for("minimal")

    exclusive = shared_cpus.condition("minimal", "ExclusiveCPUs")
    assert (exclusive["status"], exclusive["reason"]) == ("False", "NodePolicyNone")
    assert "policy" in exclusive["message"]
    assert shared_cpus.get("modelserver", "minimal")["status"]["tuning"]["pinning"] is False
    assert not evidence.affinities(shared_cpus, "minimal").are_exclusive
