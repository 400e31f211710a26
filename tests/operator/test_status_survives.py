"""No step of a pass silences the status: every refusal is in it, and it follows the object all the same."""

import json
import time
from collections.abc import Iterator

import pytest

from devcluster.kubectl import Kubernetes
from modelserver_operator.api import KIND, Status
from modelserver_operator.api.status import ModelReport
from modelserver_operator.changes.status import StatusWriter
from modelserver_operator.clients.installed import InstalledCrd
from modelserver_operator.clients.kubernetes import connect
from modelserver_operator.desired import Images
from modelserver_operator.observed.store import Store
from tests.support.children import (
    CHILDREN,
    SOON,
    children,
    created,
    deployment,
    events,
    is_alone,
    patch,
    submit,
)
from tests.support.in_process import reconciling
from tests.support.kubelet_part import Start, placed
from tests.support.modelservers import model_server
from tests.support.operator_process import OperatorProcess, Requests, install
from tests.support.policies import Denial, denied
from tests.support.waiting import until

pytestmark = pytest.mark.api
IMAGE = "The server image that the pods run"


def wait_for(kubernetes: Kubernetes, kind: str, status: str, *words: str, timeout: float = SOON) -> dict:
    """The condition, once it has this status and these words."""

    def holds() -> dict | None:
        conditions = kubernetes.get("modelserver", "server").get("status", {}).get("conditions", [])
        found = next((item for item in conditions if item["type"] == kind), {})
        text = f"{found.get('reason')} {found.get('message')}"
        return found if found.get("status") == status and all(word in text for word in words) else None

    try:
        return until(f"{kind} {status} {words}", holds, timeout=timeout)
    except AssertionError as error:
        found = kubernetes.get("modelserver", "server").get("status")
        raise AssertionError(f"{error}; it is {json.dumps(found, indent=1)}") from None


def pod_of(kubernetes: Kubernetes) -> str:
    (found,) = until("a pod", lambda: kubernetes.items("pods"), timeout=20)
    return str(found["metadata"]["name"])


def report(kubernetes: Kubernetes, pod: str, status: dict) -> None:
    patch(kubernetes, f"pod/{pod}", {"status": status}, "--subresource=status")


def test_an_evicted_pod_whose_container_was_lost_is_the_last_failure(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes)
    pod = pod_of(kubernetes)
    lost = {
        "name": "modelserver", "image": "i", "imageID": "", "ready": False, "restartCount": 0,
        "state": {"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown", "finishedAt": None}},
    }  # fmt: skip
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    ready = {"type": "Ready", "status": "False", "lastTransitionTime": at}
    report(
        kubernetes,
        pod,
        {
            "phase": "Failed", "reason": "Evicted", "message": "too much storage", "conditions": [ready],
            "containerStatuses": [lost],
        },
    )  # fmt: skip

    wait_for(
        kubernetes, "Ready", "False", "PodsFailing", f"pod {pod}: Evicted (exit code 137): too much storage"
    )
    failure = kubernetes.get("modelserver", "server")["status"]["lastFailure"]
    assert (failure["time"], failure["reason"], failure["exitCode"]) == (at, "Evicted", 137)
    patch(kubernetes, "modelserver/server", {"spec": {"hint": "LATENCY"}})
    until(
        "the status follows the object",
        lambda: kubernetes.get("modelserver", "server")["status"]["observedGeneration"] == 2,
        timeout=SOON,
    )


def test_a_refused_nudge_is_named_and_the_status_goes_on(kubernetes: Kubernetes, start: Start):
    pod = start(cpus="0")
    pod.become_ready()
    kubernetes.wait_for("server", timeout=20)
    probe = ("annotate", "pod", pod.name, "probe=x", "--dry-run=server")

    with denied(kubernetes, Denial("pods", ("UPDATE",)), probe):
        patch(kubernetes, "modelserver/server", {"spec": {"hint": "LATENCY"}})

        found = wait_for(kubernetes, "Applied", "False", "Refused")
        assert f"refused to annotate Pod {pod.name}" in found["message"]
        assert "not on a Friday" in found["message"]
        assert found["observedGeneration"] == 2
        assert kubernetes.condition("server", "Ready")["reason"] == "Refused"

    wait_for(kubernetes, "Applied", "True", timeout=40)
    pod.bring_configuration()
    kubernetes.wait_for("server", timeout=30)


def test_a_refused_deletion_is_named(kubernetes: Kubernetes, operator: OperatorProcess):
    created(kubernetes)
    probe = ("delete", "serviceaccount", "server", "--dry-run=server")

    with denied(kubernetes, Denial("serviceaccounts", ("DELETE",)), probe):
        patch(kubernetes, "modelserver/server", {"spec": {"pod": {"serviceAccountName": "default"}}})

        wait_for(
            kubernetes, "Applied", "False", "refused to delete ServiceAccount server: 4", "not on a Friday"
        )

    wait_for(kubernetes, "Applied", "True", timeout=40)
    assert "ServiceAccount/server" not in children(kubernetes)


def test_a_refused_service_holds_back_no_other_child(kubernetes: Kubernetes, operator: OperatorProcess):
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "q"},
        "spec": {"hard": {"services.loadbalancers": 0}},
    }
    kubernetes.apply(json.dumps(quota))
    until(
        "the quota counts",
        lambda: kubernetes.get("resourcequota", "q").get("status", {}).get("used"),
        timeout=30,
    )

    submit(kubernetes, model_server(service={"type": "LoadBalancer"}))

    wait_for(kubernetes, "Applied", "False", "refused to create Service server", "exceeded quota")
    assert children(kubernetes) == [child for child in CHILDREN if child != "Service/server"]
    kubernetes.kubectl("delete", "resourcequota", "q")
    wait_for(kubernetes, "Applied", "True", timeout=70)


def test_a_refused_deployment_leaves_the_configuration_of_its_pods(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes)

    def configuration() -> str:
        return kubernetes.get("configmap", "server-config")["data"]["config.json"]

    before = configuration()
    rule = "object.spec.template.spec.containers[0].image != 'refused:1'"
    probe = ("set", "image", "deployment/server", "modelserver=refused:1", "--dry-run=server")
    with denied(kubernetes, Denial("deployments", ("UPDATE",), rule), probe):
        patch(kubernetes, "modelserver/server", {"spec": {"hint": "LATENCY", "image": "refused:1"}})

        found = wait_for(kubernetes, "Applied", "False", "refused to change Deployment server")
        assert "ConfigMap server-config is not changed before Deployment server can be" in found["message"]
        assert configuration() == before

    wait_for(kubernetes, "Applied", "True", timeout=70)
    assert '"hint": "LATENCY"' in configuration()


def test_a_deployment_is_not_written_before_its_configuration(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    probe = ("create", "configmap", "probe", "--dry-run=server")
    with denied(kubernetes, Denial("configmaps", ("CREATE",)), probe):
        submit(kubernetes, model_server())

        found = wait_for(kubernetes, "Applied", "False", "refused to create ConfigMap server-config")
        assert "Deployment server is not written before its ConfigMap" in found["message"]
        assert "Deployment/server" not in children(kubernetes)

    wait_for(kubernetes, "Applied", "True", timeout=70)
    assert children(kubernetes) == CHILDREN


def test_a_refused_status_leaves_a_minimal_one_that_says_so(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes)
    now = "2026-01-01T00:00:00Z"
    content = {
        "status": {
            "endpoints": {"grpc": "a", "rest": "b", "grpcHeadless": "c"},
            "lastFailure": {"time": now, "pod": "p", "reason": "r"},
        }
    }
    probe = (
        "patch", "modelserver", "server", "--subresource=status", "--type=merge", "-p", json.dumps(content),
        "--dry-run=server",
    )  # fmt: skip
    with denied(
        kubernetes, Denial("modelservers/status", ("UPDATE",), "!has(object.status.endpoints)"), probe
    ):
        patch(kubernetes, "modelserver/server", {"spec": {"hint": "LATENCY"}})

        found = wait_for(kubernetes, "Ready", "False", "StatusRefused", "not on a Friday")
        assert found["observedGeneration"] == 2
        status = kubernetes.get("modelserver", "server")["status"]
        assert (status["observedGeneration"], "endpoints" in status) == (2, False)
        assert status["selector"]
        assert kubernetes.condition("server", "Applied")["status"] == "True"

    kubernetes.kubectl("label", "modelserver", "server", "wake=up")
    until(
        "the full status is back",
        lambda: "endpoints" in kubernetes.get("modelserver", "server")["status"],
        timeout=70,
    )


def published(cluster: Kubernetes) -> str:
    return cluster.kubectl("get", "--raw", "/openapi/v3/apis/modelserver.dev/v1alpha1")


@pytest.fixture
def older_crd(cluster: Kubernetes, operator: OperatorProcess) -> Iterator[None]:
    """A CRD whose status has no image, and an operator that finds it when it starts."""
    crd = cluster.get("crd", "modelservers.modelserver.dev")
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    del schema["properties"]["status"]["properties"]["image"]
    assert operator.stop() == 0
    try:
        cluster.kubectl("replace", "-f", "-", stdin=json.dumps(crd))
        until("the older CRD is published", lambda: IMAGE not in published(cluster), timeout=30)
        operator.start("--cpu-image=modelserver:test")
        yield
    finally:
        operator.stop()
        install(cluster)
        operator.start("--cpu-image=modelserver:test")


@pytest.mark.long
@pytest.mark.usefixtures("older_crd")
def test_an_older_crd_is_named_and_does_not_freeze_the_status(
    cluster: Kubernetes, kubernetes: Kubernetes, operator: OperatorProcess
):
    def status() -> dict:
        return kubernetes.get("modelserver", "server")["status"]

    created(kubernetes)
    wait_for(kubernetes, "Accepted", "True", "OldCRD", "status.image", "kubectl apply --server-side")
    assert "it lacks status.image" in operator.log()
    pod_of(kubernetes)
    patch(kubernetes, "modelserver/server", {"spec": {"hint": "LATENCY"}})
    until("the status follows the object", lambda: status()["observedGeneration"] == 2, timeout=SOON)
    assert "image" not in status()

    install(cluster)
    until("the CRD is published", lambda: IMAGE in published(cluster), timeout=30)
    wait_for(kubernetes, "Accepted", "True", "Accepted", timeout=30)  # no event tells of it
    until("the image is shown", lambda: status().get("image") == "modelserver:test", timeout=20)


def test_a_condition_of_somebody_else_stays_and_costs_no_write(
    kubernetes: Kubernetes, operator: OperatorProcess, requests: Requests
):
    until("other tests' namespaces are gone", lambda: is_alone(kubernetes), timeout=60)
    created(kubernetes, replicas=0)
    kubernetes.wait_for("server", timeout=20)
    foreign = {
        "type": "Audited", "status": "True", "reason": "X", "message": "", "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    content = {
        "apiVersion": "modelserver.dev/v1alpha1", "kind": KIND, "metadata": {"name": "server"},
        "status": {"conditions": [foreign], "tuning": {"streams": 7}},
    }  # fmt: skip
    kubernetes.kubectl(
        "apply", "--server-side", "--subresource=status", "--field-manager=audit", "-f", "-",
        stdin=json.dumps(content),
    )  # fmt: skip
    until("the operator has seen it", lambda: _passes(kubernetes), timeout=SOON)

    before = requests.totals()
    for number in range(3):
        kubernetes.kubectl("label", "modelserver", "server", f"wake={number}", "--overwrite")
        time.sleep(1)  # the length of the window is what is asserted

    assert requests.since(before).get(("patch", "modelservers/status"), 0) == 0
    assert kubernetes.condition("server", "Audited")["status"] == "True"


def _passes(kubernetes: Kubernetes) -> bool:
    version = kubernetes.get("modelserver", "server")["metadata"]["resourceVersion"]
    time.sleep(1)
    return bool(version == kubernetes.get("modelserver", "server")["metadata"]["resourceVersion"])


def test_an_object_that_is_not_accepted_any_more_is_repaired_scaled_and_judged(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes)
    before = deployment(kubernetes)["metadata"]["uid"]
    patch(kubernetes, "modelserver/server", {"spec": {"models": [{"name": "m", "uri": "s3://bucket/m"}]}})
    wait_for(kubernetes, "Accepted", "False", "SourceNotSupported", "generation 1 stays in effect")

    kubernetes.kubectl("delete", "deployment", "server")
    kubernetes.kubectl("scale", "modelserver/server", "--replicas=2")

    def again() -> bool:
        found = kubernetes.items("deployments")
        return bool(found and found[0]["metadata"]["uid"] != before and found[0]["spec"]["replicas"] == 2)

    until("it is back, with two replicas", again, timeout=SOON)
    assert '"pvc://' not in kubernetes.get("configmap", "server-config")["data"]["config.json"]
    wait_for(kubernetes, "Available", "False", "NoPodReady")
    until(
        "pods are counted",
        lambda: kubernetes.get("modelserver", "server")["status"].get("replicas") == 2,
        timeout=SOON,
    )


def test_after_a_restart_what_runs_of_an_object_that_is_not_accepted_is_left_and_counted(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes)
    patch(kubernetes, "modelserver/server", {"spec": {"models": [{"name": "m", "uri": "s3://bucket/m"}]}})
    wait_for(kubernetes, "Accepted", "False", "SourceNotSupported")
    assert operator.stop() == 0
    operator.start("--cpu-image=modelserver:test")

    wait_for(kubernetes, "Ready", "False", "SourceNotSupported", "is not repaired", timeout=20)
    assert children(kubernetes) == CHILDREN
    kubernetes.kubectl("delete", "deployment", "server")
    until(
        "that is counted",
        lambda: kubernetes.get("modelserver", "server")["status"].get("replicas") == 0,
        timeout=SOON,
    )


def test_what_is_left_of_a_deleted_object_is_waited_for(kubernetes: Kubernetes, operator: OperatorProcess):
    owner = {
        "apiVersion": "modelserver.dev/v1alpha1", "kind": KIND, "name": "server",
        "uid": "00000000-0000-0000-0000-000000000001", "controller": True,
    }  # fmt: skip
    left = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "server-config", "ownerReferences": [owner], "finalizers": ["example.com/slow"]},
    }
    kubernetes.apply(json.dumps(left))

    submit(kubernetes, model_server())

    found = wait_for(kubernetes, "Applied", "False", "AwaitingDeletion", "ConfigMap server-config")
    assert "delete or rename" not in found["message"]
    patch(kubernetes, "configmap/server-config", {"metadata": {"finalizers": None}})
    wait_for(kubernetes, "Applied", "True", timeout=70)
    assert events(kubernetes, "NameTaken") == []


def test_deletions_that_a_pause_holds_back_are_listed(kubernetes: Kubernetes, operator: OperatorProcess):
    created(kubernetes)

    patch(
        kubernetes, "modelserver/server", {"spec": {"paused": True, "pod": {"serviceAccountName": "default"}}}
    )

    wait_for(
        kubernetes, "Applied", "False", "Paused", "Deployment server", "deletion of ServiceAccount server"
    )
    assert children(kubernetes) == CHILDREN


def test_why_a_pod_waits_is_read_from_its_events(kubernetes: Kubernetes, operator: OperatorProcess):
    created(kubernetes)
    (pod,) = until("a pod", lambda: kubernetes.items("pods"), timeout=20)
    name = pod["metadata"]["name"]
    mount = 'MountVolume.SetUp failed for volume "tls" : secret "tls" not found'
    warn(kubernetes, pod, "FailedMount", mount)

    with placed(kubernetes, name):
        wait_for(kubernetes, "Available", "False", f"pod {name}: FailedMount: {mount}", timeout=40)
        assert f"FailedMount: {mount}" in kubernetes.condition("server", "Ready")["message"]


def test_why_a_pod_ended_is_read_from_its_events_where_the_kubelet_calls_it_a_success(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    """What a kubelet reports when the server of an evicted pod exits with 0 in time."""
    created(kubernetes)
    (pod,) = until("a pod", lambda: kubernetes.items("pods"), timeout=20)
    name, now = pod["metadata"]["name"], time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    exceeded = "Pod ephemeral local storage usage exceeds the total limit of containers 4Mi."
    warn(kubernetes, pod, "Evicted", exceeded)
    ended = {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}
    container = {
        "name": "modelserver", "image": "modelserver:test", "imageID": "", "ready": False, "restartCount": 0,
        "state": {"terminated": ended},
    }  # fmt: skip
    not_ready = {"type": "Ready", "status": "False", "reason": "PodCompleted", "lastTransitionTime": now}

    report(
        kubernetes,
        name,
        {"phase": "Succeeded", "conditions": [not_ready], "containerStatuses": [container]},
    )

    wait_for(kubernetes, "Ready", "False", f"pod {name}: Evicted: {exceeded} Raise the limit")
    failure = kubernetes.get("modelserver", "server")["status"]["lastFailure"]
    assert (failure["pod"], failure["reason"], failure["message"]) == (name, "Evicted", exceeded)


def warn(kubernetes: Kubernetes, pod: dict, reason: str, message: str) -> None:
    """An Event about the pod, as a kubelet writes it."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    about = {name: pod["metadata"][name] for name in ("name", "namespace", "uid")}
    event = {
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": reason.lower()}, "type": "Warning",
        "reason": reason, "message": message, "firstTimestamp": now, "lastTimestamp": now, "count": 1,
        "involvedObject": {"kind": "Pod", **about},
    }  # fmt: skip
    kubernetes.apply(json.dumps(event))


def test_the_same_transition_again_is_the_same_event_counted_up(kubernetes: Kubernetes, start: Start):
    pod = start(cpus="0")

    def counts() -> list[int]:
        found = json.loads(
            kubernetes.kubectl("get", "events", "--field-selector", "reason=PodsReady", "-o", "json")
        )
        return [item["count"] for item in found["items"]]

    pod.become_ready()
    until("the first event", lambda: counts() == [1], timeout=SOON)
    pod.report("False")
    wait_for(kubernetes, "Available", "False")
    pod.report("True")

    until("it is counted up", lambda: counts() == [2], timeout=SOON)
    assert events(kubernetes, "Accepted") == []


async def test_new_figures_in_an_error_are_written_once_a_minute(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    assert operator.stop() == 0
    submit(kubernetes, model_server())
    cluster, clock = await connect(kubeconfig=kubernetes.environment["KUBECONFIG"]), [0.0]
    writer = StatusWriter(
        cluster, Store(), InstalledCrd(cluster), lambda: "2026-01-01T00:00:00Z", lambda: clock[0]
    )

    async def write(free: int, seconds: float) -> bool:
        clock[0] = seconds
        body = kubernetes.get("modelserver", "server")
        model = ModelReport(name="m", error=f"it leaves {free} MiB")
        written = await writer.write(body, writer.previous(body), Status(replicas=1, models=[model]))
        return written.is_new

    try:
        written = [await write(*step) for step in ((12, 0), (12, 1), (14, 2), (15, 59), (16, 61), (17, 62))]
    finally:
        await cluster.close()
        operator.start("--cpu-image=modelserver:test")

    assert written == [True, False, False, False, True, False]


class _Faulty(Images):
    """Settings that break the operator, as a bug of it would."""

    def choose(self, _server: object) -> str:
        raise KeyError("no image")


async def test_a_bug_of_the_operator_is_in_the_status_too(kubernetes: Kubernetes, operator: OperatorProcess):
    assert operator.stop() == 0
    submit(kubernetes, model_server())
    cluster, store = await connect(kubeconfig=kubernetes.environment["KUBECONFIG"]), Store()
    key = store.put(KIND, kubernetes.get("modelserver", "server"))
    assert key is not None
    try:
        async with reconciling(store, cluster, _Faulty("c", "g", "n")) as faulty:
            with pytest.raises(KeyError):
                await faulty.reconcile(key)

        found = kubernetes.condition("server", "Ready")
        assert (found["status"], found["reason"]) == ("False", "InternalError")
        assert "KeyError: 'no image'" in found["message"]
    finally:
        operator.start("--cpu-image=modelserver:test")
    wait_for(kubernetes, "Applied", "True", timeout=20)
    assert kubernetes.condition("server", "Ready")["reason"] != "InternalError"
