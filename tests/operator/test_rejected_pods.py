"""Pods that nodes reject, on a real API server with real controllers; only the kubelet is the test's."""

from collections.abc import Iterator

import pytest

from devcluster.kubectl import Kubernetes
from modelserver_operator.observed.child import read_child
from modelserver_operator.observed.rejections import CLOSED, Breaker, read_breaker
from tests.support.children import SOON, created, deployment, events, patch
from tests.support.kept import CURRENT, LAST_GOOD, config, generation, roles, status
from tests.support.kubelet_part import Start
from tests.support.operator_process import OperatorProcess
from tests.support.rejecting_node import MESSAGE, Node, node
from tests.support.waiting import until

pytestmark = pytest.mark.api
ASKS_FOR_IT = {"resources": {"limits": {"example.dev/faulty": 1}}}
USUAL = "--cpu-image=modelserver:test"


@pytest.fixture
def faulty(kubernetes: Kubernetes) -> Iterator[Node]:
    with node(kubernetes) as rejecting:
        yield rejecting


@pytest.fixture(scope="module")
def impatient(operator: OperatorProcess) -> Iterator[None]:
    """The operator tries a pod every eight seconds: kubectl must see each step on a busy machine."""
    assert operator.stop() == 0
    operator.start(USUAL, "--rejection-retry-seconds=8")
    yield
    assert operator.stop() == 0
    operator.start(USUAL)


def breaker(kubernetes: Kubernetes) -> Breaker:
    annotations = deployment(kubernetes)["metadata"]["annotations"]
    return read_breaker(annotations.get("modelserver.dev/breaker", ""))


def replicas(kubernetes: Kubernetes) -> int:
    return deployment(kubernetes)["spec"]["replicas"]


def failed(kubernetes: Kubernetes) -> list[str]:
    pods = kubernetes.items("pods")
    return [pod["metadata"]["name"] for pod in pods if pod["status"].get("phase") == "Failed"]


def template(kubernetes: Kubernetes) -> dict:
    return deployment(kubernetes)["spec"]["template"]


def ready(kubernetes: Kubernetes, *words: str, reason: str = "PodsRejected") -> str:
    """What Ready says, once it says these words for this reason."""

    def message() -> str:
        found = kubernetes.condition("server", "Ready")
        text = found.get("message", "")
        return text if found.get("reason") == reason and all(word in text for word in words) else ""

    try:
        return until(f"Ready says {words}", message, timeout=SOON)
    except AssertionError as error:
        raise AssertionError(f"{error}; it is {status(kubernetes)}") from None


def reject_until_it_opens(kubernetes: Kubernetes, faulty: Node) -> None:
    def is_open() -> bool:
        faulty.reject()
        return breaker(kubernetes).is_open

    until("the breaker opens", is_open, timeout=30)


def reject_until_it_is_given_up(kubernetes: Kubernetes, faulty: Node) -> None:
    """A pod that was created in the same second as one that has been counted does not count."""

    def is_given_up() -> bool:
        faulty.reject()
        return not breaker(kubernetes).is_trying

    until("the try is given up", is_given_up, timeout=30)


def test_a_deployment_names_its_newest_replica_set(kubernetes: Kubernetes, operator: OperatorProcess):
    created(kubernetes)

    def newest() -> str:
        rollout = read_child("Deployment", deployment(kubernetes)).rollout
        return rollout.newest if rollout else ""

    def hashes() -> set[str]:
        return {pod["metadata"]["labels"]["pod-template-hash"] for pod in kubernetes.items("pods")}

    (first,) = until("a pod", hashes, timeout=SOON)
    until("it is named", lambda: newest() == first, timeout=SOON)

    patch(kubernetes, "modelserver/server", {"spec": {"image": "other:1", "replicas": 3}})
    until("there is another", lambda: hashes() - {first}, timeout=SOON)
    until("it is named", lambda: {newest()} == hashes() - {first}, timeout=SOON)

    patch(kubernetes, "modelserver/server", {"spec": {"image": None}})
    until("the first is named again", lambda: newest() == first, timeout=SOON)


def test_the_replicas_stay_at_what_serves_or_starts(
    kubernetes: Kubernetes, operator: OperatorProcess, faulty: Node
):
    created(kubernetes)
    until("one pod is taken", faulty.take, timeout=SOON)
    patch(kubernetes, "modelserver/server", {"spec": {"replicas": 3}})

    reject_until_it_opens(kubernetes, faulty)

    message = ready(kubernetes, f"node {faulty.name} rejected pods: UnexpectedAdmissionError")
    assert MESSAGE in message
    assert "Repair the device plugin" in message
    assert "one more pod is tried at 2" in message
    until("it has one replica", lambda: replicas(kubernetes) == 1, timeout=SOON)
    until("status.replicas", lambda: status(kubernetes)["replicas"] == 1, timeout=SOON)
    assert kubernetes.get("modelserver", "server")["spec"]["replicas"] == 3
    assert status(kubernetes)["lastFailure"]["reason"] == "UnexpectedAdmissionError"
    until("an Event", lambda: events(kubernetes, "PodsRejected"), timeout=SOON)
    until("no pod is made any more", lambda: not faulty.waiting(), timeout=SOON)

    before = generation(kubernetes)
    assert operator.stop() == 0
    operator.start(USUAL)
    patch(kubernetes, "modelserver/server", {"spec": {"replicas": 2, "hint": "LATENCY"}})
    until(
        "it follows", lambda: config(kubernetes)["model_config_list"][0]["config"].get("hint"), timeout=SOON
    )
    ready(kubernetes, "0 of 2 pods are ready")
    assert (generation(kubernetes), replicas(kubernetes)) == (before, 1)

    patch(kubernetes, "modelserver/server", {"spec": {"pod": {"env": [{"name": "A"}]}}})

    until("another template is tried", lambda: replicas(kubernetes) == 2, timeout=SOON)
    until("it is closed", lambda: breaker(kubernetes) == CLOSED, timeout=SOON)
    until("the rejected pods are deleted", lambda: failed(kubernetes) == [], timeout=SOON)


def test_a_paused_object_is_left_alone(kubernetes: Kubernetes, operator: OperatorProcess, faulty: Node):
    created(kubernetes)
    patch(kubernetes, "modelserver/server", {"spec": {"paused": True}})
    for _ in range(4):
        until("a pod is rejected", faulty.reject, timeout=SOON)
    ready(kubernetes, "UnexpectedAdmissionError", reason="PodsFailing")
    assert (breaker(kubernetes), replicas(kubernetes)) == (CLOSED, 1)

    patch(kubernetes, "modelserver/server", {"spec": {"paused": False}})

    ready(kubernetes, "kept at replicas=0")
    until("no replica", lambda: replicas(kubernetes) == 0, timeout=SOON)


def test_one_pod_is_tried_until_a_kubelet_takes_it(kubernetes: Kubernetes, impatient: None, faulty: Node):
    created(kubernetes, replicas=2)
    reject_until_it_opens(kubernetes, faulty)
    until("no replica", lambda: replicas(kubernetes) == 0, timeout=SOON)

    until("one is tried", lambda: breaker(kubernetes).is_trying, timeout=20)
    assert replicas(kubernetes) == 1
    ready(kubernetes, "one more pod is tried now")
    reject_until_it_is_given_up(kubernetes, faulty)
    until("few are left", lambda: len(failed(kubernetes)) <= 5, timeout=SOON)

    until("one is tried", lambda: breaker(kubernetes).is_trying, timeout=20)
    until("it is taken", faulty.take, timeout=SOON)

    until("everything is as wanted", lambda: replicas(kubernetes) == 2, timeout=SOON)
    ready(kubernetes, "0 of 2 pods are ready", reason="Starting")
    until("the rejected pods are deleted", lambda: failed(kubernetes) == [], timeout=SOON)
    until("nothing is remembered", lambda: breaker(kubernetes) == CLOSED, timeout=SOON)


@pytest.mark.long
def test_a_rollout_goes_back_to_the_last_good_template_and_tries_the_new_one_beside_it(
    kubernetes: Kubernetes, impatient: None, start: Start, faulty: Node
):
    pod = start(cpus="0")
    pod.become_ready()
    until("the last good one", lambda: roles(kubernetes) == [(1, {CURRENT, LAST_GOOD})], timeout=20)
    good, configuration = template(kubernetes), config(kubernetes)

    patch(kubernetes, "modelserver/server", {"spec": {**ASKS_FOR_IT, "hint": "LATENCY"}})
    until("the new template", lambda: template(kubernetes) != good, timeout=SOON)
    reject_until_it_opens(kubernetes, faulty)

    until("the last good template", lambda: template(kubernetes) == good, timeout=SOON)
    assert config(kubernetes) == configuration
    ready(kubernetes, "1 of 1 pods are ready", "the last good template again")
    assert kubernetes.condition("server", "Available")["status"] == "True"
    assert kubernetes.condition("server", "ModelsServed")["reason"] == "OldConfiguration"
    assert roles(kubernetes) == [(1, {LAST_GOOD}), (2, {CURRENT})]

    until("the new one is tried", lambda: template(kubernetes) != good, timeout=20)
    assert config(kubernetes) == configuration
    reject_until_it_is_given_up(kubernetes, faulty)
    until("it goes back", lambda: template(kubernetes) == good, timeout=SOON)

    until("the new one is tried", lambda: template(kubernetes) != good, timeout=20)
    until("its pod is taken", faulty.take, timeout=SOON)

    until("the rollout goes on", lambda: breaker(kubernetes) == CLOSED, timeout=SOON)
    assert template(kubernetes) != good
    until("with its configuration", lambda: config(kubernetes) != configuration, timeout=SOON)
    assert kubernetes.get("pod", pod.name)["status"]["phase"] == "Running", "it has served all the time"
