"""A real kubelet that rejects pods, because a real device plugin fails: their number stays bounded."""

import json
from collections.abc import Iterator

import pytest

from devcluster.demo import images, installation
from devcluster.kubectl import Kubernetes, selector
from tests.support.devices import Devices, devices
from tests.support.e2e import remove
from tests.support.models import dummy, save
from tests.support.waiting import until

pytestmark = pytest.mark.kind
RESOURCE = "example.dev/faulty"
WHY = "no driver is loaded"
OBJECT = """
apiVersion: modelserver.dev/v1alpha1
kind: ModelServer
metadata: {name: rejected}
spec:
  models:
  - {name: plus-one, uri: "pvc://models/plus-one"}
  replicas: REPLICAS
  cpuManagerPolicy: none
  resources:
    limits: {cpu: 100m, memory: 512Mi, MORE}
  rollout: {drainSeconds: 1}
"""
ASKS_FOR_IT = {"spec": {"resources": {"limits": {RESOURCE: 1}}}}
NAME = "rejected"


@pytest.fixture(scope="module")
def offered(
    kubernetes: Kubernetes, server_image: images.Image, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Devices]:
    """Devices of the node, and a model."""
    model = tmp_path_factory.mktemp("model") / "plus-one"
    save(dummy(), model / "1")
    installation.copy_into_volume(kubernetes, model, "plus-one")
    with devices(kubernetes, server_image.name, RESOURCE, 4) as found:
        yield found


@pytest.fixture
def faulty(offered: Devices) -> Iterator[Devices]:
    """Devices that the node offers and cannot give."""
    offered.break_down(WHY)
    yield offered
    remove(offered.kubernetes, NAME)


def pods(kubernetes: Kubernetes) -> list[dict]:
    return kubernetes.items("pods", selector(NAME))


def rejected(kubernetes: Kubernetes) -> list[dict]:
    return [pod for pod in pods(kubernetes) if pod["status"].get("reason") == "UnexpectedAdmissionError"]


def deployment(kubernetes: Kubernetes) -> dict:
    return kubernetes.get("deployment", NAME)


def tries(kubernetes: Kubernetes) -> str:
    annotations = deployment(kubernetes)["metadata"]["annotations"]
    return str(json.loads(annotations.get("modelserver.dev/breaker", "{}")).get("next_try", ""))


def ready(kubernetes: Kubernetes, *words: str) -> str:
    """What Ready says once nodes reject the pods."""

    def message() -> str:
        found = kubernetes.condition(NAME, "Ready")
        text = str(found.get("message", ""))
        is_said = found.get("reason") == "PodsRejected" and all(word in text for word in words)
        return text if is_said else ""

    return until(f"Ready says {words}", message, timeout=60)


def test_pods_that_the_kubelet_rejects_stay_few_and_one_is_tried_until_the_device_works(faulty: Devices):
    kubernetes = faulty.kubernetes
    node = kubernetes.get("pod", faulty.pod)["spec"]["nodeName"]
    kubernetes.apply(OBJECT.replace("REPLICAS", "2").replace("MORE", f'"{RESOURCE}": 1'))

    message = ready(kubernetes, f"node {node} rejected pods: UnexpectedAdmissionError", WHY)

    assert "Repair the device plugin" in message
    assert kubernetes.condition(NAME, "Available")["status"] == "False"
    first, most = tries(kubernetes), 0

    def was_tried_twice() -> bool:
        nonlocal most
        most = max(most, len(rejected(kubernetes)))
        seen.add(tries(kubernetes))
        return len(seen) >= 3

    seen = {first}
    until("it was tried, in vain", was_tried_twice, timeout=120)
    # Three are kept, and some more were on their way when the breaker opened or the try was given up.
    assert 3 <= most <= 12, most

    faulty.mend()

    kubernetes.wait_for(NAME, timeout=120)
    assert deployment(kubernetes)["spec"]["replicas"] == 2
    until("the rejected pods are deleted", lambda: not rejected(kubernetes), timeout=30)
    assert "modelserver.dev/breaker" not in deployment(kubernetes)["metadata"]["annotations"]


@pytest.mark.long
def test_a_serving_object_keeps_its_pods_while_those_of_its_new_template_are_rejected(
    faulty: Devices,
):
    kubernetes = faulty.kubernetes
    kubernetes.apply(OBJECT.replace("REPLICAS", "1").replace(", MORE", ""))
    kubernetes.wait_for(NAME, timeout=120)
    (serving,) = (pod["metadata"]["uid"] for pod in pods(kubernetes))
    good = deployment(kubernetes)["spec"]["template"]

    kubernetes.kubectl("patch", "modelserver", NAME, "--type=merge", "-p", json.dumps(ASKS_FOR_IT))

    ready(kubernetes, "the last good template again", WHY)
    until("it is back", lambda: deployment(kubernetes)["spec"]["template"] == good, timeout=20)
    first = tries(kubernetes)
    until("the new one is tried, in vain", lambda: tries(kubernetes) not in {first, ""}, timeout=60)
    until("it is back again", lambda: deployment(kubernetes)["spec"]["template"] == good, timeout=20)
    assert kubernetes.condition(NAME, "Available")["status"] == "True"
    living = [pod for pod in pods(kubernetes) if pod["status"]["phase"] == "Running"]
    assert [pod["metadata"]["uid"] for pod in living] == [serving]
    assert len(rejected(kubernetes)) <= 12

    faulty.mend()

    kubernetes.wait_for(NAME, timeout=120)
    (now,) = (pod for pod in pods(kubernetes) if "deletionTimestamp" not in pod["metadata"])
    assert now["spec"]["containers"][0]["resources"]["limits"][RESOURCE] == "1"
