"""The CustomResourceDefinition, generated from the API's models: `modelserver-operator crd`."""

from collections.abc import Mapping
from typing import Any

from modelserver_operator.api import GROUP, KIND, PLURAL, VERSION
from modelserver_operator.api.rules import validations
from modelserver_operator.api.spec import Spec
from modelserver_operator.api.status import Status

_COLUMNS = (
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', 0),
    ("Device", "string", ".status.tuning.device", 0),
    ("Hint", "string", ".status.tuning.hint", 0),
    ("Streams", "integer", ".status.tuning.streams", 0),
    ("Replicas", "integer", ".status.replicas", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
    ("Models", "string", ".spec.models[*].name", 1),
    ("Nireq", "integer", ".status.tuning.nireq", 1),
    ("Image", "string", ".status.image", 1),
)


def crd() -> dict[str, Any]:
    """The manifest."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        # Helm leaves it, and with it every object, when the chart is uninstalled.
        "metadata": {"name": f"{PLURAL}.{GROUP}", "annotations": {"helm.sh/resource-policy": "keep"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["msrv"],
                "categories": ["all"],
            },
            "versions": [_version()],
        },
    }


def _version() -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _schema()},
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path, **({"priority": priority} if priority else {})}
            for name, kind, path, priority in _COLUMNS
        ],
    }


def _schema() -> dict[str, Any]:
    rules = validations()
    return {
        "type": "object",
        "description": "OpenVINO models served on Kubernetes: tuned, on exclusive CPUs, and verified.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "modelserver.dev/v1alpha1."},
            "kind": {"type": "string", "description": "ModelServer."},
            "metadata": {"type": "object"},
            "spec": _structural(Spec.model_json_schema(mode="validation")),
            "status": _structural(Status.model_json_schema(mode="validation")),
        },
        "x-kubernetes-validations": rules["ModelServer"],
    }


def _structural(document: Mapping[str, Any]) -> dict[str, Any]:
    """Pydantic's JSON schema as a structural one: no references, no null, no titles, with the rules."""
    definitions = document.get("$defs", {})
    rules = validations()

    def convert(node: Any) -> Any:
        if isinstance(node, list):
            return [convert(item) for item in node]
        if not isinstance(node, dict):
            return node
        node = _inlined(node, definitions)
        added = {"x-kubernetes-validations": rules[node["title"]]} if node.get("title") in rules else {}
        return _node(node, convert) | added

    converted: dict[str, Any] = convert({key: value for key, value in document.items() if key != "$defs"})
    return converted


def _inlined(source: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Follow a reference, and take the only branch of an `anyOf` with null; keys next to them win."""
    node = dict(source)
    if "anyOf" in node:
        (only,) = [branch for branch in node.pop("anyOf") if branch.get("type") != "null"]
        node = only | node
    if "$ref" in node:
        node = definitions[node.pop("$ref").rpartition("/")[2]] | node
    return node


def _node(node: Mapping[str, Any], convert: Any) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in node.items():
        result |= _entry(key, value, convert)
    return result


def _entry(key: str, value: Any, convert: Any) -> dict[str, Any]:
    match key, value:
        case "properties", _:
            return {key: {name: convert(child) for name, child in value.items()}}
        case "patternProperties", _:
            # A CRD cannot check the keys of a map; `parse` does.
            return {"additionalProperties": convert(next(iter(value.values())))}
        case "default", _:
            default = _without_empty(value)
            return {} if default in (None, {}, []) else {"default": default}
        case "description", _:
            return {key: " ".join(value.split())}
        case ("title" | "propertyNames", _) | ("additionalProperties", bool()):
            return {}
    return {"enum": [value]} if key == "const" else {key: convert(value)}


def _without_empty(value: Any) -> Any:
    """An empty default would only make every stored object longer."""
    if isinstance(value, dict):
        kept = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, {}, [])}
    return value
