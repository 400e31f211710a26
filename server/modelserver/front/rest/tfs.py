"""TensorFlow Serving over REST: Predict on the hot route; status and metadata beside it."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from fastapi import FastAPI
from fastapi import Response as HttpResponse
from starlette.requests import Request as HttpRequest

from modelserver.codec import tfs_json
from modelserver.dataplane.plane import DataPlane
from modelserver.errors import InvalidRequest, Unsupported
from modelserver.front.documents.tfs import LABELS, signature, statuses
from modelserver.front.http.asgi import JSON, matched
from modelserver.front.http.methods import EVERY, require
from modelserver.front.rest.infer import Answer, Exchange, Route
from modelserver.telemetry.labels import API, Interface, Method
from modelserver.tensors import Call, Request, Response, Spec, parse_version


class PredictExchange:
    """JSON by rows or by columns."""

    def __init__(self, body: bytes, _headers: Mapping[bytes, bytes]) -> None:
        self._body = body
        self._decoded: tfs_json.Decoded

    @property
    def text_bytes(self) -> int:
        """All of it is JSON."""
        return len(self._body)

    def decode(self, inputs: Sequence[Spec]) -> Request:
        """The model's inputs tell datatypes and, for values without a name, the input."""
        self._decoded = tfs_json.decode(self._body, inputs)
        return self._decoded.request

    def encode(self, response: Response) -> Answer:
        """In the format of the request."""
        return Answer(tfs_json.encode(response, self._decoded.instances))


def _refuse_label(_body: bytes, _headers: Mapping[bytes, bytes]) -> Exchange:
    raise InvalidRequest(LABELS)


def _refuse_method(_body: bytes, _headers: Mapping[bytes, bytes]) -> Exchange:
    raise Unsupported("classify and regress are not offered, they need tf.Example records: use predict")


_NAME = rb"/v1/models/(?P<name>[^/]+)"
# Clients send version 0 for the default one.
_VERSION = rb"(?:/versions/(?:0+|(?P<version>[^/]+)))?"
ROUTES = (
    Route(re.compile(_NAME + _VERSION + rb":predict"), API.TFS, Method.PREDICT, PredictExchange),
    Route(
        re.compile(_NAME + rb"/labels/[^/]+(?P<version>):predict"),
        API.TFS,
        Method.PREDICT,
        _refuse_label,
    ),
    Route(
        re.compile(_NAME + rb"(?:/(?:versions|labels)/[^/]+)?(?P<version>):(?:classify|regress)"),
        API.TFS,
        Method.PREDICT,
        _refuse_method,
    ),
)


def add_tfs_routes(app: FastAPI, plane: DataPlane) -> None:
    """Status and metadata of a model."""

    # Every method: see cold.py.
    @app.api_route("/v1/models/{rest:path}", methods=[*EVERY])
    async def model(request: HttpRequest) -> HttpResponse:
        told = _answer_model(plane, request)
        return HttpResponse(json.dumps(told, indent=1) + "\n", media_type=JSON)


_MODEL = re.compile(r"/v1/models/([^/]+)(?:/versions/([^/]+)|(/labels/[^/]+))?(/metadata)?/?")


def _answer_model(plane: DataPlane, request: HttpRequest) -> dict[str, Any]:
    name, version, label, metadata = matched(_MODEL, request.scope).groups()
    require("GET", request.scope)
    if label:
        raise InvalidRequest(LABELS)
    method = Method.GET_MODEL_METADATA if metadata else Method.GET_MODEL_STATUS
    number = parse_version(version) or None
    call = Call(Interface.REST, unquote(name), number, api=API.TFS, method=method)
    if metadata:
        return signature(plane.metadata(call)[0])
    return {"model_version_status": statuses(plane.states(call))}
