"""An object that is nested deeper than Python's parser of JSON goes: one tenant's, in everybody's list."""

import json

import pytest

from devcluster.errors import CommandFailed
from devcluster.kubectl import Kubernetes
from tests.support.children import CHILDREN, SOON, children, created, submit
from tests.support.modelservers import model_server
from tests.support.operator_process import OperatorProcess
from tests.support.waiting import until

pytestmark = pytest.mark.api


def nested(depth: int) -> str:
    """A ModelServer with a property of OpenVINO that is nested this deep."""
    text = json.dumps(
        {**model_server("deep"), "spec": {**model_server()["spec"], "pluginConfig": {"A": "X"}}}
    )
    return text.replace('"X"', '{"a":' * depth + "1" + "}" * depth)


def create(kubernetes: Kubernetes, depth: int) -> bool:
    path = f"/apis/modelserver.dev/v1alpha1/namespaces/{kubernetes.namespace}/modelservers"
    try:
        kubernetes.kubectl("create", "--raw", path, "-f", "-", stdin=nested(depth))
    except CommandFailed:
        return False
    return True


def test_it_costs_only_itself(kubernetes: Kubernetes, operator: OperatorProcess):
    created(kubernetes)
    deepest = next(depth for depth in (9900, 5000, 2000, 1200) if create(kubernetes, depth))

    message = '-o=jsonpath={.status.conditions[?(@.type=="Accepted")].message}'
    until(
        "it is not accepted",
        lambda: "pluginConfig" in kubernetes.kubectl("get", "modelserver", "deep", message),
        timeout=SOON,
    )
    kubernetes.kubectl("delete", "service", "server")
    until("another one is repaired", lambda: children(kubernetes) == CHILDREN, timeout=SOON)

    assert operator.stop() == 0
    operator.start("--cpu-image=modelserver:test")
    kubernetes.kubectl("delete", "service", "server")
    until("so it is after a restart", lambda: children(kubernetes) == CHILDREN, timeout=30)
    assert deepest > 1000
    submit(kubernetes, model_server("next", replicas=0))
    until("and a new one is carried out", lambda: kubernetes.condition("next", "Applied"), timeout=SOON)
