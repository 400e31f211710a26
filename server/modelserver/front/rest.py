"""KServe v2 over REST: the infer route as bare ASGI, FastAPI for everything that is not hot."""

import asyncio
import logging
import re
from functools import partial
from typing import Any
from urllib.parse import unquote

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest

from modelserver import __version__
from modelserver.codec import v2_json
from modelserver.dataplane import DataPlane
from modelserver.errors import InvalidRequest, NotFound, NotReady, ServerError, TooLarge
from modelserver.front.status import Health, Receive, Scope, Send, StatusApp, respond, respond_error
from modelserver.tensors import Call, Request, Spec, parse_version

LOG = logging.getLogger(__name__)
MAX_BODY_BYTES = 1 << 30
EXTENSIONS = ("binary_tensor_data",)
_ADVICE = {429: [("retry-after", "1")], 413: [("connection", "close")]}
"""Headers besides an error: a caller whose body is too big would go on sending it."""
_INFER = re.compile(rb"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer/?")


class RestApp:
    """Picks the hot route by its raw path and leaves the rest to FastAPI."""

    def __init__(self, plane: DataPlane, status: StatusApp, health: Health, timeout: float | None) -> None:
        self._plane = plane
        self._status = status
        self._health = health
        self._timeout = timeout
        self._cold = build_cold_app(plane)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        match = _INFER.fullmatch(scope["raw_path"].partition(b"?")[0])
        if match is not None:
            await self._infer(match, scope, receive, send)
        elif self._status.serves(scope["path"]):
            await self._status(scope, receive, send)
        else:
            await self._cold(scope, receive, send)  # type: ignore[arg-type]

    async def _infer(self, match: re.Match[bytes], scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await respond_error(send, 405, "infer answers POST only", ("allow", "POST"))
            return
        headers = [("connection", "close")] if self._health.draining else []
        try:
            body, json_length = await self._answer(match, scope, receive)
        except ServerError as error:
            headers += _ADVICE.get(error.http, [])
            await respond_error(send, error.http, str(error), *headers)
            return
        except asyncio.CancelledError:
            # Only the stopping server cancels a request: its time to finish is over.
            await respond_error(send, 503, "The server is stopping", ("connection", "close"))
            return
        except Exception:
            LOG.exception("a REST request failed in a way nobody foresaw")
            await respond_error(send, 500, "Internal error; the server's log tells more", *headers)
            return
        if json_length is None:
            await respond(send, 200, body, *headers)
        else:
            headers.append((v2_json.HEADER, str(json_length)))
            await respond(send, 200, body, *headers, media="application/octet-stream")

    async def _answer(
        self, match: re.Match[bytes], scope: Scope, receive: Receive
    ) -> tuple[bytes, int | None]:
        call = self._call(match, receive)
        headers = dict(scope["headers"])
        body = await read_body(headers, receive)
        decoded: list[v2_json.Decoded] = []

        def decode() -> Request:
            header = headers.get(v2_json.HEADER.encode())
            decoded.append(v2_json.decode(body, None if header is None else header.decode("latin-1")))
            return decoded[0].request

        return await self._plane.infer(call, decode, lambda response: v2_json.encode(response, decoded[0]))

    def _call(self, match: re.Match[bytes], receive: Receive) -> Call:
        name, version = match.groups()
        deadline = None if self._timeout is None else asyncio.get_running_loop().time() + self._timeout
        number = parse_version(None if version is None else version.decode("latin-1"))
        return Call(
            "REST", unquote(name.decode("latin-1")), number, deadline, partial(_disconnected, receive)
        )


async def read_body(headers: dict[bytes, bytes], receive: Receive) -> bytes:
    """The whole body, joined once; refused before it is read when it announces too much."""
    announced = headers.get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > MAX_BODY_BYTES:
        raise TooLarge(f"The request body is larger than {MAX_BODY_BYTES} bytes")
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidRequest("The connection was closed before the whole body had come")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY_BYTES:
            raise TooLarge(f"The request body is larger than {MAX_BODY_BYTES} bytes")
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def _disconnected(receive: Receive) -> None:
    """Returns when the connection is closed; after the body nothing else can come."""
    while (await receive())["type"] != "http.disconnect":
        pass


def build_cold_app(plane: DataPlane) -> FastAPI:
    """Metadata, model readiness, configuration: the routes that may cost a millisecond."""
    app = FastAPI(title="OpenVINO ModelServer", version=__version__, redirect_slashes=False)
    _add_error_handlers(app)

    @app.get("/v2")
    @app.get("/v2/", include_in_schema=False)
    async def server_metadata() -> dict[str, Any]:
        return {"name": "OpenVINO ModelServer", "version": __version__, "extensions": list(EXTENSIONS)}

    @app.get("/v1/config")
    @app.get("/v1/config/", include_in_schema=False)
    async def configuration() -> dict[str, Any]:
        return {
            name: {"model_version_status": _states(model)} for name, model in plane.registry.models.items()
        }

    @app.get("/v2/models/{rest:path}", summary="Metadata, and with /ready at the end readiness, of a model")
    async def model(request: HttpRequest, rest: str) -> JSONResponse:  # noqa: ARG001 - documents the path
        return _answer_model(plane, request.scope["raw_path"].decode("latin-1"))

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


_MODEL = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?(/ready)?/?")


def _answer_model(plane: DataPlane, raw_path: str) -> JSONResponse:
    """Names are percent-encoded, so they are cut out of the raw path before they are decoded."""
    match = _MODEL.fullmatch(raw_path.partition("?")[0])
    if match is None:
        raise NotFound(f"There is nothing at {unquote(raw_path)}")
    name, version, ready = match.groups()
    call = Call("REST", unquote(name), parse_version(version))
    if not ready:
        return JSONResponse(_metadata(plane, call))
    if not plane.is_model_ready(call):
        raise NotReady("Model with requested version is not loaded yet")
    return JSONResponse({"name": call.model, "ready": True})


def _metadata(plane: DataPlane, call: Call) -> dict[str, Any]:
    version, served = plane.metadata(call)
    loaded = version.serving
    return {
        "name": version.model,
        "versions": [str(number) for number in served],
        "platform": "OpenVINO",
        "inputs": [_described(spec) for spec in loaded.inputs],
        "outputs": [_described(spec) for spec in loaded.outputs],
    }


def _described(spec: Spec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


def _states(model: Any) -> list[dict[str, Any]]:
    return [
        {
            "version": str(number),
            "state": version.state,
            "status": {
                "error_code": "UNKNOWN" if version.error else "OK",
                "error_message": version.error or "OK",
            },
        }
        for number, version in sorted(model.versions.items())
    ]
