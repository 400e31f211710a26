"""What the operator may do beyond RBAC, and what people may do with ModelServers."""

import json
from typing import Any

import pytest

from devcluster.kubectl import Kubernetes
from tests.support.admission import Admission
from tests.support.children import patch
from tests.support.operator_process import ACCOUNT
from tests.support.waiting import until

pytestmark = pytest.mark.api
OWN = {"app.kubernetes.io/managed-by": "modelserver-operator"}
REVISION = "modelserver.dev/revision"


def create_pod(kubernetes: Kubernetes, name: str, labels: dict[str, str]) -> str:
    """Its path in the API; no kubelet runs it."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels, "annotations": {"team": "vision"}},
        "spec": {"containers": [{"name": "a", "image": "a:1"}], "tolerations": []},
    }
    kubernetes.apply(json.dumps(pod))
    return f"/api/v1/namespaces/{kubernetes.namespace}/pods/{name}"


def annotations(**values: str | None) -> dict[str, Any]:
    return {"metadata": {"annotations": {key.replace("REVISION", REVISION): v for key, v in values.items()}}}


def test_the_operator_may_annotate_its_pods_with_a_revision(kubernetes: Kubernetes, admission: Admission):
    pod = create_pod(kubernetes, "own", OWN)

    assert admission.patch(pod, annotations(REVISION="1"), ACCOUNT) == ""


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(annotations(other="1"), id="another annotation"),
        pytest.param(annotations(team="mine"), id="an annotation of others"),
        pytest.param(annotations(team=None), id="an annotation less"),
        pytest.param({"metadata": {"labels": {"a": "b"}}}, id="a label"),
        pytest.param({"metadata": {"finalizers": ["a/b"]}}, id="a finalizer"),
        pytest.param({"spec": {"containers": [{"name": "a", "image": "b:1"}]}}, id="an image"),
        pytest.param({"spec": {"activeDeadlineSeconds": 1}}, id="a deadline"),
    ],
)
def test_the_operator_may_change_nothing_else_of_a_pod(
    kubernetes: Kubernetes, admission: Admission, change: dict[str, Any]
):
    pod = create_pod(kubernetes, "own", OWN)
    until("the policy works", lambda: admission.patch(pod, change, ACCOUNT) != "", timeout=20)

    assert "only the annotation modelserver.dev/revision" in admission.patch(pod, change, ACCOUNT)


def test_the_operator_may_not_touch_the_pods_of_others(kubernetes: Kubernetes, admission: Admission):
    pod = create_pod(kubernetes, "theirs", {})
    change = annotations(REVISION="1")
    until("the policy works", lambda: admission.patch(pod, change, ACCOUNT) != "", timeout=20)

    assert "only pods of ModelServers" in admission.patch(pod, change, ACCOUNT)


def test_the_operator_may_delete_only_its_pods_that_have_failed(kubernetes: Kubernetes, admission: Admission):
    own, theirs = create_pod(kubernetes, "own", OWN), create_pod(kubernetes, "theirs", {})
    until("the policy works", lambda: admission.delete(own, ACCOUNT) != "", timeout=20)
    assert "delete only pods that have failed" in admission.delete(own, ACCOUNT)
    for pod in ("own", "theirs"):
        patch(kubernetes, f"pod/{pod}", {"status": {"phase": "Failed"}}, "--subresource=status")

    assert admission.delete(own, ACCOUNT) == ""
    assert "only pods of ModelServers" in admission.delete(theirs, ACCOUNT)


def test_others_are_not_limited(kubernetes: Kubernetes, admission: Admission):
    pod = create_pod(kubernetes, "own", OWN)
    kubernetes.kubectl("create", "rolebinding", "somebody", "--clusterrole=admin", "--user=somebody")

    until("its rights", lambda: admission.patch(pod, annotations(other="1"), "somebody") == "", timeout=20)


@pytest.mark.parametrize(
    ("role", "allowed", "refused"),
    [
        ("view", ["get modelservers", "get modelservers/status"], ["create modelservers"]),
        (
            "edit",
            ["get modelservers", "create modelservers", "patch modelservers/scale"],
            ["patch modelservers/status"],
        ),
        ("admin", ["delete modelservers", "update modelservers/scale"], ["patch modelservers/status"]),
    ],
)
def test_the_clusters_roles_know_modelservers(
    kubernetes: Kubernetes, role: str, allowed: list[str], refused: list[str]
):
    kubernetes.kubectl("create", "rolebinding", role, f"--clusterrole={role}", "--user=somebody")

    def can(what: str) -> bool:
        verb, resource = what.split()
        name, _, part = resource.partition("/")
        options = [f"--subresource={part}"] if part else []
        return kubernetes.succeeds("auth", "can-i", verb, name, *options, "--as=somebody", "--quiet")

    for what in allowed:
        until(what, lambda what=what: can(what), timeout=20)
    assert [what for what in refused if can(what)] == []
