"""What the operator asks of the API server: nothing when nothing happens, and nothing it has no right to."""

import json
import time

import pytest

from devcluster.kubectl import Kubernetes
from tests.support.kubelet_part import Start
from tests.support.modelservers import model_server
from tests.support.operator_process import OperatorProcess, Requests, template
from tests.support.waiting import until

pytestmark = pytest.mark.api
IDLE_SECONDS = 60
CHILDREN = ("configmaps", "services", "serviceaccounts", "deployments")


def test_it_uses_every_right_the_chart_gives_it_and_asks_for_no_other(
    kubernetes: Kubernetes, operator: OperatorProcess, requests: Requests, start: Start
):
    start(cpus="0").become_ready()
    kubernetes.wait_for("server", timeout=20)
    changed = {"spec": {"hint": "LATENCY", "pod": {"serviceAccountName": "default"}}}
    kubernetes.kubectl("patch", "modelserver", "server", "--type=merge", "-p", json.dumps(changed))

    (rules,) = [item["rules"] for item in template(kubernetes) if item["kind"] == "ClusterRole"]
    granted = {(v, r) for rule in rules for r in rule["resources"] for v in rule["verbs"]}
    # A server-side apply that creates is a `patch` to the counter; RBAC asks for both rights.
    visible = granted - {("create", child) for child in CHILDREN}

    until("every right is used", lambda: visible <= set(requests.totals()), timeout=20)
    assert set(requests.totals()) == visible
    assert "is forbidden" not in operator.log()


def test_when_nothing_happens_nothing_is_written_and_hardly_anything_listed(
    kubernetes: Kubernetes, operator: OperatorProcess, requests: Requests, start: Start
):
    """Its servers are asked meanwhile, which the API server never sees."""
    until("other tests' namespaces are gone", lambda: _is_alone(kubernetes), timeout=60)
    start(cpus="0").become_ready()
    kubernetes.wait_for("server", timeout=20)
    kubernetes.apply(json.dumps(model_server("settled", replicas=0)))
    kubernetes.apply(json.dumps(model_server("waiting")))
    kubernetes.wait_for("settled", timeout=20)
    until("the second is carried out", lambda: kubernetes.condition("waiting", "Ready"), timeout=20)
    _quiet(requests)

    before = requests.totals()
    time.sleep(IDLE_SECONDS)  # the length of the window is what is asserted
    asked = requests.since(before)

    assert {verb for verb, _ in asked} <= {"list", "watch"}, asked
    assert sum(count for (verb, _), count in asked.items() if verb == "list") <= 2


def _is_alone(kubernetes: Kubernetes) -> bool:
    names = kubernetes.kubectl("get", "namespaces", "-o", "name").split()
    return [name for name in names if name.startswith("namespace/t-")] == [
        f"namespace/{kubernetes.namespace}"
    ]


def _quiet(requests: Requests) -> None:
    """Wait until two looks in a row see no new request."""

    def is_quiet() -> bool:
        before = requests.totals()
        time.sleep(1)
        return requests.since(before) == {}

    until("the operator is quiet", is_quiet, timeout=30)
