"""Scalers on a real API server: who sets replicas, one at a time, and nobody's are forced back."""

import json
import re

import pytest

from devcluster.kubectl import Kubernetes
from modelserver_operator.naming import selector_text
from tests.support.callers import callers
from tests.support.children import SOON, created, patch, submit
from tests.support.kubelet_part import Start
from tests.support.modelservers import OFFICE_HOURS, scaled
from tests.support.operator_process import OperatorProcess
from tests.support.scalers import CPU, OBJECT, SCALERS, autoscaled, hpa, replicas, scalers
from tests.support.server_process import fetch
from tests.support.waiting import until

pytestmark = pytest.mark.api


def trigger(kubernetes: Kubernetes) -> str:
    """The URL that KEDA asks."""
    (found,) = kubernetes.get("scaledobject", "server")["spec"]["triggers"]
    return str(found["metadata"]["url"])


def load(url: str) -> dict[str, float]:
    """The answer for KEDA; it is at most two seconds old."""
    found: dict[str, float] = json.loads(fetch(url)[1])
    return found


@pytest.mark.long
def test_an_autoscaler_writes_the_objects_replicas_and_nothing_forces_them_back(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    """Kubernetes' own controller raises them to the least number, through the object's /scale."""
    created(kubernetes, **scaled(minReplicas=3, metrics=CPU["autoscaling"]["metrics"]))

    until("three replicas", lambda: replicas(kubernetes) == (3, 3), timeout=40)
    budget = kubernetes.get("poddisruptionbudget", "server")["spec"]
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == ("10%", "AlwaysAllow")
    until("it says how", lambda: "replicas" in autoscaled(kubernetes)[1], timeout=SOON)


def test_a_scaler_that_is_changed_or_deleted_is_restored_and_goes_with_the_field(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes, replicas=2, **CPU)
    until("the scaler", lambda: scalers(kubernetes) == ["HorizontalPodAutoscaler"], timeout=SOON)

    patch(kubernetes, "hpa/server", {"spec": {"maxReplicas": 99}})
    until(
        "it is restored", lambda: kubernetes.get("hpa", "server")["spec"]["maxReplicas"] == 10, timeout=SOON
    )
    kubernetes.kubectl("delete", "hpa", "server")
    until("it is made again", lambda: scalers(kubernetes) == ["HorizontalPodAutoscaler"], timeout=SOON)

    patch(kubernetes, "modelserver/server", {"spec": {"autoscaling": None}})
    until("it is gone", lambda: scalers(kubernetes) == [], timeout=SOON)
    until("nothing is said", lambda: autoscaled(kubernetes) == ("", ""), timeout=SOON)
    assert replicas(kubernetes) == (2, 2)


def test_the_old_scaler_goes_before_the_new_one_comes_and_replicas_stay(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes, replicas=2, **CPU)
    until("the first", lambda: scalers(kubernetes) == ["HorizontalPodAutoscaler"], timeout=SOON)
    seen = kubernetes.get("hpa", "server")["metadata"]["creationTimestamp"]

    patch(kubernetes, "modelserver/server", {"spec": scaled()})
    until("the second", lambda: scalers(kubernetes) == ["ScaledObject"], timeout=SOON)
    patch(kubernetes, "modelserver/server", {"spec": CPU})
    until("the first again", lambda: scalers(kubernetes) == ["HorizontalPodAutoscaler"], timeout=SOON)

    assert replicas(kubernetes) == (2, 2)
    assert seen


def kedas_hpa(kubernetes: Kubernetes) -> None:
    """What KEDA makes of a ScaledObject: it copies labels and annotations."""
    metadata = kubernetes.get("scaledobject", "server")["metadata"]
    owner = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "name": "server",
        "uid": metadata["uid"],
    }
    body = hpa("keda-hpa-server", OBJECT)
    body["metadata"] |= {
        "labels": metadata["labels"],
        "annotations": metadata["annotations"],
        "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
    }
    submit(kubernetes, body)


def keda_says(kubernetes: Kubernetes, **conditions: str) -> None:
    status = {
        "conditions": [
            {"type": kind, "status": value, "reason": "R", "message": "m"}
            for kind, value in conditions.items()
        ]
    }
    patch(kubernetes, "scaledobject/server", {"status": status}, "--subresource=status")


def test_the_autoscaler_that_keda_makes_is_kedas_and_is_what_autoscaled_reports(
    kubernetes: Kubernetes, operator: OperatorProcess, start: Start
):
    start(cpus="0", **scaled()).become_ready()
    until("the scaler", lambda: scalers(kubernetes) == ["ScaledObject"], timeout=SOON)
    until("it waits", lambda: autoscaled(kubernetes)[0] == "AwaitingScaler", timeout=SOON)
    keda_says(kubernetes, Ready="True")
    kedas_hpa(kubernetes)

    # No metrics are served here, so Kubernetes' own controller says so of it.
    until("its report", lambda: autoscaled(kubernetes)[0] == "MetricsUnavailable", timeout=60)
    before = kubernetes.get("hpa", "keda-hpa-server")["metadata"]
    patch(kubernetes, "modelserver/server", {"spec": {"autoscaling": {"maxReplicas": 7}}})
    until(
        "a change of ours",
        lambda: kubernetes.get("scaledobject", "server")["spec"]["maxReplicaCount"] == 7,
        timeout=SOON,
    )
    after = kubernetes.get("hpa", "keda-hpa-server")["metadata"]
    assert (after["uid"], after["labels"]) == (before["uid"], before["labels"])


def test_keda_is_answered_with_the_load_of_the_pods_and_nobody_else_is(
    kubernetes: Kubernetes, operator: OperatorProcess, start: Start
):
    start(cpus="0", **scaled()).become_ready()
    kubernetes.wait_for("server", timeout=20)
    until("the scaler", lambda: scalers(kubernetes) == ["ScaledObject"], timeout=SOON)
    url, port = trigger(kubernetes), kubernetes.get("modelserver", "server")["spec"]["ports"]["rest"]
    address, _, key = url.partition("?key=")

    assert re.fullmatch(r"[\w-]{32}", key)
    assert address == f"http://127.0.0.1:{operator.scale_port}/scale/{kubernetes.namespace}/server"
    until("the load", lambda: fetch(url)[0] == 200, timeout=SOON)
    with callers(port, 8, bytes(10 * 4), "dummy"):
        until("a full one", lambda: load(url)["requestsPerStream"] > 0.6, timeout=60)
    until("an idle one", lambda: load(url)["requestsPerStream"] < 0.3, timeout=60)
    assert fetch(address)[0] == fetch(f"{address}?key=other")[0] == 404


@pytest.mark.long
def test_every_pod_of_the_operator_answers_and_a_restart_keeps_the_key(
    kubernetes: Kubernetes, operator: OperatorProcess, start: Start, tmp_path
):
    standby = OperatorProcess(operator.kubeconfig, tmp_path / "log", pod="pod-1")
    standby.start("--cpu-image=modelserver:test")
    try:
        start(cpus="0", **scaled()).become_ready()
        kubernetes.wait_for("server", timeout=20)
        until("the scaler", lambda: scalers(kubernetes) == ["ScaledObject"], timeout=SOON)
        url = trigger(kubernetes)
        there = url.replace(str(operator.scale_port), str(standby.scale_port))
        until("the standby's answer", lambda: fetch(there)[0] == 200, timeout=SOON)
    finally:
        assert standby.stop() == 0
    key = url.partition("?")[2]
    operator.stop()
    operator.start("--cpu-image=modelserver:test")

    # Its port is another one here; in a cluster the Service stays.
    until("the new address", lambda: str(operator.scale_port) in trigger(kubernetes), timeout=30)
    assert trigger(kubernetes).partition("?")[2] == key
    until("an answer", lambda: fetch(trigger(kubernetes))[0] == 200, timeout=SOON)


def test_a_budget_comes_with_the_second_replica_and_goes_with_it(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes)
    assert kubernetes.items("poddisruptionbudgets") == []

    kubernetes.kubectl("scale", "modelserver/server", "--replicas=2")
    until("the budget", lambda: kubernetes.items("poddisruptionbudgets"), timeout=SOON)
    kubernetes.kubectl("scale", "modelserver/server", "--replicas=1")
    until("none", lambda: not kubernetes.items("poddisruptionbudgets"), timeout=SOON)


def test_headroom_is_a_buffer_that_goes_with_the_field(kubernetes: Kubernetes, operator: OperatorProcess):
    created(kubernetes, headroom=2)
    until("the buffer", lambda: kubernetes.items("capacitybuffers"), timeout=SOON)
    (buffer,) = kubernetes.items("capacitybuffers")
    assert buffer["spec"]["scalableRef"] == {"apiGroup": "apps", "kind": "Deployment", "name": "server"}

    patch(kubernetes, "modelserver/server", {"spec": {"headroom": None}})
    until("none", lambda: not kubernetes.items("capacitybuffers"), timeout=SOON)


def test_zero_replicas_are_ready_and_zero_without_a_schedule_says_what_is_missing(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes, replicas=0, **scaled(minReplicas=0, schedule=[OFFICE_HOURS]))
    until(
        "Ready", lambda: kubernetes.condition("server", "Ready").get("reason") == "ScaledToZero", timeout=SOON
    )
    until(
        "it is ready", lambda: kubernetes.condition("server", "Ready").get("status") == "True", timeout=SOON
    )
    assert kubernetes.get("scaledobject", "server")["spec"]["minReplicaCount"] == 0

    patch(kubernetes, "modelserver/server", {"spec": {"autoscaling": {"schedule": None}}})

    until(
        "one replica stays",
        lambda: kubernetes.get("scaledobject", "server")["spec"]["minReplicaCount"] == 1,
        timeout=SOON,
    )


def test_everything_is_gone_with_the_object(kubernetes: Kubernetes, operator: OperatorProcess):
    created(kubernetes, headroom=1, **scaled(minReplicas=2))
    kinds = f"{SCALERS},poddisruptionbudgets,capacitybuffers"
    until("all of it", lambda: len(kubernetes.items(kinds, selector_text("server"))) == 3, timeout=SOON)

    kubernetes.kubectl("delete", "modelserver", "server")

    until("nothing", lambda: kubernetes.items(kinds, selector_text("server")) == [], timeout=30)
