"""What the operator counts: every documented metric is there, and its figures follow what happens."""

import re
import socket

import pytest

from devcluster.kubectl import Kubernetes
from modelserver_operator import metrics
from tests.support.children import SOON, is_alone, patch, submit
from tests.support.kubelet_part import Start
from tests.support.modelservers import model_server
from tests.support.operator_process import ROOT, OperatorProcess
from tests.support.server_process import fetch
from tests.support.waiting import until

PREFIX = "modelserver_operator_"


def test_the_documented_metrics_are_those_that_are_there():
    page = (ROOT / "docs" / "operator.md").read_text()
    documented = set(re.findall(rf"^\| `({PREFIX}\w+)`", page, re.MULTILINE))
    live = metrics.Live(lambda: 0, lambda: 0.0, list)
    families = [*metrics.REGISTRY.collect(), *live.collect()]
    names = {f"{f.name}_total" if f.type == "counter" else f.name for f in families}

    assert {name for name in names if not name.startswith("process_")} == documented


def test_however_many_names_field_managers_take_the_series_of_drift_stay_few():
    for number in range(200):
        metrics.count_drift(f"manager-{number}")

    (family,) = [f for f in metrics.REGISTRY.collect() if f.name == f"{PREFIX}drift"]
    counts = {sample.labels["manager"]: sample.value for sample in family.samples}
    assert len(counts) <= 51
    assert counts["other"] >= 150


@pytest.mark.api
def test_an_object_a_refusal_and_a_drift_are_counted(
    kubernetes: Kubernetes, operator: OperatorProcess, start: Start
):
    until("objects of other tests are gone", lambda: is_alone(kubernetes), timeout=60)
    before = operator.metrics()

    def more(name: str, *labels: str) -> float:
        key = (PREFIX + name, *labels)
        return operator.metrics().get(key, 0) - before.get(key, 0)

    start(cpus="0").become_ready()
    kubernetes.wait_for("server", timeout=20)
    patch(kubernetes, "deployment/server", {"spec": {"replicas": 5}}, "--field-manager=somebody")

    until("the drift", lambda: more("drift_total", "somebody") == 1, timeout=SOON)
    assert more("writes_total", "Deployment", "missing") == 1
    assert more("writes_total", "Deployment", "drifted") == 1
    assert more("writes_total", "Service", "missing") == 2
    assert more("writes_total", "ModelServer", "status") >= 1
    assert more("writes_total", "Event", "event") >= 1
    assert more("reconciles_total", "done") >= 2
    assert more("reconcile_seconds_count") >= 2
    assert more("probes_total", "answered") >= 1
    until("the object is ready", lambda: more("objects", "Ready", "True") == 1, timeout=20)


@pytest.mark.api
def test_what_the_api_server_refuses_is_counted_by_its_code(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    before = operator.metrics()
    kubernetes.kubectl("create", "quota", "none", "--hard=services=0")

    submit(kubernetes, model_server())

    key = (f"{PREFIX}refusals_total", "403")
    until("the refusal", lambda: operator.metrics().get(key, 0) > before.get(key, 0), timeout=SOON)


@pytest.mark.api
def test_the_running_operator_shows_itself(kubernetes: Kubernetes, operator: OperatorProcess):
    found = operator.metrics()

    assert found[(f"{PREFIX}leader",)] == 1
    assert found[(f"{PREFIX}queue_depth",)] >= 0
    assert 0 <= found[(f"{PREFIX}queue_oldest_seconds",)] < SOON
    assert found["process_resident_memory_bytes",] > 2**20


@pytest.mark.api
@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="the machine has no IPv6")
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_probes_are_answered_over_both_families(operator: OperatorProcess, host: str):
    assert fetch(f"http://{host}:{operator.port}/healthz")[0] == 200
