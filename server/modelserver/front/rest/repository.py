"""Triton's model repository extension over REST: index, load and unload."""

import re
from dataclasses import asdict
from typing import Any
from urllib.parse import unquote

import orjson
from fastapi import FastAPI
from starlette.requests import Request as HttpRequest

from modelserver.dataplane.backend import Backend
from modelserver.errors import InvalidRequest
from modelserver.front.documents.triton import refuse_overrides
from modelserver.front.http.asgi import matched, read_body
from modelserver.front.http.methods import EVERY, require

_MODEL = re.compile(r"/v2/repository/models/([^/]+)/(load|unload)/?")


def add_repository_routes(app: FastAPI, backend: Backend) -> None:
    """Index, load and unload."""
    control = backend.control

    async def body(request: HttpRequest) -> dict[str, Any]:
        with backend.limits.holding() as held:
            receive: Any = request.receive
            return _object(
                await read_body(dict(request.scope["headers"]), receive, held, backend.threads.unpack)
            )

    @app.post("/v2/repository/index")
    @app.post("/v2/repository/index/", include_in_schema=False)
    async def index(request: HttpRequest) -> list[dict[str, Any]]:
        ready = (await body(request)).get("ready", False)
        if not isinstance(ready, bool):
            raise InvalidRequest("ready must be true or false")
        return [asdict(entry) for entry in control.index(ready=ready)]

    # Every method: see cold.py.
    @app.api_route("/v2/repository/models/{rest:path}", methods=[*EVERY])
    async def order(request: HttpRequest) -> dict[str, Any]:
        match = matched(_MODEL, request.scope)
        require("POST", request.scope)
        parameters = (await body(request)).get("parameters", {})
        if not isinstance(parameters, dict):
            raise InvalidRequest("parameters must be an object")
        name = unquote(match[1])
        if match[2] == "load":
            refuse_overrides(parameters)
            await control.load(name)
        else:
            await control.unload(name)
        return {}


def _object(body: bytes) -> dict[str, Any]:
    """The body of a request; nothing at all is fine."""
    if not body.strip():
        return {}
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}") from error
    if not isinstance(told, dict):
        raise InvalidRequest("Request body should be JSON object")
    return told
