"""ExclusiveCPUs on real kubelets: what the kernel shows of a pod's CPUs, however the pod came to be."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from devcluster import Cluster
from devcluster.kubectl import Kubernetes
from tests.support.e2e import pod_of, remove
from tests.support.models import dummy, save
from tests.support.mutations import INJECTED_SIDECAR, POD_LEVEL_RESOURCES, mutating
from tests.support.waiting import until

pytestmark = pytest.mark.kind
API_VERSION, NAME = "modelserver.dev/v1alpha1", "judged"
CPU_OF_ONES_OWN = {"limits": {"cpu": "1", "memory": "512Mi"}}


@pytest.fixture(scope="module")
def model(kubernetes: Kubernetes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A model in a ConfigMap, which every node can mount."""
    files = save(dummy(), tmp_path_factory.mktemp("model") / "1")
    data = {path.name: base64.b64encode(path.read_bytes()).decode() for path in sorted(files.iterdir())}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "binaryData": data}
    kubernetes.kubectl("create", "-f", "-", stdin=json.dumps(body))
    yield
    kubernetes.kubectl("delete", "configmap", NAME)


@contextmanager
def judged(kubernetes: Kubernetes, **pod: Any) -> Iterator[dict[str, Any]]:
    """An object with one CPU; gives what ExclusiveCPUs says once it serves."""
    items = [{"key": name, "path": f"1/{name}"} for name in ("model.xml", "model.bin")]
    volume = {"name": "model", "configMap": {"name": NAME, "items": items}}
    spec = {
        "models": [{"name": "plus-one", "uri": "file:///plus-one"}],
        "resources": CPU_OF_ONES_OWN,
        "rollout": {"drainSeconds": 0},
        "pod": {
            "volumes": [volume], "volumeMounts": [{"name": "model", "mountPath": "/plus-one"}], **pod,
        },
    }  # fmt: skip
    metadata = {"name": NAME}
    body = {"apiVersion": API_VERSION, "kind": "ModelServer", "metadata": metadata, "spec": spec}
    kubernetes.apply(json.dumps(body))
    try:
        kubernetes.wait_for(NAME)
        yield until("a verdict", lambda: verdict(kubernetes))
    finally:
        remove(kubernetes, NAME)


def verdict(kubernetes: Kubernetes) -> dict[str, Any]:
    """What ExclusiveCPUs says; nothing while it does not know."""
    found = kubernetes.condition(NAME, "ExclusiveCPUs")
    return found if found.get("status") in {"True", "False"} else {}


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
