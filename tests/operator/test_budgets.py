"""Disruption budgets of others: Kubernetes evicts no pod that two budgets select."""

from typing import Any

import pytest

from modelserver_operator.desired.scaling import EXAMPLE, Surroundings, scaling
from modelserver_operator.observed.scaling.budgets import read_budget, selecting
from tests.support.one_field import server

SERVER = server(replicas=2, pod={"labels": {"team": "vision"}})
OURS = {"app.kubernetes.io/managed-by": "modelserver-operator"}


def budget(selector: dict[str, Any] | None, **metadata: Any) -> dict[str, Any]:
    spec = {} if selector is None else {"selector": selector}
    return {"metadata": {"name": "theirs", **metadata}, "spec": {"maxUnavailable": 1, **spec}}


def key(name: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": name, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "counts"),
    [
        pytest.param({"matchLabels": {"team": "vision"}}, True, id="a label of the object's own"),
        pytest.param({"matchLabels": {"app.kubernetes.io/instance": "server"}}, True, id="a label of ours"),
        pytest.param({"matchLabels": {"app.kubernetes.io/instance": "other"}}, False, id="another object"),
        pytest.param({"matchLabels": {"team": "vision", "more": "x"}}, False, id="a label more"),
        pytest.param({}, True, id="every pod"),
        pytest.param(None, False, id="no pod"),
        pytest.param(key("team", "In", "vision", "audio"), True, id="in"),
        pytest.param(key("team", "NotIn", "audio"), True, id="not in"),
        pytest.param(key("absent", "NotIn", "audio"), True, id="not in, and not there"),
        pytest.param(key("team", "NotIn", "vision"), False, id="in what it must not be"),
        pytest.param(key("team", "Exists"), True, id="exists"),
        pytest.param(key("team", "DoesNotExist"), False, id="does not exist"),
    ],
)
def test_a_budget_counts_the_pods_that_its_selector_finds(selector: dict[str, Any] | None, counts: bool):
    found = read_budget(budget(selector))

    assert bool(found and selecting(SERVER, (found,))) is counts


@pytest.mark.parametrize("metadata", [{"labels": OURS}, {"deletionTimestamp": "2026-01-01T00:00:00Z"}])
def test_ours_and_one_that_goes_are_none_of_others(metadata: dict[str, Any]):
    assert read_budget(budget({}, **metadata)) is None


def test_beside_a_budget_of_others_there_is_none_of_ours():
    def kinds(around: Surroundings) -> set[str]:
        return {made["kind"] for made in scaling(SERVER, around) if made}

    assert "PodDisruptionBudget" in kinds(EXAMPLE)
    assert "PodDisruptionBudget" not in kinds(Surroundings(budget="theirs"))
