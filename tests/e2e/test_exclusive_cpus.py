"""ExclusiveCPUs on real kubelets: what the kernel shows of a pod's CPUs, however the pod came to be."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from devcluster import Cluster
from devcluster.kubectl import Kubernetes
from tests.support import judged as small
from tests.support.e2e import pod_of
from tests.support.judged import NAME
from tests.support.mutations import INJECTED_SIDECAR, POD_LEVEL_RESOURCES, mutating
from tests.support.pinning import ANNOTATION, pinning
from tests.support.waiting import until

pytestmark = pytest.mark.kind
PINNED = {"cpuManagerPolicy": "external", "resources": {"requests": {"cpu": "50m"}}}
AFFINITY = "import os; print(sorted(os.sched_getaffinity(1)))"


@pytest.fixture(scope="module")
def model(kubernetes: Kubernetes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with small.model(kubernetes, tmp_path_factory.mktemp("model")):
        yield


@contextmanager
def judged(kubernetes: Kubernetes, **pod: Any) -> Iterator[dict[str, Any]]:
    """An object with one CPU; gives what ExclusiveCPUs says once it serves."""
    with small.applied(kubernetes, small.manifest(pod=pod)):
        kubernetes.wait_for(NAME)
        until("a verdict", lambda: small.verdict(kubernetes, "ExclusiveCPUs")[0] in {"True", "False"})
        yield kubernetes.condition(NAME, "ExclusiveCPUs")


@pytest.mark.usefixtures("model")
def test_a_node_that_is_itself_confined_to_one_cpu_gives_none_away(
    kubernetes: Kubernetes, kind_cluster: Cluster
):
    if not kind_cluster.node_ports:
        pytest.skip("only on a cluster of our own: it has a narrowed node")
    node = f"{kind_cluster.name}-worker"
    place = {
        "nodeSelector": {"kubernetes.io/hostname": node},
        "tolerations": [{"key": "narrowed", "operator": "Exists"}],
    }
    with judged(kubernetes, **place) as found:
        pod = pod_of(kubernetes, NAME)
        assert (pod["spec"]["nodeName"], pod["status"]["qosClass"]) == (node, "Guaranteed")
        assert (found["status"], found["reason"]) == ("False", "NodeNarrowed"), found["message"]
        assert "CFS quota of 1 CPUs stands" in found["message"]


@pytest.mark.usefixtures("model")
def test_a_sidecar_that_was_injected_with_a_request_alone_is_named(kubernetes: Kubernetes):
    with mutating(kubernetes, INJECTED_SIDECAR), judged(kubernetes) as found:
        assert pod_of(kubernetes, NAME)["status"]["qosClass"] == "Burstable"
        assert (found["status"], found["reason"]) == ("False", "InjectedContainer"), found["message"]
        assert "because sidecar was injected" in found["message"]


@pytest.mark.usefixtures("model")
def test_resources_that_were_added_for_the_pod_as_a_whole_are_named(kubernetes: Kubernetes):
    with mutating(kubernetes, POD_LEVEL_RESOURCES), judged(kubernetes) as found:
        pod = pod_of(kubernetes, NAME)
        assert (pod["spec"]["resources"]["limits"]["cpu"], pod["status"]["qosClass"]) == ("1", "Guaranteed")
        assert (found["status"], found["reason"]) == ("False", "PodLevelResources"), found["message"]


@pytest.fixture
def pinned(kind_cluster: Cluster) -> Iterator[None]:
    """Something else than the kubelet pins containers of the node, as their pods' annotation says."""
    if not kind_cluster.node_ports:
        pytest.skip("only on a cluster of our own: the test adds a plugin to the node's runtime")
    with pinning(f"{kind_cluster.name}-control-plane"):
        yield


@pytest.mark.long
@pytest.mark.usefixtures("model", "pinned")
def test_a_pod_that_a_plugin_of_the_runtime_pins_is_pinned_externally(kubernetes: Kubernetes):
    text = small.manifest(pod={"annotations": {ANNOTATION: "0"}}, **PINNED)
    with small.applied(kubernetes, text):
        kubernetes.wait_for(NAME)
        wanted = ("True", "PinnedExternally")
        until("a verdict", lambda: small.verdict(kubernetes, "ExclusiveCPUs") == wanted)
        pod = pod_of(kubernetes, NAME)
        assert pod["status"]["qosClass"] == "Burstable"
        name = f"pod/{pod['metadata']['name']}"
        assert kubernetes.exec(name, "/opt/venv/bin/python", "-c", AFFINITY).strip() == "[0]"

        kubernetes.apply(small.manifest(pod={"annotations": {}}, **PINNED))
        wanted = ("False", "NodePolicyNone")
        until("nobody pins it", lambda: small.verdict(kubernetes, "ExclusiveCPUs") == wanted, timeout=90)


@pytest.mark.long
@pytest.mark.usefixtures("model", "pinned")
def test_two_pods_that_are_pinned_to_the_same_cpu_overlap(kubernetes: Kubernetes):
    pod = {"annotations": {ANNOTATION: "0"}}
    first, second = (small.manifest(name, pod=pod, **PINNED) for name in (NAME, "other"))
    with small.applied(kubernetes, first), small.applied(kubernetes, second, "other"):
        for name in (NAME, "other"):
            kubernetes.wait_for(name)
        overlapping = ("False", "Overlapping")
        for name, other in ((NAME, "other"), ("other", NAME)):
            until(
                f"{name} overlaps",
                lambda name=name: small.verdict(kubernetes, "ExclusiveCPUs", name) == overlapping,
                timeout=120,
            )
            message = kubernetes.condition(name, "ExclusiveCPUs")["message"]
            assert f"of ModelServer default/{other}" in message
