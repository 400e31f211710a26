"""What real servers report becomes the object's status."""

import json
import shutil
from pathlib import Path

import pytest

from devcluster.kubectl import Kubernetes
from tests.support.kubelet_part import Start
from tests.support.operator_process import OperatorProcess
from tests.support.waiting import until

pytestmark = pytest.mark.api
SOON = 15


def wait_for(kubernetes: Kubernetes, condition: str, status: str, reason: str, timeout: float = SOON) -> dict:
    def holds() -> dict | None:
        found = kubernetes.condition("server", condition)
        return found if (found.get("status"), found.get("reason")) == (status, reason) else None

    try:
        return until(f"{condition} {status} {reason}", holds, timeout=timeout)
    except AssertionError as error:
        status = kubernetes.get("modelserver", "server").get("status")
        raise AssertionError(f"{error}; it is {json.dumps(status, indent=1)}") from None


def test_a_server_that_serves_makes_the_object_ready(kubernetes: Kubernetes, start: Start):
    pod = start(cpus="0")
    pod.become_ready()

    kubernetes.wait_for("server", timeout=SOON)
    found = kubernetes.get("modelserver", "server")
    status = found["status"]
    assert {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]} == {
        "Accepted": ("True", "Accepted"),
        "Applied": ("True", "Applied"),
        "Available": ("True", "PodsReady"),
        "ModelsServed": ("True", "Served"),
        "ExclusiveCPUs": ("True", "Exclusive"),
        "DeviceBound": ("True", "Bound"),
        "Ready": ("True", "Ready"),
    }
    assert {c["observedGeneration"] for c in status["conditions"]} == {found["metadata"]["generation"]}
    tuning = status["tuning"]
    assert (tuning["device"], tuning["hint"], tuning["threads"], tuning["pinning"]) == (
        "CPU", "THROUGHPUT", 1, True,
    )  # fmt: skip
    (model,) = status["models"]
    (version,) = model["versions"]
    assert (model["name"], version["version"], version["state"]) == ("dummy", 1, "AVAILABLE")
    assert (version["device"], version["readyPods"]) == ("CPU", 1)


def test_the_columns_of_kubectl_get_show_what_is_served(kubernetes: Kubernetes, start: Start):
    start(cpus="0").become_ready()
    kubernetes.wait_for("server", timeout=SOON)

    header, row = kubernetes.kubectl("get", "msrv", "server").splitlines()

    assert header.split() == ["NAME", "READY", "DEVICE", "HINT", "STREAMS", "REPLICAS", "AGE"]
    assert row.split()[:6] == ["server", "True", "CPU", "THROUGHPUT", "1", "1"]
    header, row = kubernetes.kubectl("get", "msrv", "server", "-o", "wide").splitlines()
    assert header.split()[-3:] == ["MODELS", "NIREQ", "IMAGE"]
    image = kubernetes.items("pods")[0]["spec"]["containers"][0]["image"]
    assert row.split()[-1] == image, "the object itself names none"


def test_a_server_that_may_run_everywhere_has_no_cpus_of_its_own(kubernetes: Kubernetes, start: Start):
    start(cpus="0-1").become_ready()

    found = wait_for(kubernetes, "ExclusiveCPUs", "False", "NodePolicyNone")

    assert "policy none" in found["message"]
    assert kubernetes.condition("server", "Ready")["status"] == "True"
    assert kubernetes.get("modelserver", "server")["status"]["tuning"]["pinning"] is False


def test_shared_cpus_that_the_object_requests_are_reported_as_such(kubernetes: Kubernetes, start: Start):
    start(cpus="0-1", cpuManagerPolicy="none").become_ready()

    wait_for(kubernetes, "ExclusiveCPUs", "False", "NotRequested")


def test_a_changed_hint_is_brought_to_the_same_pod_and_read_back(kubernetes: Kubernetes, start: Start):
    pod = start(cpus="0")
    pod.become_ready()
    kubernetes.wait_for("server", timeout=SOON)

    kubernetes.kubectl(
        "patch", "modelserver", "server", "--type=merge", "-p", '{"spec": {"hint": "LATENCY"}}'
    )

    wait_for(kubernetes, "Ready", "False", "OldConfiguration")
    revision = json.loads(kubernetes.get("configmap", "server-config")["data"]["config.json"])["revision"]

    def nudged() -> bool:
        annotations = kubernetes.get("pod", pod.name)["metadata"].get("annotations", {})
        return annotations.get("modelserver.dev/revision") == revision

    until("the kubelet is nudged", nudged, timeout=SOON)
    pod.bring_configuration()
    wait_for(kubernetes, "Ready", "True", "Ready", timeout=30)
    found = kubernetes.get("modelserver", "server")
    assert found["status"]["tuning"]["hint"] == "LATENCY"
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"] == 2


def test_a_version_that_a_server_discovers_on_its_own_is_soon_in_the_status(
    kubernetes: Kubernetes, operator: OperatorProcess, start: Start, repository: Path
):
    """No event reports it: the servers are asked periodically."""
    assert operator.stop() == 0
    operator.start("--cpu-image=modelserver:test", "--resync-seconds=2")
    shutil.copytree(repository / "dummy", repository / "growing")
    start(model="growing").become_ready()
    kubernetes.wait_for("server", timeout=SOON)

    shutil.copytree(repository / "dummy" / "1", repository / "growing" / "2")

    def served() -> list[int]:
        (model,) = kubernetes.get("modelserver", "server")["status"]["models"]
        return [v["version"] for v in model["versions"] if v["state"] == "AVAILABLE"]

    try:
        until("version 2 is in the status", lambda: 2 in served(), timeout=SOON)
    finally:
        assert operator.stop() == 0
        operator.start("--cpu-image=modelserver:test")


def test_a_pod_that_does_not_answer_is_unknown_and_its_port_is_named(kubernetes: Kubernetes, start: Start):
    pod = start(cpus="0")
    pod.become_ready()
    kubernetes.wait_for("server", timeout=SOON)

    pod.end()
    kubernetes.kubectl("label", "modelserver", "server", "wake=up")

    found = wait_for(kubernetes, "ModelsServed", "Unknown", "PodUnreachable")
    assert f"status port {pod.status_port}" in found["message"]
    assert "NetworkPolicy" in found["message"]
    assert kubernetes.condition("server", "Ready")["reason"] == "PodUnreachable"


def test_a_model_that_is_not_there_is_named_while_the_pod_is_not_ready(kubernetes: Kubernetes, start: Start):
    start(model="nowhere").report("False")

    found = until(
        "the model is named",
        lambda: (c := kubernetes.condition("server", "Available")).get("message", "").count("dummy") and c,
        timeout=SOON,
    )

    assert found["status"] == "False"
    assert kubernetes.condition("server", "Ready")["reason"] == "Starting"


def test_the_last_failure_is_kept(kubernetes: Kubernetes, start: Start):
    pod = start(cpus="0")
    ended = {
        "reason": "OOMKilled", "exitCode": 137, "message": "out of memory",
        "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z",
    }  # fmt: skip
    pod.report("False", lastState={"terminated": ended})

    def failure() -> dict:
        return kubernetes.get("modelserver", "server")["status"].get("lastFailure", {})

    until("the failure is reported", failure, timeout=SOON)
    assert failure() == {
        "time": "2026-01-01T00:00:01Z", "pod": pod.name, "reason": "OOMKilled", "exitCode": 137,
        "message": "out of memory",
    }  # fmt: skip
    assert kubernetes.condition("server", "Ready")["reason"] == "PodsFailing"

    pod.become_ready()
    kubernetes.wait_for("server", timeout=SOON)
    assert failure()["reason"] == "OOMKilled"
