"""The HTTP table: every route of the REST port, for matching and for the OpenAPI document.

The first row that matches answers. `InferApp` looks at the rows of inference before FastAPI has the others.
"""

from starlette.responses import HTMLResponse, JSONResponse, Response

from modelserver.codec import tfs_json, v2_json
from modelserver.front.rest import openapi, reload, repository, status, tfs, v2
from modelserver.front.rest.infer import Inference
from modelserver.front.rest.inputs import newest_or
from modelserver.front.rest.route import Handler, Route, Schema
from modelserver.telemetry.labels import API, Method


def _get(path: str, handler: Handler, *schema: str, slash: bool = True) -> Route:
    return Route("GET", path, handler, Schema(*schema) if schema else None, slash)


def _post(path: str, handler: Handler | Inference, *schema: str) -> Route:
    return Route("POST", path, handler, Schema(*schema) if schema else None)


async def _openapi_document() -> Response:
    return JSONResponse(openapi.document(ROUTES))


async def _openapi_page() -> Response:
    return HTMLResponse(openapi.page(ROUTES))


_INFER = Inference(API.KSERVE, Method.MODEL_INFER, v2_json)
_PREDICT = Inference(API.TFS, Method.PREDICT, tfs_json, newest_or)
_V2 = "/v2/models/{model}[/versions/{version}]"
_V1 = "/v1/models/{model}[/versions/{version}]"
_LABEL = "/v1/models/{model}/labels/{label}"
_REPOSITORY = "/v2/repository/models/{model}"
STATUS = (
    _get("/v2/health/live", status.live, "Whether the process answers", "Anything"),
    _get("/v2/health/ready", status.ready, "Whether models are served", "Anything"),
    _get("/metrics", status.metrics, "Metrics", openapi.METRICS),
    _get("/status", status.status, "What the server does and why, for the operator", "Anything"),
)
"""All that a status port of its own has."""
ROUTES = (
    *STATUS,
    _get("/v2", v2.server_metadata, "Name, version and extensions of the server", "ServerMetadata"),
    _get("/v2/models/stats", v2.all_statistics, "Counts and times of all models", "Statistics"),
    _get(_V2, v2.model_metadata, "Inputs, outputs and versions of a model", "ModelMetadata"),
    _get(_V2 + "/ready", v2.model_ready, "Whether a model is served", "Anything"),
    _post(_V2 + "/infer", _INFER, "One inference (KServe v2)", "InferResponse", "InferRequest"),
    _get(_V2 + "/stats", v2.model_statistics, "Counts and times of a model", "Statistics"),
    _get(_V2 + "/config", v2.model_configuration, "Triton's configuration of a model", "ModelConfig"),
    _post("/v2/repository/index", repository.index,
          "Models and their states", "RepositoryIndex", "RepositoryIndexRequest"),
    _post(_REPOSITORY + "/load", repository.load, "Serve a configured model again", "Anything", "Anything"),
    _post(_REPOSITORY + "/unload", repository.unload, "Stop serving a model", "Anything", "Anything"),
    _get("/v1/config", reload.configuration, "State of all models and versions", "Configuration"),
    _post("/v1/config/reload", reload.reload,
          "Read config.json and the model directories now", "Configuration"),
    _post(_V1 + ":predict", _PREDICT,
          "One inference (TensorFlow Serving)", "PredictResponse", "PredictRequest"),
    _post(_V1 + ":classify", tfs.refuse_method),
    _post(_V1 + ":regress", tfs.refuse_method),
    _post(_LABEL + ":classify", tfs.refuse_method),
    _post(_LABEL + ":regress", tfs.refuse_method),
    _post(_LABEL + ":predict", tfs.refuse_label),
    _get(_LABEL + "[/metadata]", tfs.refuse_label),
    _get(_V1 + "/metadata", tfs.model_metadata, "Signature of a model (TensorFlow Serving)", "Anything"),
    _get(_V1, tfs.model_status, "State of a model's versions (TensorFlow Serving)", "ModelStatus"),
    _get("/openapi.json", _openapi_document, slash=False),
    _get("/docs", _openapi_page, slash=False),
)  # fmt: skip
