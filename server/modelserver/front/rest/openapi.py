"""The OpenAPI document and its page, written here because most of what it describes never passes FastAPI."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from modelserver import __version__
from modelserver.front.http.asgi import JSON
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
        state={"type": "string", "enum": ["START", "LOADING", "AVAILABLE", "UNLOADING", "END"]},
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
            state={"type": "string", "enum": ["READY", "UNAVAILABLE", "LOADING", "UNLOADING"]},
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

_MODEL = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")
_TFS = ("/v1/models/{model}", "/v1/models/{model}/versions/{version}")


def _versioned(paths: tuple[str, str], suffix: str, *operation: str | None) -> Iterator[tuple[Any, ...]]:
    for path in paths:
        yield (path + suffix, *operation)


OPERATIONS: tuple[tuple[Any, ...], ...] = (
    ("/v2", "get", "Name, version and extensions of the server", None, "ServerMetadata"),
    ("/v2/health/live", "get", "Whether the process answers", None, "Anything"),
    ("/v2/health/ready", "get", "Whether models are served", None, "Anything"),
    *_versioned(_MODEL, "", "get", "Inputs, outputs and versions of a model", None, "ModelMetadata"),
    *_versioned(_MODEL, "/ready", "get", "Whether a model is served", None, "Anything"),
    *_versioned(_MODEL, "/infer", "post", "One inference (KServe v2)", "InferRequest", "InferResponse"),
    ("/v2/models/stats", "get", "Counts and times of all models", None, "Statistics"),
    *_versioned(_MODEL, "/stats", "get", "Counts and times of a model", None, "Statistics"),
    *_versioned(_MODEL, "/config", "get", "Triton's configuration of a model", None, "ModelConfig"),
    ("/v2/repository/index", "post", "Models and their states", "RepositoryIndexRequest", "RepositoryIndex"),
    ("/v2/repository/models/{model}/load", "post", "Serve a configured model again", "Anything", "Anything"),
    ("/v2/repository/models/{model}/unload", "post", "Stop serving a model", "Anything", "Anything"),
    ("/v1/config", "get", "State of all models and versions", None, "Configuration"),
    ("/v1/config/reload", "post", "Read config.json and the model directories now", None, "Configuration"),
    *_versioned(_TFS, "", "get", "State of a model's versions (TensorFlow Serving)", None, "ModelStatus"),
    *_versioned(_TFS, "/metadata", "get", "Signature of a model (TensorFlow Serving)", None, "Anything"),
    *_versioned(
        _TFS, ":predict", "post", "One inference (TensorFlow Serving)", "PredictRequest", "PredictResponse"
    ),
    ("/status", "get", "What the server does and why, for the operator", None, "Anything"),
)
"""Path, method, summary, schemas of the body and of the answer."""


def document() -> Json:
    """The whole of /openapi.json."""
    paths: dict[str, Json] = {}
    for path, method, summary, body, answer in OPERATIONS:
        paths.setdefault(path, {})[method] = _operation(path, summary, body, answer)
    paths["/metrics"] = {"get": _metrics()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "OpenVINO ModelServer", "version": __version__},
        "paths": paths,
        "components": {"schemas": dict(SCHEMAS)},
    }


def _operation(path: str, summary: str, body: str | None, answer: str) -> Json:
    operation: Json = {
        "summary": summary,
        "responses": {"200": _answer("Done.", answer), **_refusals()},
    }
    if path == "/v1/config/reload":
        operation["responses"]["201"] = _answer("Something was loaded or retired.", answer)
    names = [part.partition("}")[0] for part in path.split("{")[1:]]
    if names:
        operation["parameters"] = [_path_parameter(name) for name in names]
    if body is not None:
        operation["requestBody"] = {
            "required": body in ("InferRequest", "PredictRequest"),
            "content": {JSON: {"schema": _ref(body)}},
        }
    return operation


def _path_parameter(name: str) -> Json:
    schema = {"type": "integer", "minimum": 0} if name == "version" else {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _refusals() -> Json:
    return {code: _answer(text, "Error") for code, text in _REFUSALS.items()}


def _answer(text: str, schema: str) -> Json:
    return {"description": text, "content": {JSON: {"schema": _ref(schema)}}}


def _metrics() -> Json:
    page = {"description": "Prometheus' text format.", "content": {"text/plain": {"schema": _TEXT}}}
    return {"summary": "Metrics", "responses": {"200": page, **_refusals()}}


def page() -> str:
    """The document as a page that loads nothing from anywhere."""
    rows = "".join(
        f"<tr><td><code>{method.upper()} {escape(path)}</code><td>{escape(operation['summary'])}"
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    )
    title = f"OpenVINO ModelServer {escape(__version__)}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head><body>'
        f'<h1>{title}</h1><p>The whole description: <a href="openapi.json">openapi.json</a></p>'
        f"<table>{rows}</table></body></html>"
    )
