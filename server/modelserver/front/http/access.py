"""Follows REST requests for the access log and their request ids."""

from typing import Any

from modelserver.front.access_log import HEADER, Line
from modelserver.front.http.asgi import Receive, Scope, Send
from modelserver.telemetry.labels import Interface
from modelserver.telemetry.request_log import CURRENT

_HEADER = HEADER.encode()


class AccessApp:
    """Follows REST requests that bring an id, and every one when the log is on."""

    def __init__(self, app: Any, *, log: bool) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        given = next((value for name, value in scope.get("headers", ()) if name == _HEADER), None)
        if given is None and not self._log:
            await self._app(scope, receive, send)
            return
        what = f"{scope['method']} {scope['path']}"
        line = Line(Interface.REST, what, None if given is None else given.decode("latin-1"))
        token = CURRENT.set(line.request)
        try:
            await self._app(scope, _counting(receive, line), _telling(send, line))
        finally:
            CURRENT.reset(token)
            if self._log:
                line.write()


def _counting(receive: Receive, line: Line) -> Receive:
    async def counted() -> dict[str, Any]:
        message = await receive()
        line.bytes_in += len(message.get("body", b""))
        return message

    return counted


def _telling(send: Send, line: Line) -> Send:
    async def counted(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            line.status = str(message["status"])
            identity = (_HEADER, line.request.request_id.encode("latin-1", "replace"))
            message = {**message, "headers": [*message.get("headers", ()), identity]}
        line.bytes_out += len(message.get("body", b""))
        await send(message)

    return counted
