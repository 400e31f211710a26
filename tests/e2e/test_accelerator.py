"""A GPU that a real device plugin offers to a real kubelet; its device file is none of a GPU."""

import json
from collections.abc import Iterator

import pytest

from devcluster.demo import images
from devcluster.kubectl import Kubernetes, selector
from tests.support import judged as small
from tests.support.devices import DeviceFile, Devices, devices
from tests.support.e2e import pod_of
from tests.support.judged import NAME
from tests.support.waiting import until

pytestmark = pytest.mark.kind
XE, FILE = "gpu.intel.com/xe", DeviceFile("dri/renderD128", 1109)
OPENS = "import os; os.close(os.open('/dev/dri/renderD128', os.O_RDWR)); print(os.getgroups())"


@pytest.fixture
def offered(
    kubernetes: Kubernetes, server_image: images.Image, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Devices]:
    directory = tmp_path_factory.mktemp("model")
    with small.model(kubernetes, directory), devices(kubernetes, server_image.name, XE, 2, FILE) as found:
        yield found


def template(kubernetes: Kubernetes) -> dict:
    """The pod template's spec; nothing before there is one."""
    found = kubernetes.items("deployments", selector(NAME))
    return found[0]["spec"]["template"]["spec"] if found else {}


def limits(spec: dict) -> dict[str, str]:
    return {
        name: amount for name, amount in spec["containers"][0]["resources"]["limits"].items() if "/" in name
    }


def test_a_gpu_is_what_the_nodes_advertise_and_a_server_on_the_cpu_is_not_ready(
    kubernetes: Kubernetes, server_image: images.Image, offered: Devices
):
    """AUTO may choose the CPU, and this image has nothing else: the GPU would be reserved and idle."""
    spec = {**small.SHARED, "device": "AUTO", "accelerator": {"count": 1}, "image": server_image.name}
    with small.applied(kubernetes, small.manifest(**spec)):
        until("the group of the file is learned", lambda: "supplementalGroups" in str(template(kubernetes)))
        assert template(kubernetes)["securityContext"]["supplementalGroups"] == [FILE.group]
        wanted = ("False", "OtherDevice")
        until("it is judged", lambda: small.verdict(kubernetes, "DeviceBound") == wanted, timeout=90)

        pod = pod_of(kubernetes, NAME)
        assert limits(pod["spec"]) == {XE: "1"}
        name = f"pod/{pod['metadata']['name']}"
        assert str(FILE.group) in kubernetes.exec(name, "/opt/venv/bin/python", "-c", OPENS)
        message = kubernetes.condition(NAME, "DeviceBound")["message"]
        assert f"run on CPU, and on no GPU although the pod requests {XE}" in message
        assert kubernetes.condition(NAME, "Ready")["status"] == "False"
        assert len(kubernetes.items("replicasets", selector(NAME))) == 2, "one roll for the group"
        reasons = {event["reason"] for event in kubernetes.items("events")}
        assert {"DeviceNotPermitted", "ReplacingInPlace"} <= reasons, "announced before it"


def test_a_gpu_that_is_taken_away_is_named_and_a_server_without_one_says_so(
    kubernetes: Kubernetes, server_image: images.Image, offered: Devices
):
    spec = {**small.SHARED, "device": "GPU", "image": server_image.name, "replicas": 1}
    with small.applied(kubernetes, small.manifest(**spec)):
        until("it says why", lambda: "GPU not found" in str(kubernetes.condition(NAME, "Ready")), timeout=90)
        assert limits(template(kubernetes)) == {XE: "1"}
        assert kubernetes.condition(NAME, "Ready")["status"] == "False"

        offered.take_away()

        wanted = ("False", "ResourceNotAdvertised")
        until("it is missed", lambda: small.verdict(kubernetes, "DeviceBound") == wanted, timeout=120)
        assert f"no node advertises {XE}" in json.dumps(kubernetes.condition(NAME, "DeviceBound"))
        assert limits(template(kubernetes)) == {XE: "1"}, "what was chosen stays"
