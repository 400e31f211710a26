"""The operator's reader takes every document the status contract allows, and nothing else."""

import json
from pathlib import Path

import jsonschema
import pytest

from modelserver_operator.observed.report import Said, SaidModel, SaidVersion, read_report

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
DOCUMENT = {
    "schemaVersion": 1, "serverVersion": "0.1.0", "revision": "r", "ready": True, "draining": False,
    "affinity": [0, 1], "cpusOnline": 4, "quota": 1.5, "threads": 2, "pinning": False,
    "pinningReason": "shared", "workers": 1, "warnings": ["streams were capped"], "models": [LOADED, EMPTY],
}  # fmt: skip
BARE = {key: DOCUMENT[key] for key in SCHEMA["required"]} | {"revision": None, "quota": None, "models": []}


@pytest.mark.parametrize("document", [DOCUMENT, BARE], ids=["everything", "only what is required"])
def test_a_document_of_the_contract_is_understood(document: dict):
    jsonschema.validate(document, SCHEMA, cls=jsonschema.Draft202012Validator)

    said = read_report(json.dumps(document).encode()).said

    assert said is not None
    assert said.revision == document["revision"]
    assert [model.name for model in said.models] == [model["name"] for model in document["models"]]


def test_a_field_of_a_later_server_is_passed_over():
    later = {**DOCUMENT, "invented": 1, "models": [{**LOADED, "invented": {"a": 1}}]}

    assert read_report(json.dumps(later).encode()).said is not None


@pytest.mark.parametrize("field", [key for key in SCHEMA["required"] if key != "serverVersion"])
def test_a_document_without_a_required_field_is_refused_naming_it(field: str):
    document = {key: value for key, value in DOCUMENT.items() if key != field}

    assert field in read_report(json.dumps(document).encode()).problem


@pytest.mark.parametrize("text", [b"", b"<html>", b"[]", b"null", b"\xff"])
def test_what_is_no_status_is_no_crash(text: bytes):
    assert "not understood" in read_report(text).problem


def test_a_later_version_of_the_contract_asks_for_a_newer_operator():
    assert (
        "upgrade the operator" in read_report(json.dumps({**DOCUMENT, "schemaVersion": 2}).encode()).problem
    )


@pytest.mark.parametrize(
    ("reader", "schema"),
    [(Said, SCHEMA), (SaidModel, MODEL), (SaidVersion, VERSION)],
    ids=["top", "model", "version"],
)
def test_the_reader_knows_no_field_that_is_not_in_the_contract(reader, schema: dict):
    assert {field.alias for field in reader.model_fields.values()} <= set(schema["properties"])
