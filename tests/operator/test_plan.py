"""What has to be written: the truth table of plan.py, row by row, and its laws."""

from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserver_operator.api import parse
from modelserver_operator.changes.plan import Why, covers, plan
from modelserver_operator.changes.strays import strays
from modelserver_operator.desired import Images, render
from modelserver_operator.desired.child import Desired
from modelserver_operator.observed.child import Child, read_child
from tests.support.modelservers import model_server

UID = "owner"


def desired(**spec) -> list[Desired]:
    body = model_server(**spec)
    body["metadata"] |= {"namespace": "default", "uid": UID}
    return list(render(parse(body), Images("c", "g", "n")).children)


def as_stored(item: Desired, **changes) -> Child:
    """The child as the API server would give it back: more fields than were sent."""
    body = deepcopy(item.manifest)
    body["metadata"] |= {"uid": f"uid-{item.name}-{item.kind}", "resourceVersion": "7", "generation": 1}
    if "spec" in body:
        body["spec"] |= {"defaulted": "by the API server", **changes}
    return read_child(item.kind, body)


def observed(items: list[Desired], **changes) -> dict[tuple[str, str], Child]:
    return {(item.kind, item.name): as_stored(item, **changes) for item in items}


def test_missing_children_are_created_in_order():
    found = plan(desired(), {}, UID, {})

    assert [(change.desired.kind, change.why) for change in found.changes] == [
        ("ServiceAccount", Why.MISSING),
        ("ConfigMap", Why.MISSING),
        ("Service", Why.MISSING),
        ("Service", Why.MISSING),
        ("Deployment", Why.MISSING),
    ]


@given(st.integers(0, 5), st.sampled_from(["LATENCY", "THROUGHPUT"]))
def test_what_is_as_desired_needs_no_write(replicas: int, hint: str):
    items = desired(replicas=replicas, hint=hint)

    found = plan(items, observed(items), UID, {})

    assert not found.changes
    assert not found.prune
    assert len(found.settled) == len(items)


def test_a_changed_object_applies_only_what_differs():
    found = plan(desired(replicas=0), observed(desired()), UID, {})

    assert [(change.desired.kind, change.why) for change in found.changes] == [("Deployment", Why.CHANGED)]


def test_an_edit_against_what_is_desired_is_drift():
    found = plan(desired(), observed(desired(), replicas=5), UID, {})

    assert [(change.desired.kind, change.why) for change in found.changes] == [("Deployment", Why.DRIFTED)]


def test_a_child_left_as_it_is_is_not_compared_again():
    """Otherwise a field that the API server writes in its own way would be applied forever."""
    children = observed(desired(), replicas=5)
    settled = {child.uid: child.fingerprint for child in children.values()}

    assert not plan(desired(), children, UID, settled).changes


def test_a_strangers_child_is_taken_and_not_written():
    children = {key: replace(child, owner_uid="other") for key, child in observed(desired()).items()}

    found = plan(desired(replicas=0), children, UID, {})

    assert not found.changes
    assert not found.prune
    assert len(found.taken) == 5


def test_an_owned_child_that_is_not_desired_is_pruned():
    named = desired(pod={"serviceAccountName": "own"})

    found = plan(named, observed(desired()), UID, {})

    assert [child.kind for child in found.prune] == ["ServiceAccount"]


def limits(cpu: str) -> dict:
    return {"resources": {"limits": {"cpu": cpu}}}


def variable(value: str) -> dict:
    return {"env": [{"name": "A", "value": value}]}


@pytest.mark.parametrize(
    ("live", "wanted", "want"),
    [
        pytest.param({"a": 1, "b": 2}, {"a": 1}, True, id="more fields"),
        pytest.param({"a": 1}, {"a": 1, "b": 2}, False, id="a field less"),
        pytest.param([1, 2], [1], False, id="a longer list"),
        pytest.param([{"a": 1, "b": 2}], [{"a": 1}], True, id="more fields in a list's item"),
        pytest.param(limits("1"), limits("1000m"), True, id="the same amount"),
        pytest.param(limits("2"), limits("1000m"), False, id="another amount"),
        pytest.param(
            {"emptyDir": {"sizeLimit": "1Gi"}}, {"emptyDir": {"sizeLimit": "1024Mi"}}, True, id="a size"
        ),
        pytest.param(
            [{"resourceFieldRef": {"divisor": "1"}}],
            [{"resourceFieldRef": {"divisor": "1000m"}}],
            True,
            id="a divisor",
        ),
        pytest.param(variable("1"), variable("1000m"), False, id="a variable is no amount"),
        pytest.param(["1"], ["1000m"], False, id="an argument is no amount"),
        pytest.param({"labels": {"limits": "1"}}, {"labels": {"limits": "1e0"}}, False, id="nor is a label"),
        pytest.param({}, {"a": []}, True, id="nothing and an empty list"),
        pytest.param({"a": None}, {"a": {}}, True, id="nothing and an empty map"),
        pytest.param({"a": "x"}, {"a": "y"}, False, id="another text"),
    ],
)
def test_covers_looks_only_at_what_is_desired(live, wanted, want: bool):
    assert covers(live, wanted) is want


def container(*env: str, name: str = "a") -> dict:
    return {"name": name, "env": [{"name": item, "value": "1"} for item in env]}


@pytest.mark.parametrize(
    ("live", "wanted", "want"),
    [
        pytest.param({"x": 1}, {}, [], id="a field that is not desired"),
        pytest.param({"args": ["a", "b"]}, {"args": ["a"]}, [], id="a list that an apply replaces"),
        pytest.param(
            {"containers": [container("X", "A", "Y"), container(name="b")]},
            {"containers": [container("A")]},
            ["/containers/0/env/2", "/containers/0/env/0", "/containers/1"],
            id="items inside first, the last index first",
        ),
        pytest.param({"env": [{"name": "X"}]}, {"env": [{"name": "A"}]}, [], id="nothing of ours is there"),
        pytest.param(
            {"a/b": {"env": [{"name": "A"}, {"name": "X"}]}},
            {"a/b": {"env": [{"name": "A"}]}},
            ["/a~1b/env/1"],
            id="a key with a slash",
        ),
        pytest.param(
            {"selector": {"a": "b", "x": "y"}}, {"selector": {"a": "b"}}, ["/selector/x"], id="a selector"
        ),
    ],
)
def test_strays_are_what_others_put_among_ours(live, wanted, want: list[str]):
    assert strays(live, wanted) == want


def test_what_lost_its_owner_is_brought_back():
    children = observed(desired())
    orphans = {key: replace(child, owner_uid="") for key, child in children.items()}

    assert {change.why for change in plan(desired(), orphans, UID, {}).changes} == {Why.DRIFTED}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_everything_covers_itself(value):
    assert covers(value, deepcopy(value))


@given(st.dictionaries(st.text(max_size=3), JSON), st.dictionaries(st.text(min_size=4, max_size=5), JSON))
def test_additions_never_uncover(wanted: dict, added: dict):
    assert covers({**wanted, **added}, wanted)
