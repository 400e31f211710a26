"""Triton's model repository extension over REST: index, load and unload."""

from dataclasses import asdict
from typing import Any

from starlette.responses import JSONResponse, Response

from modelserver.errors import InvalidRequest
from modelserver.front.documents.triton import refuse_overrides
from modelserver.front.rest.inputs import Asked, JsonObject, Management


async def index(control: Management, body: JsonObject) -> Response:
    """Every version of every model, or those that are ready."""
    ready = body.get("ready")
    if not isinstance(ready, bool | None):
        raise InvalidRequest("ready must be true or false")
    return JSONResponse([asdict(entry) for entry in control.index(ready=bool(ready))])


async def load(control: Management, asked: Asked, body: JsonObject) -> Response:
    """Serve a configured model again, or as its files are now."""
    refuse_overrides(_parameters(body))
    await control.load(asked.model)
    return JSONResponse({})


async def unload(control: Management, asked: Asked, body: JsonObject) -> Response:
    """Stop serving a model."""
    _parameters(body)
    await control.unload(asked.model)
    return JSONResponse({})


def _parameters(body: dict[str, Any]) -> dict[str, Any]:
    parameters = {} if body.get("parameters") is None else body["parameters"]
    if not isinstance(parameters, dict):
        raise InvalidRequest("parameters must be an object")
    return parameters
