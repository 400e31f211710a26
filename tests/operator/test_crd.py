"""The generated CRD: fresh, bounded everywhere, described everywhere."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from modelserver_operator.__main__ import main
from modelserver_operator.api.crd import crd

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "crds" / "modelservers.modelserver.dev.yaml"
PRESERVED = "x-kubernetes-preserve-unknown-fields"


def schema() -> dict[str, Any]:
    found: dict[str, Any] = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def nodes(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for inner in ("items", "additionalProperties"):
        if isinstance(node.get(inner), dict):
            yield from nodes(node[inner], f"{path}[]")


def fields() -> list[tuple[str, dict[str, Any]]]:
    return [pair for part in ("spec", "status") for pair in nodes(schema()["properties"][part], part)]


def test_the_file_is_what_the_models_give(capsys):
    """`make generate` renews it."""
    main(["crd"])

    assert capsys.readouterr().out == FILE.read_text()


def test_the_chart_installs_the_same_file():
    assert (ROOT / "charts/modelserver-operator/files" / FILE.name).read_text() == FILE.read_text()


def test_it_is_small_enough_for_every_client():
    assert FILE.stat().st_size < 200_000


def test_every_string_list_and_map_is_bounded():
    """The API server multiplies the cost of a rule by what could be in the object."""
    unbounded = []
    for path, node in fields():
        is_text = node.get("type") == "string" and "enum" not in node
        is_map = node.get("type") == "object" and isinstance(node.get("additionalProperties"), dict)
        missing = (
            (is_text and "maxLength" not in node)
            or (node.get("x-kubernetes-int-or-string") and "maxLength" not in node)
            or (node.get("type") == "array" and "maxItems" not in node)
            or (is_map and "maxProperties" not in node)
        )
        unbounded += [path] if missing else []
    assert unbounded == []


def test_only_plugin_config_is_open():
    assert {path for path, node in fields() if PRESERVED in node} == {
        "spec.pluginConfig",
        "spec.models[].pluginConfig",
    }


def test_every_field_is_described():
    missing = [
        path
        for path, node in fields()
        if not node.get("description") and not path.endswith("[]") and ".pluginConfig." not in path
    ]
    assert missing == []


def test_it_is_structural():
    for path, node in fields():
        assert "$ref" not in node, path
        assert "anyOf" not in node, path
        assert "title" not in node, path
        assert node.get("type") or node.get("x-kubernetes-int-or-string") or node.get(PRESERVED), path


def test_every_rule_says_what_to_do():
    rules = [rule for _, node in fields() for rule in node.get("x-kubernetes-validations", [])]

    assert len(rules) > 15
    assert all(len(rule["message"]) > 20 for rule in rules)


def test_models_and_conditions_are_maps_by_name():
    spec, status = (schema()["properties"][part]["properties"] for part in ("spec", "status"))

    assert spec["models"]["x-kubernetes-list-map-keys"] == ["name"]
    assert status["conditions"]["x-kubernetes-list-map-keys"] == ["type"]


def test_helm_leaves_it_when_the_operator_is_uninstalled():
    assert yaml.safe_load(FILE.read_text())["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
