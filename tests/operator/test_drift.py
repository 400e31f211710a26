"""What others do to children: whose change is undone, whose stays, who is named, when the operator yields."""

import json
import threading
from collections.abc import Iterator

import pytest

from devcluster.kubectl import Kubernetes
from modelserver_operator.api import parse
from modelserver_operator.clients.kubernetes import connect
from modelserver_operator.desired import Images, render
from modelserver_operator.errors import Conflict
from tests.support.children import CHILDREN, SOON, children, created, deployment, events, patch, submit
from tests.support.modelservers import model_server
from tests.support.operator_process import OperatorProcess
from tests.support.waiting import until

pytestmark = pytest.mark.api
POD = "/spec/template/spec"
C = f"{POD}/containers/0"
ADDED = {
    "a command": (f"{C}/command", ["sleep"]),
    "a variable": (f"{C}/env", [{"name": "X", "value": "1"}]),
    "an init container": (f"{POD}/initContainers", [{"name": "x", "image": "y"}]),
    "the node's network": (f"{POD}/hostNetwork", True),
    "a node selector": (f"{POD}/nodeSelector", {"disk": "fast"}),
    "a DNS policy": (f"{POD}/dnsPolicy", "Default"),
    "a limit more": (f"{C}/resources/limits/ephemeral-storage", "1Gi"),
    "a label of the pods": ("/spec/template/metadata/labels/x", "y"),
}


@pytest.mark.parametrize("what", ADDED)
def test_a_field_that_others_add_to_the_pod_template_is_removed_and_they_are_named(
    kubernetes: Kubernetes, operator: OperatorProcess, what: str
):
    created(kubernetes)
    path, value = ADDED[what]
    before = deployment(kubernetes)["spec"]

    add = [{"op": "add", "path": path, "value": value}]
    kubernetes.kubectl("patch", "deployment", "server", "--type=json", "-p", json.dumps(add))

    until("it is as it was", lambda: deployment(kubernetes)["spec"] == before, timeout=SOON)
    (message,) = until("an event", lambda: events(kubernetes, "DriftCorrected"), timeout=SOON)
    assert message == "Deployment server was changed by kubectl-patch; the operator has restored it"


def test_a_restart_by_kubectl_is_no_drift(kubernetes: Kubernetes, operator: OperatorProcess):
    created(kubernetes)

    kubernetes.kubectl("rollout", "restart", "deployment/server")
    kubernetes.kubectl("scale", "modelserver/server", "--replicas=2")

    until("two replicas", lambda: deployment(kubernetes)["spec"]["replicas"] == 2, timeout=SOON)
    annotations = deployment(kubernetes)["spec"]["template"]["metadata"]["annotations"]
    assert "kubectl.kubernetes.io/restartedAt" in annotations
    assert events(kubernetes, "DriftCorrected") == []


def test_an_additional_annotation_of_the_pods_goes_and_the_restart_stays(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes)

    def annotations() -> set[str]:
        return set(deployment(kubernetes)["spec"]["template"]["metadata"]["annotations"])

    ours = annotations()
    kubernetes.kubectl("rollout", "restart", "deployment/server")

    added = {"spec": {"template": {"metadata": {"annotations": {"example.com/x": "y"}}}}}
    patch(kubernetes, "deployment/server", added)

    restarted = ours | {"kubectl.kubernetes.io/restartedAt"}
    until("it is gone", lambda: annotations() == restarted, timeout=SOON)


def test_the_manager_of_the_changed_field_is_named_and_not_the_newest(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes)
    assert operator.stop() == 0
    try:
        patch(kubernetes, "deployment/server", {"spec": {"replicas": 3}}, "--field-manager=autoscaler")
        note = {"metadata": {"annotations": {"a": "b"}}}
        patch(kubernetes, "deployment/server", note, "--field-manager=annotator")
    finally:
        operator.start("--cpu-image=modelserver:test")

    (message,) = until("an event", lambda: events(kubernetes, "DriftCorrected"), timeout=SOON)
    assert "was changed by autoscaler;" in message


def test_a_deployment_that_lost_its_label_is_fully_known_again(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes)

    kubernetes.kubectl("label", "deployment/server", "app.kubernetes.io/managed-by-")

    until("the label is back", lambda: children(kubernetes) == CHILDREN, timeout=SOON)
    kubernetes.kubectl("scale", "modelserver/server", "--replicas=2")

    def replicas() -> int | None:
        return kubernetes.get("modelserver", "server")["status"].get("replicas")

    until("its replicas are in the status", lambda: replicas() == 2, timeout=SOON)
    assert "just been changed" not in kubernetes.condition("server", "Ready")["message"]


@pytest.mark.parametrize("kind", ["serviceaccount", "configmap"])
async def test_nothing_is_merged_into_a_strangers_object_that_came_first(kubernetes: Kubernetes, kind: str):
    """Without a field in common, an apply would have merged ours into it."""
    name = "server" if kind == "serviceaccount" else "server-config"
    kubernetes.kubectl("create", kind, name)
    before = kubernetes.get(kind, name)
    body = model_server()
    body["metadata"] |= {"namespace": kubernetes.namespace, "uid": "0"}
    (wanted,) = [c for c in render(parse(body), Images("c", "", "")).children if c.kind.lower() == kind]

    cluster = await connect(kubeconfig=kubernetes.environment["KUBECONFIG"])
    try:
        with pytest.raises(Conflict):
            await cluster.create(wanted)
    finally:
        await cluster.close()

    assert kubernetes.get(kind, name) == before


REWRITE = """
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: NAME}
spec:
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints:
    resourceRules:
    - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}
  mutations:
  - patchType: JSONPatch
    jsonPatch:
      expression: >
        [JSONPatch{op: "replace", path: "/spec/template/spec/containers/0/image", value: "mirror/image:1"},
         JSONPatch{op: "add", path: "/spec/template/spec/containers/0/env",
                   value: [{"name": "X", "value": "1"}]}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: NAME}
spec:
  policyName: NAME
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAME}}}
"""


@pytest.fixture
def rewritten(kubernetes: Kubernetes) -> Iterator[None]:
    """An admission policy that takes images from a mirror and adds a variable, as a webhook would."""
    text = REWRITE.replace("NAME", kubernetes.namespace)
    kubernetes.kubectl("apply", "--server-side", "-f", "-", stdin=text)
    probe = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "probe"}, "spec": {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {
            "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]},
        },
    }}  # fmt: skip

    def image() -> str:
        options = ["create", "--dry-run=server", "-f", "-", "-o", "json"]
        made = json.loads(kubernetes.kubectl(*options, stdin=json.dumps(probe)))
        return made["spec"]["template"]["spec"]["containers"][0]["image"]

    until("the policy is in effect", lambda: image() == "mirror/image:1", timeout=60)
    yield
    kubernetes.kubectl("delete", "mutatingadmissionpolicybinding", kubernetes.namespace)
    kubernetes.kubectl("delete", "mutatingadmissionpolicy", kubernetes.namespace)


def test_what_a_webhook_rewrites_is_neither_drift_nor_written_again_at_a_restart(
    kubernetes: Kubernetes, operator: OperatorProcess, rewritten: None
):
    created(kubernetes)
    before = deployment(kubernetes)
    (container,) = before["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["env"]) == ("mirror/image:1", [{"name": "X", "value": "1"}])

    assert operator.stop() == 0
    operator.start("--cpu-image=modelserver:test")
    submit(kubernetes, model_server("second"))
    until("the second is carried out", lambda: kubernetes.condition("second", "Applied"), timeout=SOON)
    kubernetes.kubectl("label", "deployment/server", "example.com/x=y")
    kubernetes.kubectl("scale", "modelserver/second", "--replicas=2")

    def seen() -> bool:
        return kubernetes.get("deployment", "second")["spec"]["replicas"] == 2

    until("the operator saw later changes", seen, timeout=SOON)
    assert deployment(kubernetes)["metadata"]["generation"] == before["metadata"]["generation"]
    assert events(kubernetes, "DriftCorrected") == []


def test_where_another_client_keeps_changing_a_child_back_the_operator_slows_down_and_names_it(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes)
    is_over = threading.Event()

    def fight() -> None:
        while not is_over.is_set():
            if deployment(kubernetes)["spec"]["replicas"] == 1:
                patch(kubernetes, "deployment/server", {"spec": {"replicas": 3}}, "--field-manager=rival")

    rival = threading.Thread(target=fight)
    rival.start()
    try:
        contested = until(
            "the contest is told",
            lambda: (c := kubernetes.condition("server", "Applied")).get("reason") == "Contested" and c,
            timeout=60,
        )
        until(
            "it is left alone for now", lambda: deployment(kubernetes)["spec"]["replicas"] == 3, timeout=SOON
        )
        told = len(events(kubernetes, "DriftCorrected"))
    finally:
        is_over.set()
        rival.join()

    assert contested["status"] == "False"
    assert "Deployment server keeps being changed by rival" in contested["message"]
    assert told <= 7
    assert kubernetes.condition("server", "Ready")["reason"] == "Contested"
