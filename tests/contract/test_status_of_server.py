"""The operator's reader takes every document the status contract allows, and nothing else."""

import json
from pathlib import Path

import jsonschema
import pytest

from modelserver_operator.observed.report import ModelStatus, ServerStatus, VersionStatus, read_reply
from modelserver_operator.observed.scaling.load import Load, ModelLoad, read_load

SCHEMA = json.loads((Path(__file__).parent / "status.schema.json").read_text())
MODEL = SCHEMA["properties"]["models"]["items"]
VERSION = MODEL["properties"]["versions"]["items"]
LOADED = {
    "name": "m", "device": "CPU", "executionDevices": ["CPU"], "streams": 1, "nireq": 2, "hint": "LATENCY",
    "threads": 1, "revision": "r", "error": None,
    "versions": [{"version": 1, "state": "AVAILABLE", "wanted": True, "error": None}],
}  # fmt: skip
EMPTY = {
    **LOADED, "executionDevices": [], "streams": None, "nireq": None, "hint": None, "threads": None,
    "revision": None, "error": "no such file", "versions": [],
}  # fmt: skip
LOAD = {"name": "m", "inFlight": 1.5, "queued": 0.25, "streams": 1, "nireq": 2, "inline": False}
DOCUMENT = {
    "schemaVersion": 1, "serverVersion": "0.1.0", "revision": "r", "ready": True, "draining": False,
    "affinity": [0, 1], "cpusOnline": 4, "quota": 1.5, "threads": 2, "pinning": False,
    "pinningReason": "shared", "workers": 1, "warnings": ["streams were capped"], "models": [LOADED, EMPTY],
    "load": [LOAD], "startup": {"loadedSeconds": 3.5, "firstInferenceSeconds": 0.01},
}  # fmt: skip
BARE = {key: DOCUMENT[key] for key in SCHEMA["required"]} | {"revision": None, "quota": None, "models": []}


@pytest.mark.parametrize("document", [DOCUMENT, BARE], ids=["everything", "only what is required"])
def test_a_document_of_the_contract_is_understood(document: dict):
    jsonschema.validate(document, SCHEMA, cls=jsonschema.Draft202012Validator)

    status = read_reply(json.dumps(document).encode()).status

    assert status is not None
    assert status.revision == document["revision"]
    assert [model.name for model in status.models] == [model["name"] for model in document["models"]]


def test_the_load_of_a_document_is_understood_and_its_changes_are_no_other_status():
    busier = {**DOCUMENT, "load": [{**LOAD, "queued": 9}]}
    before, after = (read_reply(json.dumps(item).encode()) for item in (DOCUMENT, busier))

    assert before == after
    assert read_load(json.dumps(DOCUMENT).encode()) == Load(1.75, 1.75)
    assert read_load(json.dumps(BARE).encode()) is None


def test_a_field_of_a_later_server_is_ignored():
    later = {**DOCUMENT, "invented": 1, "models": [{**LOADED, "invented": {"a": 1}}]}

    assert read_reply(json.dumps(later).encode()).status is not None


UNUSED = {"serverVersion", "ready", "draining", "quota"}


@pytest.mark.parametrize("field", [key for key in SCHEMA["required"] if key not in UNUSED])
def test_a_document_without_a_field_the_operator_needs_is_refused_naming_it(field: str):
    document = {key: value for key, value in DOCUMENT.items() if key != field}

    assert field in read_reply(json.dumps(document).encode()).problem


def test_a_document_without_the_fields_the_operator_does_not_use_is_understood():
    document = {key: value for key, value in DOCUMENT.items() if key not in UNUSED}

    assert read_reply(json.dumps(document).encode()).status is not None


@pytest.mark.parametrize("text", [b"", b"<html>", b"[]", b"null", b"\xff"])
def test_a_document_that_is_not_a_status_is_a_problem_and_not_a_crash(text: bytes):
    assert "/status cannot be read" in read_reply(text).problem


def test_a_later_version_of_the_contract_asks_for_a_newer_operator():
    assert "upgrade the operator" in read_reply(json.dumps({**DOCUMENT, "schemaVersion": 2}).encode()).problem


@pytest.mark.parametrize(
    ("reader", "schema"),
    [
        (ServerStatus, SCHEMA),
        (ModelStatus, MODEL),
        (VersionStatus, VERSION),
        (ModelLoad, SCHEMA["properties"]["load"]["items"]),
    ],
    ids=["top", "model", "version", "load"],
)
def test_the_reader_knows_no_field_that_is_not_in_the_contract(reader, schema: dict):
    assert {field.alias for field in reader.model_fields.values()} <= set(schema["properties"])
