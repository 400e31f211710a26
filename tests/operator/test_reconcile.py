"""An object becomes children, and they stay as desired, on a real API server under the chart's own rights."""

import json

import pytest

from devcluster.kubectl import Kubernetes
from tests.support.children import (
    CHILDREN,
    KINDS,
    OURS,
    SOON,
    children,
    created,
    deployment,
    events,
    patch,
    submit,
)
from tests.support.modelservers import model_server
from tests.support.operator_process import OperatorProcess
from tests.support.waiting import until

pytestmark = pytest.mark.api


def test_an_object_becomes_five_children_that_it_owns(kubernetes: Kubernetes, operator: OperatorProcess):
    created(kubernetes)

    uid = kubernetes.get("modelserver", "server")["metadata"]["uid"]
    text = kubernetes.kubectl("get", KINDS, "-l", OURS, "-o", "json", "--show-managed-fields")
    for child in json.loads(text)["items"]:
        (owner,) = child["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"]) == (uid, True)
        managers = {entry["manager"]: entry["operation"] for entry in child["metadata"]["managedFields"]}
        assert managers["modelserver-operator"] == "Apply"


def test_the_status_speaks_of_this_generation(kubernetes: Kubernetes, operator: OperatorProcess):
    created(kubernetes)

    found = kubernetes.get("modelserver", "server")
    status = found["status"]
    assert status["observedGeneration"] == found["metadata"]["generation"]
    assert [c["type"] for c in status["conditions"]] == [
        "Accepted", "Applied", "Available", "ModelsServed", "ExclusiveCPUs", "DeviceBound", "Ready",
    ]  # fmt: skip
    assert {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}.items() >= {
        "Accepted": ("True", "Accepted"),
        "Applied": ("True", "Applied"),
        "Available": ("False", "NoPodReady"),
        "ExclusiveCPUs": ("Unknown", "NoPodReady"),
    }.items()
    assert status["endpoints"]["grpc"] == f"server.{kubernetes.namespace}.svc:8080"


def test_the_operator_leaves_no_annotation_and_no_finalizer(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes)

    metadata = kubernetes.get("modelserver", "server")["metadata"]
    assert "finalizers" not in metadata
    assert set(metadata["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}


@pytest.mark.parametrize("child", CHILDREN)
def test_a_deleted_child_comes_back(kubernetes: Kubernetes, operator: OperatorProcess, child: str):
    created(kubernetes)
    before = kubernetes.get(*child.split("/"))["metadata"]["uid"]

    kubernetes.kubectl("delete", child, "--wait=false")

    def is_back() -> bool:
        found = kubernetes.kubectl("get", child, "--ignore-not-found", "-o", "jsonpath={.metadata.uid}")
        return found not in ("", before)

    until(f"{child} is back", is_back, timeout=SOON)


def test_a_changed_replica_count_is_restored_and_reported(kubernetes: Kubernetes, operator: OperatorProcess):
    created(kubernetes)

    kubernetes.kubectl("scale", "deployment/server", "--replicas=3")

    until("one replica", lambda: deployment(kubernetes)["spec"]["replicas"] == 1, timeout=SOON)
    (message,) = until("an event", lambda: events(kubernetes, "DriftCorrected"), timeout=SOON)
    assert message == "Deployment server was changed by kubectl; the operator has restored it"


def test_a_changed_argument_comes_back(kubernetes: Kubernetes, operator: OperatorProcess):
    created(kubernetes)
    (container,) = deployment(kubernetes)["spec"]["template"]["spec"]["containers"]

    container["args"].append("--log_level=TRACE")
    patch(kubernetes, "deployment/server", {"spec": {"template": {"spec": {"containers": [container]}}}})

    def args() -> list[str]:
        return deployment(kubernetes)["spec"]["template"]["spec"]["containers"][0]["args"]

    until("the arguments are back", lambda: "--log_level=TRACE" not in args(), timeout=SOON)


C = "/spec/template/spec/containers/0"
EDITS = {
    "a second container": (
        "deployment",
        "add",
        "/spec/template/spec/containers/-",
        {"name": "x", "image": "y"},
    ),
    "another name for the container": ("deployment", "replace", f"{C}/name", "x"),
    "a variable more": ("deployment", "add", f"{C}/env/-", {"name": "X", "value": "1"}),
    "a privileged container": ("deployment", "replace", f"{C}/securityContext", {"privileged": True}),
    "a volume more": ("deployment", "add", "/spec/template/spec/volumes/-", {"name": "x", "emptyDir": {}}),
    "another strategy": ("deployment", "replace", "/spec/strategy", {"type": "Recreate"}),
    "a pause": ("deployment", "add", "/spec/paused", True),
    "no owner": ("deployment", "remove", "/metadata/ownerReferences", None),
    "no arguments": ("deployment", "remove", f"{C}/args", None),
    "another port": ("service", "replace", "/spec/ports/0/port", 9),
    "a port more": ("service", "add", "/spec/ports/-", {"name": "x", "port": 9}),
    "a selector that finds nothing": ("service", "add", "/spec/selector/x", "y"),
    "no owner of the Service": ("service", "remove", "/metadata/ownerReferences", None),
}


@pytest.mark.parametrize("edit", EDITS)
def test_any_edit_against_what_is_desired_is_undone(
    kubernetes: Kubernetes, operator: OperatorProcess, edit: str
):
    created(kubernetes, pod={"env": [{"name": "A", "value": "b"}]})
    kind, verb, path, value = EDITS[edit]

    def content() -> tuple:
        found = kubernetes.get(kind, "server")
        return found["spec"], found["metadata"]["labels"], found["metadata"].get("ownerReferences")

    before = content()
    patch = {"op": verb, "path": path, **({} if value is None else {"value": value})}
    kubernetes.kubectl("patch", kind, "server", "--type=json", "-p", json.dumps([patch]))

    until("it is as it was", lambda: content() == before, timeout=SOON)
    until("an event", lambda: events(kubernetes, "DriftCorrected"), timeout=SOON)


def test_children_of_a_deleted_object_find_their_successor(kubernetes: Kubernetes, operator: OperatorProcess):
    created(kubernetes)
    pods = kubernetes.get("deployment", "server")["metadata"]["uid"]

    kubernetes.kubectl("delete", "modelserver", "server", "--cascade=orphan")
    created(kubernetes)

    owner = kubernetes.get("modelserver", "server")["metadata"]["uid"]
    found = deployment(kubernetes)["metadata"]
    assert (found["uid"], found["ownerReferences"][0]["uid"]) == (pods, owner)


def test_a_removed_label_comes_back(kubernetes: Kubernetes, operator: OperatorProcess):
    created(kubernetes)

    kubernetes.kubectl("label", "service/server", "app.kubernetes.io/managed-by-")

    until("the label is back", lambda: children(kubernetes) == CHILDREN, timeout=SOON)


def test_a_changed_configuration_comes_back(kubernetes: Kubernetes, operator: OperatorProcess):
    created(kubernetes)
    data = kubernetes.get("configmap", "server-config")["data"]

    patch(kubernetes, "configmap/server-config", {"data": {"config.json": "{}"}})

    until(
        "the configuration is back",
        lambda: kubernetes.get("configmap", "server-config")["data"] == data,
        timeout=SOON,
    )


def test_what_others_add_is_left_alone(kubernetes: Kubernetes, operator: OperatorProcess):
    created(kubernetes)

    kubernetes.kubectl("annotate", "service/server", "example.com/mine=yes")
    kubernetes.kubectl("scale", "modelserver/server", "--replicas=2")

    until("two replicas", lambda: deployment(kubernetes)["spec"]["replicas"] == 2, timeout=SOON)
    assert kubernetes.get("service", "server")["metadata"]["annotations"]["example.com/mine"] == "yes"
    assert events(kubernetes, "DriftCorrected") == []


def test_kubectl_scale_and_autoscalers_go_through_the_scale_subresource(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes)

    kubernetes.kubectl("scale", "modelserver/server", "--replicas=3")

    until("three replicas", lambda: deployment(kubernetes)["spec"]["replicas"] == 3, timeout=SOON)
    path = f"/apis/modelserver.dev/v1alpha1/namespaces/{kubernetes.namespace}/modelservers/server/scale"

    def scale() -> dict:
        return json.loads(kubernetes.kubectl("get", "--raw", path))

    until("the scale reports three", lambda: scale()["status"].get("replicas") == 3, timeout=SOON)
    pods = kubernetes.items("pods", scale()["status"]["selector"])
    assert len(pods) == 3


def test_a_field_taken_back_is_removed_from_the_child(kubernetes: Kubernetes, operator: OperatorProcess):
    created(kubernetes, pod={"nodeSelector": {"disk": "fast"}})

    patch(kubernetes, "modelserver/server", {"spec": {"pod": None}})

    until(
        "no node selector",
        lambda: "nodeSelector" not in deployment(kubernetes)["spec"]["template"]["spec"],
        timeout=SOON,
    )


def test_tuning_and_models_change_the_configuration_but_no_pod(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes)
    before = deployment(kubernetes)["metadata"]["generation"]

    patch(kubernetes, "modelserver/server", {"spec": {"hint": "LATENCY", "pollIntervalSeconds": 5}})

    def configuration() -> str:
        return kubernetes.get("configmap", "server-config")["data"]["config.json"]

    until("the hint is there", lambda: '"hint": "LATENCY"' in configuration(), timeout=SOON)
    assert deployment(kubernetes)["metadata"]["generation"] == before


def test_an_own_service_account_is_not_made_where_one_is_named(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes)

    patch(kubernetes, "modelserver/server", {"spec": {"pod": {"serviceAccountName": "default"}}})

    until("it is pruned", lambda: "ServiceAccount/server" not in children(kubernetes), timeout=SOON)


def test_a_strangers_object_of_the_same_name_is_never_touched(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    kubernetes.kubectl("create", "configmap", "server-config", "--from-literal=mine=yes")
    submit(kubernetes, model_server())

    def taken() -> dict:
        return kubernetes.condition("server", "Applied")

    until("the name is taken", lambda: taken().get("reason") == "NameTaken", timeout=SOON)
    assert "ConfigMap server-config" in taken()["message"]
    assert kubernetes.condition("server", "Ready")["reason"] == "NameTaken"
    assert kubernetes.get("configmap", "server-config")["data"] == {"mine": "yes"}

    kubernetes.kubectl("delete", "configmap", "server-config")
    until("it continues on its own", lambda: taken().get("status") == "True", timeout=20)


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        pytest.param({"env": [{"name": "no value", "valueFrom": {}}]}, "valueFrom", id="a wrong value"),
        pytest.param(
            {
                "volumes": [{"name": "a", "emptyDir": {}}],
                "volumeMounts": [{"name": "a", "mountPath": "/etc/modelserver"}],
            },
            "duplicate entries",
            id="a path twice",
        ),
    ],
)
def test_a_refusal_of_the_api_server_is_reported_in_its_words(
    kubernetes: Kubernetes, operator: OperatorProcess, pod: dict, words: str
):
    submit(kubernetes, model_server(pod=pod))

    refused = until(
        "the refusal",
        lambda: (c := kubernetes.condition("server", "Applied")).get("status") == "False" and c,
        timeout=SOON,
    )
    assert refused["reason"] == "Refused"
    assert words in refused["message"]


def test_a_source_of_a_later_version_is_not_accepted_and_nothing_is_applied(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    submit(kubernetes, model_server(models=[{"name": "m", "uri": "s3://bucket/m"}]))

    accepted = until("a verdict", lambda: kubernetes.condition("server", "Accepted"), timeout=SOON)
    assert (accepted["status"], accepted["reason"]) == ("False", "SourceNotSupported")
    assert "pvc://CLAIM/PATH" in accepted["message"]
    assert kubernetes.condition("server", "Ready")["status"] == "False"
    assert children(kubernetes) == []


def test_a_paused_object_is_reported_but_not_changed(kubernetes: Kubernetes, operator: OperatorProcess):
    created(kubernetes)

    patch(kubernetes, "modelserver/server", {"spec": {"paused": True, "replicas": 2}})

    held = until(
        "it is held back",
        lambda: (c := kubernetes.condition("server", "Applied")).get("reason") == "Paused" and c,
        timeout=SOON,
    )
    assert "Deployment server" in held["message"]
    assert deployment(kubernetes)["spec"]["replicas"] == 1
    patch(kubernetes, "modelserver/server", {"spec": {"paused": False}})
    until("two replicas", lambda: deployment(kubernetes)["spec"]["replicas"] == 2, timeout=SOON)


def test_a_namespace_goes_quietly_with_everything_in_it(kubernetes: Kubernetes, operator: OperatorProcess):
    created(kubernetes)
    before = len(operator.log())

    kubernetes.kubectl("delete", "namespace", kubernetes.namespace, "--wait=true", timeout=60)

    assert "failed" not in operator.log()[before:]
    kubernetes.kubectl("create", "namespace", kubernetes.namespace)
