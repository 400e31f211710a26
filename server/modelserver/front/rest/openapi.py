"""The OpenAPI document of the HTTP table, and its page.

FastAPI's own would lack inference, which never passes it, and every body that no class describes.
"""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from modelserver import __version__
from modelserver.dataplane.control import EntryState
from modelserver.dataplane.plane import VERSION_STATES
from modelserver.front.http.asgi import JSON
from modelserver.front.rest.route import Route, Schema
from modelserver.tensors import NUMPY

Json = dict[str, Any]
_REFUSALS = {
    "400": "The request is wrong; the message says what and where.",
    "403": "An option of the server rules it out.",
    "404": "No such path, model or version.",
    "405": "Another method is answered here; see Allow.",
    "413": "The body is larger than the server allows.",
    "429": "The queue in front of the model is full; see Retry-After.",
    "503": "Not ready, not loaded yet, or stopping.",
    "504": "The time allowed ran out in the queue.",
}
_TEXT: Json = {"type": "string"}
METRICS = "text/plain"
"""The one answer that is not JSON."""
_METRICS: Json = {"description": "Prometheus' text format.", "content": {METRICS: {"schema": _TEXT}}}
_DATATYPE: Json = {"type": "string", "enum": list(NUMPY)}
_SHAPE: Json = {"type": "array", "items": {"type": "integer", "minimum": 0}}
_VALUES: Json = {
    "type": "array",
    "description": "The values, flat or nested. Numbers JSON has no word for are the strings NaN, Infinity"
    " and -Infinity.",
    "items": {},
}


def _object(required: tuple[str, ...] = (), **properties: Json) -> Json:
    return {"type": "object", "required": list(required), "properties": properties}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


_PARAMETERS: Json = {"type": "object", "additionalProperties": True}
_TENSOR: Json = {"name": _TEXT, "shape": _SHAPE, "datatype": _DATATYPE, "parameters": _PARAMETERS}
_DESCRIBED = _list(
    _object(("name", "datatype", "shape"), name=_TEXT, datatype=_DATATYPE, shape=_list({"type": "integer"}))
)
_COUNT: Json = {"type": "integer", "minimum": 0}
_DURATION = _object(("count", "ns"), count=_COUNT, ns=_COUNT)
_CONFIGURED = _list(
    _object(("name", "data_type", "dims"), name=_TEXT, data_type=_TEXT, dims=_list({"type": "integer"}))
)
_STATUSES = _list(
    _object(
        ("version", "state", "status"),
        version=_TEXT,
        state={"type": "string", "enum": list(VERSION_STATES)},
        status=_object(error_code=_TEXT, error_message=_TEXT),
    )
)
SCHEMAS: Mapping[str, Json] = {
    "Error": _object(("error",), error=_TEXT),
    "ServerMetadata": _object(
        ("name", "version", "extensions"), name=_TEXT, version=_TEXT, extensions=_list(_TEXT)
    ),
    "ModelMetadata": _object(
        ("name", "versions", "platform", "inputs", "outputs"),
        name=_TEXT,
        versions=_list(_TEXT),
        platform=_TEXT,
        inputs=_DESCRIBED,
        outputs=_DESCRIBED,
        rt_info=_object(("model_info",), model_info={"type": "object"}),
    ),
    "InferRequest": _object(
        ("inputs",),
        id=_TEXT,
        parameters=_PARAMETERS,
        inputs=_list(_object(("name", "shape", "datatype"), **_TENSOR, data=_VALUES)),
        outputs=_list(_object(("name",), name=_TEXT, parameters=_PARAMETERS)),
    ),
    "InferResponse": _object(
        ("model_name", "model_version", "outputs"),
        id=_TEXT,
        model_name=_TEXT,
        model_version=_TEXT,
        outputs=_list(_object(("name", "shape", "datatype"), **_TENSOR, data=_VALUES)),
    ),
    "PredictRequest": {
        "oneOf": [
            _object(("instances",), signature_name=_TEXT, instances=_list({})),
            _object(("inputs",), signature_name=_TEXT, inputs={}),
        ]
    },
    "PredictResponse": _object(predictions=_list({}), outputs={}),
    "ModelStatus": _object(("model_version_status",), model_version_status=_STATUSES),
    "Configuration": {"type": "object", "additionalProperties": _ref("ModelStatus")},
    "RepositoryIndexRequest": _object(ready={"type": "boolean"}),
    "RepositoryIndex": _list(
        _object(
            ("name",),
            name=_TEXT,
            version=_TEXT,
            state={"type": "string", "enum": [state.value for state in EntryState]},
            reason=_TEXT,
        )
    ),
    "Statistics": _object(
        ("model_stats",),
        model_stats=_list(
            _object(
                ("name", "version", "inference_stats"),
                name=_TEXT,
                version=_TEXT,
                last_inference=_COUNT,
                inference_count=_COUNT,
                execution_count=_COUNT,
                inference_stats={"type": "object", "additionalProperties": _DURATION},
            )
        ),
    ),
    "ModelConfig": _object(
        ("name", "backend", "max_batch_size", "input", "output"),
        name=_TEXT,
        platform=_TEXT,
        backend=_TEXT,
        max_batch_size=_COUNT,
        input=_CONFIGURED,
        output=_CONFIGURED,
    ),
    "Anything": {"type": "object"},
}


def document(routes: Iterable[Route]) -> Json:
    """The whole of /openapi.json."""
    paths: dict[str, Json] = {}
    for route in routes:
        if route.schema is not None:
            for path in route.paths:
                paths.setdefault(path, {})[route.method.lower()] = _operation(path, route.schema)
    return {
        "openapi": "3.1.0",
        "info": {"title": "OpenVINO ModelServer", "version": __version__},
        "paths": paths,
        "components": {"schemas": dict(SCHEMAS)},
    }


def _operation(path: str, schema: Schema) -> Json:
    done = _METRICS if schema.answer == METRICS else _answer("Done.", schema.answer)
    operation: Json = {"summary": schema.summary, "responses": {"200": done, **_refusals()}}
    if path == "/v1/config/reload":
        operation["responses"]["201"] = _answer("Something was loaded or retired.", schema.answer)
    names = [part.partition("}")[0] for part in path.split("{")[1:]]
    if names:
        operation["parameters"] = [_path_parameter(name) for name in names]
    if schema.body is not None:
        operation["requestBody"] = {
            "required": schema.body in ("InferRequest", "PredictRequest"),
            "content": {JSON: {"schema": _ref(schema.body)}},
        }
    return operation


def _path_parameter(name: str) -> Json:
    schema = {"type": "integer", "minimum": 0} if name == "version" else {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _refusals() -> Json:
    return {code: _answer(text, "Error") for code, text in _REFUSALS.items()}


def _answer(text: str, schema: str) -> Json:
    return {"description": text, "content": {JSON: {"schema": _ref(schema)}}}


def page(routes: Iterable[Route]) -> str:
    """The document as a page that loads nothing from anywhere."""
    rows = "".join(
        f"<tr><td><code>{method.upper()} {escape(path)}</code><td>{escape(operation['summary'])}"
        for path, methods in document(routes)["paths"].items()
        for method, operation in methods.items()
    )
    title = f"OpenVINO ModelServer {escape(__version__)}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head><body>'
        f'<h1>{title}</h1><p>The whole description: <a href="openapi.json">openapi.json</a></p>'
        f"<table>{rows}</table></body></html>"
    )
