"""Servers that never answer delay nothing but what is said about their own objects."""

import json
from collections.abc import Callable, Iterator

import pytest

from devcluster.kubectl import Kubernetes
from tests.support.audit import Audit
from tests.support.children import children, submit
from tests.support.modelservers import model_server
from tests.support.status_port import black_hole
from tests.support.waiting import until

pytestmark = pytest.mark.api
OBJECTS = (40, pytest.param(300, marks=pytest.mark.long))
"""More than there are workers; and more than are asked at the same time (128)."""
SECONDS = 2.0


@pytest.fixture
def silence() -> Iterator[int]:
    with black_hole() as port:
        yield port


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("number", OBJECTS)
def test_objects_whose_pods_never_answer_do_not_delay_another_object(
    kubernetes: Kubernetes,
    audit: Audit,
    silence: int,
    number: int,
    record_property: Callable[[str, object], None],
):
    undisturbed = [seconds_of(kubernetes, audit, f"before-{index}") for index in range(3)]
    names = [f"silent-{index}" for index in range(number)]
    together(kubernetes, "create", [silent_server(name, silence) for name in names])
    pods = silent_pods(kubernetes, names, silence)
    together(kubernetes, "create", pods)
    together(kubernetes, "replace", [with_status(pod) for pod in pods], "--subresource=status")
    until("the silence of all is reported", lambda: unreachable(kubernetes) == number, timeout=180)

    disturbed = [seconds_of(kubernetes, audit, f"elsewhere-{index}") for index in range(3)]

    record_property("seconds undisturbed", [round(seconds, 2) for seconds in undisturbed])
    record_property(f"seconds beside {number} silent objects", [round(seconds, 2) for seconds in disturbed])
    # Where the machine is so busy that 2 s are little, an object beside no silent ones takes long, too.
    assert max(disturbed) <= max(SECONDS, 5 * max(undisturbed))
    assert len(children(kubernetes)) == 6 * 5
    # All in one request, so that the next test soon finds an idle operator.
    path = f"/apis/modelserver.dev/v1alpha1/namespaces/{kubernetes.namespace}/modelservers"
    kubernetes.kubectl("delete", "--raw", path)


def seconds_of(kubernetes: Kubernetes, audit: Audit, name: str) -> float:
    """From the request that creates an object until its Deployment and its status have been written."""
    submit(kubernetes, model_server(name, replicas=0))
    until(
        "it is carried out",
        lambda: kubernetes.condition(name, "Applied").get("status") == "True",
        timeout=90,
    )
    mine = [write for write in audit.writes(kubernetes.namespace) if write.name == name]
    first = {write.resource: write for write in reversed(mine)}
    done = max(first["deployments"].ended, first["modelservers/status"].ended)
    return (done - first["modelservers"].received).total_seconds()


def unreachable(kubernetes: Kubernetes) -> int:
    """How many objects have a pod that does not answer."""
    conditions = [
        condition
        for item in kubernetes.items("modelservers")
        for condition in item.get("status", {}).get("conditions", [])
    ]
    return sum(c["type"] == "ModelsServed" and c["reason"] == "PodUnreachable" for c in conditions)


def silent_server(name: str, port: int) -> dict:
    """Paused: no child is written for it, but its pods are asked all the same."""
    return model_server(name, paused=True, ports={"status": port})


def together(kubernetes: Kubernetes, verb: str, items: list[dict], *options: str) -> None:
    document = {"apiVersion": "v1", "kind": "List", "items": items}
    kubernetes.kubectl(verb, "-f", "-", *options, stdin=json.dumps(document), timeout=300)


def silent_pods(kubernetes: Kubernetes, names: list[str], port: int) -> list[dict]:
    """A pod for each object; one ReplicaSet owns them all, so no controller has anything to do."""
    together(kubernetes, "create", [replica_set(len(names))])
    uid = kubernetes.get("replicaset", "silent")["metadata"]["uid"]
    return [pod(name, uid, port) for name in names]


def replica_set(replicas: int) -> dict:
    """Its controller cannot make the pods: their priority class does not exist."""
    labels = {"set": "silent"}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "silent"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "priorityClassName": "none",
                    "containers": [{"name": "modelserver", "image": "none"}],
                },
            },
        },
    }


def pod(name: str, owner: str, port: int) -> dict:
    labels = {
        "app.kubernetes.io/name": "modelserver",
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/managed-by": "modelserver-operator",
    }
    reference = {
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "silent", "uid": owner, "controller": True,
    }  # fmt: skip
    container = {
        "name": "modelserver", "image": "none", "ports": [{"name": "status", "containerPort": port}],
    }  # fmt: skip
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {**labels, "set": "silent"}, "ownerReferences": [reference]},
        "spec": {"containers": [container]},
    }


def with_status(body: dict) -> dict:
    ready = [
        {"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        for kind in ("Ready", "ContainersReady")
    ]
    status = {
        "phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}], "conditions": ready,
    }  # fmt: skip
    return {**body, "status": status}
