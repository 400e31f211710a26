"""Waiting for a condition: what was judged for an earlier generation of the object does not count."""

from collections.abc import Iterator

import pytest

from devcluster.errors import CommandFailed
from devcluster.kubectl import Kubernetes
from tests.support.children import patch, submit
from tests.support.modelservers import model_server
from tests.support.operator_process import OperatorProcess

pytestmark = pytest.mark.api


@pytest.fixture
def unattended(kubernetes: Kubernetes, operator: OperatorProcess) -> Iterator[Kubernetes]:
    """An object of generation 2 while no operator runs: the test itself writes the status."""
    assert operator.stop() == 0
    submit(kubernetes, model_server())
    patch(kubernetes, "modelserver/server", {"spec": {"hint": "LATENCY"}})
    assert kubernetes.get("modelserver", "server")["metadata"]["generation"] == 2
    yield kubernetes
    kubernetes.kubectl("delete", "modelserver", "server", "--wait=true")
    operator.start("--cpu-image=modelserver:test")


def report_ready(kubernetes: Kubernetes, status: int, condition: int) -> None:
    """Write Ready=True, with these two values of observedGeneration."""
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Ready",
        "message": "",
        "observedGeneration": condition,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    content = {"status": {"observedGeneration": status, "conditions": [ready]}}
    patch(kubernetes, "modelserver/server", content, "--subresource=status")


@pytest.mark.parametrize(
    ("status", "condition"),
    [
        pytest.param(1, 1, id="status and condition are of the generation before"),
        pytest.param(2, 1, id="the condition is of the generation before"),
        pytest.param(1, 2, id="the status is of the generation before"),
    ],
)
def test_ready_of_the_generation_before_is_not_taken(unattended: Kubernetes, status: int, condition: int):
    report_ready(unattended, status, condition)

    assert unattended.condition("server", "Ready") == {}
    with pytest.raises(CommandFailed, match=r"Ready of modelserver/server: not within 1 s"):
        unattended.wait_for("server", timeout=1)


def test_ready_of_the_present_generation_is_taken(unattended: Kubernetes):
    report_ready(unattended, 2, 2)

    unattended.wait_for("server", timeout=1)
    assert unattended.condition("server", "Ready")["status"] == "True"


def test_an_object_without_a_status_is_not_ready(unattended: Kubernetes):
    assert unattended.condition("server", "Ready") == {}
