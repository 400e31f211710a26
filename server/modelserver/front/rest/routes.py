"""The REST routes that may cost a millisecond: metadata, model readiness, management, the OpenAPI page."""

import re
from typing import Any
from urllib.parse import unquote

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest

from modelserver import __version__
from modelserver.dataplane.backend import EXTENSIONS, Backend
from modelserver.dataplane.plane import DataPlane
from modelserver.errors import NotReady, ServerError
from modelserver.front.documents.triton import configuration, statistics
from modelserver.front.documents.v2 import metadata
from modelserver.front.http.asgi import matched
from modelserver.front.http.methods import EVERY, require
from modelserver.front.rest import openapi
from modelserver.front.rest.reload import add_reload_routes
from modelserver.front.rest.repository import add_repository_routes
from modelserver.front.rest.tfs import add_tfs_routes
from modelserver.telemetry.labels import Interface, Method
from modelserver.tensors import Call, parse_version


def build_cold_app(backend: Backend) -> FastAPI:
    """Metadata, model readiness, management: the routes that may cost a millisecond."""
    plane = backend.plane
    # The document is ours: most of what it describes never passes FastAPI.
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    _add_error_handlers(app)

    @app.get("/openapi.json")
    async def openapi_document() -> dict[str, Any]:
        return openapi.document()

    @app.get("/docs", response_class=HTMLResponse)
    async def openapi_page() -> str:
        return openapi.page()

    @app.get("/v2")
    @app.get("/v2/", include_in_schema=False)
    async def server_metadata() -> dict[str, Any]:
        return {"name": "OpenVINO ModelServer", "version": __version__, "extensions": list(EXTENSIONS)}

    # Every method: only the path's end tells whether there is anything to refuse a method for.
    @app.api_route("/v2/models/{rest:path}", methods=[*EVERY])
    async def model(request: HttpRequest) -> JSONResponse:
        return _answer_model(plane, request)

    add_reload_routes(app, plane, backend.control)
    add_repository_routes(app, backend)
    add_tfs_routes(app, plane)
    return app


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(ServerError)
    async def told(_request: HttpRequest, error: ServerError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, error.http)

    @app.exception_handler(Exception)
    async def unforeseen(_request: HttpRequest, _error: Exception) -> JSONResponse:
        return JSONResponse({"error": "Internal error; the server's log tells more"}, 500)

    @app.exception_handler(HTTPException)
    async def refused(request: HttpRequest, error: HTTPException) -> JSONResponse:
        message = {
            404: f"There is nothing at {request.url.path}",
            405: f"{request.method} is not answered here",
        }
        return JSONResponse(
            {"error": message.get(error.status_code, error.detail)}, error.status_code, error.headers
        )


_MODEL = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?(?:/(ready|stats|config))?/?")


def _answer_model(plane: DataPlane, request: HttpRequest) -> JSONResponse:
    match = matched(_MODEL, request.scope)
    require("GET", request.scope)
    quoted, version, what = match.groups()
    name, number = unquote(quoted), parse_version(version)
    if match.groups() == ("stats", None, None):
        return JSONResponse(statistics(plane.statistics("", None)))
    if what == "stats":
        return JSONResponse(statistics(plane.statistics(name, number)))
    if what == "config":
        return JSONResponse(configuration(plane.catalogue.find(name, number)))
    if what == "ready":
        return JSONResponse(_ready(plane, Call(Interface.REST, name, number, method=Method.MODEL_READY)))
    call = Call(Interface.REST, name, number, method=Method.MODEL_METADATA)
    return JSONResponse(metadata(*plane.metadata(call)))


def _ready(plane: DataPlane, call: Call) -> dict[str, Any]:
    if not plane.is_model_ready(call):
        raise NotReady("Model with requested version is not loaded yet")
    return {"name": call.model, "ready": True}
