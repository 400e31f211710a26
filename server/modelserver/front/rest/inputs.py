"""What handlers of the HTTP table ask for, as dependencies of FastAPI; and how a path names a model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple
from urllib.parse import unquote

import orjson
from fastapi import Depends
from starlette.requests import Request as HttpRequest

from modelserver.admission import Held
from modelserver.codec.json_text import explain
from modelserver.dataplane.backend import Backend
from modelserver.dataplane.control import Control
from modelserver.dataplane.plane import DataPlane
from modelserver.dataplane.status import Health
from modelserver.errors import InvalidRequest
from modelserver.front.http.body import read_body
from modelserver.front.http.headers import announced, combined
from modelserver.telemetry.heartbeat import Heartbeat
from modelserver.tensors import parse_version


class Address(NamedTuple):
    """The model, and the version where one is named."""

    model: str
    version: int | None


def address(
    parts: Mapping[str, str | None], version: Callable[[str | None], int | None] = parse_version
) -> Address:
    """Of a path's parts, which are still percent-encoded: a slash in a name is none of the path's."""
    return Address(unquote(parts["model"] or ""), version(parts.get("version")))


def newest_or(text: str | None) -> int | None:
    """The version that a path of TensorFlow Serving names; its clients send 0 for the newest one."""
    return parse_version(text) or None


@dataclass(frozen=True)
class Monitor:
    """What the status routes answer from."""

    health: Health
    heartbeat: Heartbeat | None = None
    """The main loop's, where another loop answers: that proves only itself alive."""


async def _backend(request: HttpRequest) -> Backend:
    backend: Backend = request.app.state.backend
    return backend


async def _monitor(request: HttpRequest) -> Monitor:
    monitor: Monitor = request.app.state.monitor
    return monitor


async def _plane(backend: Annotated[Backend, Depends(_backend)]) -> DataPlane:
    return backend.plane


async def _control(backend: Annotated[Backend, Depends(_backend)]) -> Control:
    return backend.control


async def _address(request: HttpRequest) -> Address:
    return address(request.path_params)


async def _tfs_address(request: HttpRequest) -> Address:
    return address(request.path_params, newest_or)


async def _json_object(
    request: HttpRequest, backend: Annotated[Backend, Depends(_backend)]
) -> dict[str, Any]:
    headers, receive = combined(request.scope["headers"]), request.receive
    with Held(backend.limits) as held:
        held.announce(announced(headers).size)
        body = await read_body(headers, receive, held, backend.threads.unpack)  # type: ignore[arg-type]
        if not body.strip():
            return {}
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise InvalidRequest(f"The body is not valid JSON: {explain(body, error)}") from error
        if not isinstance(document, dict):
            raise InvalidRequest("Request body should be JSON object")
        return document


Plane = Annotated[DataPlane, Depends(_plane)]
Management = Annotated[Control, Depends(_control)]
Monitored = Annotated[Monitor, Depends(_monitor)]
Asked = Annotated[Address, Depends(_address)]
AskedOfTfs = Annotated[Address, Depends(_tfs_address)]
JsonObject = Annotated[dict[str, Any], Depends(_json_object)]
"""The body; nothing at all is an empty one."""
