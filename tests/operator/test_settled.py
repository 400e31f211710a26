"""What costs nothing once it has been done: reading an object, making its children, taking over what runs."""

from copy import deepcopy

import pytest

from devcluster.kubectl import Kubernetes
from modelserver_operator.errors import Invalid
from modelserver_operator.observed.accepted import Accepted
from modelserver_operator.observed.facts import Snapshot
from modelserver_operator.observed.store import Store
from modelserver_operator.observed.unchanged import Unchanged, content
from tests.support.children import SOON, created, is_alone, patch
from tests.support.modelservers import model_server
from tests.support.operator_process import OperatorProcess, Requests
from tests.support.waiting import until

KEY = ("default", "server")


def stored(version: str = "1", generation: int = 1, annotations: dict | None = None, **spec) -> dict:
    """An object as the store keeps it."""
    metadata = {
        "name": "server", "namespace": "default", "uid": "u", "generation": generation,
        "resourceVersion": version, **({"annotations": annotations} if annotations else {}),
    }  # fmt: skip
    return {"metadata": metadata, "spec": model_server(**spec)["spec"], "status": {}}


def test_an_object_that_has_not_changed_is_read_once():
    accepted = Accepted()
    server, _ = accepted.read(KEY, stored())

    assert accepted.read(KEY, deepcopy(stored(version="2")))[0] is server


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(stored(hint="LATENCY"), id="another spec of the same generation"),
        pytest.param(stored(generation=2), id="another generation"),
        pytest.param(stored(annotations={"modelserver.dev/upgrade": "1"}), id="an upgrade asked for"),
    ],
)
def test_an_object_that_has_changed_is_read_again(other: dict):
    accepted = Accepted()
    before, _ = accepted.read(KEY, stored())

    after, rejection = accepted.read(KEY, other)

    assert rejection is None
    assert after != before


def test_what_was_refused_is_tried_again_each_time():
    accepted, bad = Accepted(), stored(generation=2, hint="FAST")
    server, _ = accepted.read(KEY, stored())

    for _ in range(2):
        form, rejection = accepted.read(KEY, bad)
        assert (form, rejection.generation) == (server, 2)
    with pytest.raises(Invalid):
        Accepted().read(KEY, bad)


def child(version: int, labels: dict | None = None, replicas: int = 0) -> dict:
    owner = {"kind": "ModelServer", "name": "server", "uid": "u", "controller": True}
    return {
        "metadata": {
            "namespace": "default", "name": "server", "uid": "d", "resourceVersion": str(version),
            "ownerReferences": [owner], "labels": labels or {},
        },
        "spec": {"replicas": 1},
        "status": {"replicas": replicas},
    }  # fmt: skip


def seen(*children: dict) -> Snapshot:
    store = Store()
    for body in children:
        store.put("Deployment", body)
    return store.snapshot(KEY)


def test_a_result_holds_while_its_children_hold_the_same():
    found: Unchanged[str] = Unchanged()
    found.put(KEY, (1, content(seen(child(1)))), "made")

    assert found.get(KEY, (1, content(seen(child(1), child(2, replicas=1))))) == "made"  # only its status
    assert found.get(KEY, (1, content(seen(child(2, labels={"a": "b"}))))) is None
    assert found.get(KEY, (1, content(seen()))) is None
    assert found.get(KEY, (2, content(seen(child(1))))) is None
    assert found.get(("default", "other"), (1, content(seen(child(1))))) is None
    found.forget(KEY)
    assert found.get(KEY, (1, content(seen(child(1))))) is None


@pytest.mark.api
def test_what_runs_of_a_paused_object_is_read_once_and_its_status_stays(
    kubernetes: Kubernetes, operator: OperatorProcess, requests: Requests
):
    """As after a take-over from an operator that kept no templates: nothing is written while it is paused."""

    def wake(number: int) -> None:
        before = _passes(operator)
        kubernetes.kubectl("label", "--overwrite", "modelserver/server", f"wake={number}")
        until("a pass", lambda: _passes(operator) > before, timeout=SOON)

    until("other tests' namespaces are gone", lambda: is_alone(kubernetes), timeout=60)
    created(kubernetes)
    patch(kubernetes, "modelserver/server", {"spec": {"paused": True}})
    until("that is seen", lambda: kubernetes.condition("server", "Applied"), timeout=SOON)
    seen = requests.totals().get(("get", "deployments"), 0)
    kubernetes.kubectl("delete", "controllerrevisions", "--all")
    until("that is seen", lambda: requests.totals().get(("get", "deployments"), 0) > seen, timeout=SOON)
    wake(0)
    requests.await_quiet()

    before = requests.totals()
    for number in range(1, 4):
        wake(number)

    assert {what: count for what, count in requests.since(before).items() if what[1] != "leases"} == {}
    assert kubernetes.condition("server", "Applied")["status"] == "True"


def _passes(operator: OperatorProcess) -> float:
    return operator.metrics()["modelserver_operator_reconciles_total", "done"]
