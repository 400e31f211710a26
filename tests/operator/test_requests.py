"""What the operator asks of the API server: nothing it has no right to, and nothing but its Lease at rest."""

import json
import time

import pytest

from devcluster.kubectl import Kubernetes
from modelserver_operator.naming import MANAGED_BY_LABEL, selector_text
from tests.support.children import is_alone, patch
from tests.support.kept import revisions
from tests.support.kubelet_part import Start, placed
from tests.support.modelservers import model_server, scaled
from tests.support.operator_process import OperatorProcess, Requests, is_operators_role, template
from tests.support.rejecting_node import node
from tests.support.waiting import until

pytestmark = pytest.mark.api
IDLE_SECONDS = 60
CHILDREN = (
    "configmaps", "services", "serviceaccounts", "deployments", "controllerrevisions",
    "horizontalpodautoscalers", "poddisruptionbudgets", "scaledobjects", "capacitybuffers",
)  # fmt: skip
CPU = scaled(minReplicas=2, metrics=[{"type": "CPU", "averageUtilization": 80}])


def test_it_uses_every_right_the_chart_gives_it_and_asks_for_no_other(
    kubernetes: Kubernetes, operator: OperatorProcess, requests: Requests, start: Start
):
    _take_names(kubernetes, "taken")
    kubernetes.apply(json.dumps(model_server("taken", **CPU)))
    pod = start(cpus="0")
    pod.become_ready()
    _scale_by_everything(kubernetes)
    kubernetes.wait_for("server", timeout=20)
    patch(
        kubernetes,
        "modelserver/server",
        {"spec": {"hint": "LATENCY", "pod": {"serviceAccountName": "default"}}},
    )
    until("it is kept", lambda: len(revisions(kubernetes)) == 2, timeout=20)
    # Of three templates one is neither the current nor the last good one.
    patch(kubernetes, "modelserver/server", {"spec": {"hint": "THROUGHPUT"}})
    kubernetes.apply(json.dumps(model_server("accelerated", device="GPU", replicas=0)))
    kubernetes.apply(json.dumps(model_server("waiting")))
    (waiting,) = until("a second pod", lambda: kubernetes.items("pods", selector_text("waiting")), timeout=20)
    _reject_pods(kubernetes, "rejected")
    # Without the label it has left the watch: what runs is read, and then what has its name.
    kubernetes.kubectl("label", "controllerrevisions", "-l", selector_text("waiting"), f"{MANAGED_BY_LABEL}-")

    with placed(kubernetes, waiting["metadata"]["name"]):
        for ready in ("False", "True", "False", "True"):
            # The second time, the Event of the first is counted up.
            pod.report(ready)
            until(
                f"Available is {ready}",
                lambda ready=ready: kubernetes.condition("server", "Available").get("status") == ready,
                timeout=20,
            )

        rules = [rule for item in template(kubernetes) if is_operators_role(item) for rule in item["rules"]]
        granted = {(v, r) for rule in rules for r in rule["resources"] for v in rule["verbs"]}
        # A server-side apply that creates is a `patch` to the counter; RBAC asks for both rights.
        visible = granted - {("create", child) for child in CHILDREN}

        until("every right is used", lambda: visible <= set(requests.totals()), timeout=40)
    assert set(requests.totals()) == visible
    assert "is forbidden: User" not in operator.log()


def _reject_pods(kubernetes: Kubernetes, name: str) -> None:
    """Three are remembered, and deleted when another template is asked for."""
    with node(kubernetes, name) as faulty:
        kubernetes.apply(json.dumps(model_server(name)))

        def is_noticed() -> bool:
            faulty.reject()
            return kubernetes.condition(name, "Ready").get("reason") == "PodsRejected"

        until("they are noticed", is_noticed, timeout=30)
        patch(kubernetes, f"modelserver/{name}", {"spec": {"image": "other:1"}})
        until("they are deleted", lambda: _failed(kubernetes, name) == 0, timeout=20)


def _failed(kubernetes: Kubernetes, name: str) -> int:
    phases = [pod["status"].get("phase") for pod in kubernetes.items("pods", selector_text(name))]
    return phases.count("Failed")


def _scale_by_everything(kubernetes: Kubernetes) -> None:
    """One scaler after the other, and none in the end."""
    kubernetes.apply(json.dumps(model_server("scaled", headroom=1, **CPU)))
    kinds = "horizontalpodautoscalers,poddisruptionbudgets,scaledobjects,capacitybuffers"

    def made() -> set[str]:
        return {item["kind"] for item in kubernetes.items(kinds, selector_text("scaled"))}

    common = {"PodDisruptionBudget", "CapacityBuffer"}
    until("the first scaler", lambda: made() == common | {"HorizontalPodAutoscaler"}, timeout=20)
    patch(kubernetes, "modelserver/scaled", {"spec": scaled(minReplicas=2)})
    until("the second one", lambda: made() == common | {"ScaledObject"}, timeout=20)
    patch(kubernetes, "modelserver/scaled", {"spec": {"autoscaling": None, "headroom": None, "replicas": 1}})
    until("none", lambda: made() == set(), timeout=20)


def _take_names(kubernetes: Kubernetes, name: str) -> None:
    """Strangers' objects where the children of this name would be: only these are looked up."""
    kubernetes.kubectl("create", "serviceaccount", name)
    kubernetes.kubectl("create", "configmap", f"{name}-config")
    kubernetes.kubectl("create", "service", "clusterip", name, "--tcp=80")
    kubernetes.kubectl("create", "deployment", name, "--image=other", "--replicas=0")
    kubernetes.kubectl("create", "deployment", "other", "--image=other", "--replicas=0")
    kubernetes.kubectl("autoscale", "deployment", "other", "--max=2", f"--name={name}")
    kubernetes.kubectl("create", "poddisruptionbudget", name, "--selector=a=b", "--min-available=1")


def test_when_nothing_happens_nothing_is_written_and_hardly_anything_listed(
    kubernetes: Kubernetes, operator: OperatorProcess, requests: Requests, start: Start
):
    """Its servers are asked meanwhile, which the API server never sees."""
    until("other tests' namespaces are gone", lambda: is_alone(kubernetes), timeout=60)
    start(cpus="0").become_ready()
    kubernetes.wait_for("server", timeout=20)
    kubernetes.apply(json.dumps(model_server("settled", replicas=0)))
    kubernetes.apply(json.dumps(model_server("waiting")))
    kubernetes.wait_for("settled", timeout=20)
    until("the second is carried out", lambda: kubernetes.condition("waiting", "Ready"), timeout=20)
    requests.await_quiet()

    before = requests.totals()
    time.sleep(IDLE_SECONDS)  # the length of the window is what is asserted
    asked = {pair: count for pair, count in requests.since(before).items() if pair[1] != "leases"}

    assert {verb for verb, _ in asked} <= {"list", "watch"}, asked
    # Once a minute: what others aim at our objects.
    others = {"poddisruptionbudgets", "horizontalpodautoscalers", "scaledobjects", "verticalpodautoscalers"}
    listed = {kind: count for (verb, kind), count in asked.items() if verb == "list"}
    assert all(listed.pop(kind, 0) <= 2 for kind in others), asked
    assert sum(listed.values()) <= 2, asked
