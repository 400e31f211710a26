"""Scalers of others on a real API server, and what keeps pods away: named in Autoscaled, not fought with."""

import pytest

from devcluster.kubectl import Kubernetes
from tests.support.children import SOON, created, deployment, patch, submit
from tests.support.operator_process import OperatorProcess
from tests.support.scalers import CPU, DEPLOYMENT, OBJECT, autoscaled, hpa, replicas, scalers
from tests.support.waiting import until

pytestmark = pytest.mark.api


def test_somebody_elses_scaler_on_the_object_is_named_and_ours_stays_away(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    submit(kubernetes, hpa("mine", OBJECT))
    created(kubernetes, **CPU)

    until("it is named", lambda: autoscaled(kubernetes)[0] == "ForeignAutoscaler", timeout=SOON)
    assert "HorizontalPodAutoscaler mine scales this object already" in autoscaled(kubernetes)[1]
    assert scalers(kubernetes) == []


def test_one_that_comes_later_stops_both_until_ours_goes(kubernetes: Kubernetes, operator: OperatorProcess):
    """Kubernetes scales by neither of two for the same pods, and says so in both."""
    created(kubernetes, **CPU)
    until("ours", lambda: scalers(kubernetes) == ["HorizontalPodAutoscaler"], timeout=SOON)

    submit(kubernetes, hpa("mine", OBJECT, minReplicas=2))

    until("ours is gone", lambda: scalers(kubernetes) == [], timeout=60)
    until("it is named", lambda: autoscaled(kubernetes)[0] == "ForeignAutoscaler", timeout=SOON)
    until("theirs works", lambda: replicas(kubernetes) == (2, 2), timeout=60)


def test_a_vertical_autoscaler_is_named_and_keeps_ours_from_nothing(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    vertical = {
        "apiVersion": "autoscaling.k8s.io/v1",
        "kind": "VerticalPodAutoscaler",
        "metadata": {"name": "mine"},
        "spec": {"targetRef": DEPLOYMENT},
    }
    submit(kubernetes, vertical)
    created(kubernetes, **CPU)

    until("it is named", lambda: autoscaled(kubernetes)[0] == "ForeignAutoscaler", timeout=SOON)
    assert "VerticalPodAutoscaler mine changes the resources of the pods" in autoscaled(kubernetes)[1]
    until("ours", lambda: scalers(kubernetes) == ["HorizontalPodAutoscaler"], timeout=SOON)


@pytest.mark.long
def test_ours_comes_when_somebody_elses_is_gone(kubernetes: Kubernetes, operator: OperatorProcess):
    """Nothing reports that: the operator looks once a minute."""
    submit(kubernetes, hpa("mine", OBJECT))
    created(kubernetes, **CPU)
    until("it is named", lambda: autoscaled(kubernetes)[0] == "ForeignAutoscaler", timeout=SOON)

    kubernetes.kubectl("delete", "hpa", "mine")

    until("ours", lambda: scalers(kubernetes) == ["HorizontalPodAutoscaler"], timeout=150)


def test_a_scaler_that_works_on_the_object_without_autoscaling_is_named(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    """Its trace on the object gives it away: before it scales anything, nobody has to know."""
    created(kubernetes)
    submit(kubernetes, hpa("mine", OBJECT, minReplicas=2))

    until("it has scaled", lambda: replicas(kubernetes) == (2, 2), timeout=40)
    until("it is named", lambda: autoscaled(kubernetes)[0] == "ForeignAutoscaler", timeout=SOON)
    assert "mine scales this object" in autoscaled(kubernetes)[1]


def test_a_scaler_on_our_deployment_is_named_and_not_fought_with(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes)
    submit(kubernetes, hpa("mine", DEPLOYMENT, minReplicas=3))

    until("it is named", lambda: autoscaled(kubernetes)[0] == "ForeignAutoscaler", timeout=40)
    assert "aim it at the object instead" in autoscaled(kubernetes)[1]
    assert replicas(kubernetes) == (1, 3)
    # A change of ours leaves its number alone.
    patch(kubernetes, "modelserver/server", {"spec": {"rollout": {"maxSurge": 2}}})
    until(
        "the change",
        lambda: deployment(kubernetes)["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 2,
        timeout=SOON,
    )
    assert replicas(kubernetes) == (1, 3)
    until("it is applied", lambda: kubernetes.condition("server", "Applied").get("status") == "True")


@pytest.mark.long
def test_what_has_never_scaled_anything_is_named_within_a_minute_or_so(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    """Nothing reports a paused ScaledObject, or a VerticalPodAutoscaler that nobody serves."""
    created(kubernetes)
    paused = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "mine", "annotations": {"autoscaling.keda.sh/paused": "true"}},
        "spec": {"scaleTargetRef": OBJECT, "triggers": [{"type": "cpu", "metadata": {"value": "50"}}]},
    }
    vertical = {
        "apiVersion": "autoscaling.k8s.io/v1",
        "kind": "VerticalPodAutoscaler",
        "metadata": {"name": "mine"},
        "spec": {"targetRef": DEPLOYMENT},
    }
    for body in (paused, vertical):
        submit(kubernetes, body)

    until("both are named", lambda: "VerticalPodAutoscaler mine" in autoscaled(kubernetes)[1], timeout=150)
    assert "ScaledObject mine scales this object" in autoscaled(kubernetes)[1]
    assert autoscaled(kubernetes)[0] == "ForeignAutoscaler"


@pytest.mark.long
def test_a_budget_of_others_over_the_pods_takes_the_place_of_ours(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes, replicas=2)
    until("ours", lambda: budgets(kubernetes) == ["server"], timeout=SOON)
    labels = {"app.kubernetes.io/name": "modelserver"}
    theirs = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "theirs"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels}},
    }
    submit(kubernetes, theirs)
    until("only theirs", lambda: budgets(kubernetes) == ["theirs"], timeout=150)
    until("it is applied", lambda: kubernetes.condition("server", "Applied").get("status") == "True")

    kubernetes.kubectl("delete", "pdb", "theirs")
    until("ours again", lambda: budgets(kubernetes) == ["server"], timeout=150)


def budgets(kubernetes: Kubernetes) -> list[str]:
    return [item["metadata"]["name"] for item in kubernetes.items("poddisruptionbudgets")]


def test_a_scaler_that_the_api_server_refuses_costs_only_itself(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    kubernetes.kubectl("create", "quota", "none", "--hard=count/horizontalpodautoscalers.autoscaling=0")
    created(kubernetes, **CPU)

    until("it is said", lambda: autoscaled(kubernetes)[0] == "ScalerNotReady", timeout=SOON)
    assert "refused to create HorizontalPodAutoscaler server" in autoscaled(kubernetes)[1]
    assert "exceeded quota" in autoscaled(kubernetes)[1]
    until("it is applied", lambda: kubernetes.condition("server", "Applied").get("status") == "True")


def test_an_object_made_again_beside_its_orphans_takes_over_its_scaler(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes, **CPU)
    until("ours", lambda: scalers(kubernetes) == ["HorizontalPodAutoscaler"], timeout=SOON)
    before = kubernetes.get("hpa", "server")["metadata"]["uid"]

    kubernetes.kubectl("delete", "modelserver", "server", "--cascade=orphan")
    created(kubernetes, **CPU)

    uid = kubernetes.get("modelserver", "server")["metadata"]["uid"]
    until("it is ours again", lambda: owner(kubernetes) == uid, timeout=SOON)
    assert kubernetes.get("hpa", "server")["metadata"]["uid"] == before
    assert autoscaled(kubernetes)[0] != "ForeignAutoscaler"


def owner(kubernetes: Kubernetes) -> str:
    (found,) = kubernetes.get("hpa", "server")["metadata"].get("ownerReferences") or [{"uid": ""}]
    return str(found["uid"])


def test_a_full_quota_is_why_pods_are_missing(kubernetes: Kubernetes, operator: OperatorProcess):
    kubernetes.kubectl("create", "quota", "full", "--hard=pods=0")
    created(kubernetes, **CPU)

    until("it is said", lambda: "exceeded quota: full" in autoscaled(kubernetes)[1], timeout=40)
    assert autoscaled(kubernetes)[0] == "PodsMissing"
    said = "no pod is ready to be measured, so replicas stay as they are: pods cannot be created"
    assert said in autoscaled(kubernetes)[1]


def test_pods_that_no_node_can_fit_are_why_pods_are_missing(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes, **CPU)
    (pod,) = until("a pod", lambda: kubernetes.items("pods"), timeout=SOON)
    message = "0/1 nodes are available: 1 Insufficient cpu."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    status = {"status": {"conditions": [condition]}}

    patch(kubernetes, f"pod/{pod['metadata']['name']}", status, "--subresource=status")

    until("it is said", lambda: message.rstrip(".") in autoscaled(kubernetes)[1], timeout=40)
    assert autoscaled(kubernetes)[0] == "PodsMissing"
