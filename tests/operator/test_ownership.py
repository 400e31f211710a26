"""Whose field it is, by managedFields: what an admission webhook rewrote, and who is blamed for what."""

from copy import deepcopy
from typing import Any

import pytest

from modelserver_operator.api import parse
from modelserver_operator.changes.plan import plan
from modelserver_operator.desired import Images, render
from modelserver_operator.desired.child import Desired
from modelserver_operator.observed.child import read_child
from tests.support.modelservers import model_server

OWNER = "owner"
CONTAINER = 'k:{"name":"modelserver"}'


def deployment() -> Desired:
    body = model_server()
    body["metadata"] |= {"namespace": "default", "uid": OWNER}
    (found,) = [c for c in render(parse(body), Images("c", "g", "n")).children if c.kind == "Deployment"]
    return found


def fields(value: Any) -> dict:
    """The fieldsV1 of a whole manifest: lists with names are merged by them."""
    if isinstance(value, dict):
        return {f"f:{key}": fields(item) for key, item in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict) and "name" in value[0]:
        return {f'k:{{"name":"{item["name"]}"}}': {".": {}, **fields(item)} for item in value}
    return {}


def ours(item: Desired) -> dict:
    kept = {key: value for key, value in item.manifest.items() if key == "spec"}
    kept["metadata"] = {key: item.manifest["metadata"][key] for key in ("labels", "annotations")}
    return {"manager": "modelserver-operator", "operation": "Apply", "fieldsV1": fields(kept)}


def theirs(manager: str, path: list[str], **entry: str) -> dict:
    below: dict = {}
    for step in reversed(path):
        below = {step: below}
    return {"manager": manager, "operation": "Update", "fieldsV1": below, **entry}


def without(entry: dict, path: list[str]) -> dict:
    entry = deepcopy(entry)
    *steps, last = path
    node = entry["fieldsV1"]
    for step in steps:
        node = node[step]
    del node[last]
    return entry


POD = ["f:spec", "f:template", "f:spec"]
IMAGE = [*POD, "f:containers", CONTAINER, "f:image"]


def changed(item: Desired, *managed: dict, **container: Any) -> list[tuple[str, str]]:
    """What the plan does about a Deployment whose container has these fields: the reason and the blamed."""
    body = deepcopy(item.manifest)
    body["metadata"] |= {"uid": "u", "resourceVersion": "7", "managedFields": list(managed)}
    body["spec"]["template"]["spec"]["containers"][0] |= container
    found = plan([item], {(item.kind, item.name): read_child(item.kind, body)}, OWNER, {})
    return [(change.why, change.editor) for change in found.changes]


def test_an_image_that_a_webhook_rewrote_in_our_own_request_is_no_drift():
    item = deployment()

    assert changed(item, ours(item), image="mirror/c") == []


def test_a_variable_that_a_webhook_added_is_no_drift():
    item = deployment()

    assert changed(item, ours(item), env=[{"name": "X", "value": "1"}]) == []


def test_an_image_that_somebody_set_is_drift_and_the_newest_manager_is_not_blamed():
    item = deployment()
    managed = [
        without(ours(item), IMAGE),
        theirs("kubectl-set", IMAGE, time="2026-01-01T00:00:00Z"),
        theirs("annotator", ["f:metadata", "f:annotations", "f:x"], time="2026-01-02T00:00:00Z"),
    ]

    assert changed(item, *managed, image="other") == [("drifted", "kubectl-set")]


def test_a_removed_field_is_drift_by_an_unknown_client():
    item = deployment()
    args = [*POD, "f:containers", CONTAINER, "f:args"]

    assert changed(item, without(ours(item), args), args=[]) == [("drifted", "")]


def test_a_field_of_the_template_that_only_others_own_is_drift():
    item = deployment()
    command = theirs("kubectl-patch", [*POD, "f:containers", CONTAINER, "f:command"])

    assert changed(item, ours(item), command, command=["sleep"]) == [("drifted", "kubectl-patch")]


def test_a_writer_of_the_status_is_never_blamed():
    item = deployment()
    status = theirs("kube-controller-manager", IMAGE, subresource="status")

    assert changed(item, ours(item), status, image="mirror/c") == []


@pytest.mark.parametrize("managed", [[], [{"manager": "x"}]], ids=["none", "an empty entry"])
def test_without_a_record_of_our_apply_every_difference_is_drift(managed: list[dict]):
    assert changed(deployment(), *managed, image="other") == [("drifted", "")]
