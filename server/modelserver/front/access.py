"""The access log and request ids: one line a request, written off the hot path, only where it is wanted."""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from modelserver.front.asgi import Receive, Scope, Send
from modelserver.front.calls import Context
from modelserver.journey import CURRENT, Journey, new_id

LOG = logging.getLogger("modelserver.access")
HEADER = "x-request-id"
_HEADER = HEADER.encode()
MAX_ID_LENGTH = 128


class Line:
    """What one request's line tells."""

    def __init__(self, interface: str, what: str, request_id: str | None) -> None:
        self.journey = Journey(_tidy(request_id) or new_id())
        self.status = ""
        self.bytes_in = self.bytes_out = 0
        self._interface, self._what = interface, what
        self._started = time.perf_counter()

    def write(self) -> None:
        """The request is through."""
        journey = self.journey
        told = {
            "interface": self._interface,
            "request": self._what,
            "status": self.status,
            "model": journey.model,
            "version": journey.version,
            "bytesIn": self.bytes_in,
            "bytesOut": self.bytes_out,
            "milliseconds": round((time.perf_counter() - self._started) * 1e3, 3),
        }
        extra = {"told": told, "request_id": journey.request_id}
        text = " ".join(
            f"{name}={value}" for name, value in list(told.items())[3:] if value not in ("", None)
        )
        LOG.info("%s %s %s %s", self._interface, self._what, self.status, text, extra=extra)


def _tidy(request_id: str | None) -> str | None:
    """An id goes into logs and answers: printable and short, or not at all."""
    return request_id[:MAX_ID_LENGTH] if request_id and request_id.isprintable() else None


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
        line = Line("REST", what, None if given is None else given.decode("latin-1"))
        token = CURRENT.set(line.journey)
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
    async def told(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            line.status = str(message["status"])
            identity = (_HEADER, line.journey.request_id.encode("latin-1", "replace"))
            message = {**message, "headers": [*message.get("headers", ()), identity]}
        line.bytes_out += len(message.get("body", b""))
        await send(message)

    return told


class AccessInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """The same for gRPC; installed only when the log is on."""

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        """The method's handler, followed."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        given = dict(handler_call_details.invocation_metadata or ()).get(HEADER)
        line = Line("gRPC", method, given if isinstance(given, str) else None)
        kinds = (handler.request_deserializer, handler.response_serializer)
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(_unary(handler.unary_unary, line), *kinds)
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(_stream(handler.stream_stream, line), *kinds)
        return grpc.unary_stream_rpc_method_handler(_stream(handler.unary_stream, line), *kinds)


def _unary(method: Callable[[Any, Context], Awaitable[Any]], line: Line) -> Callable[..., Awaitable[Any]]:
    async def followed(request: Any, context: Context) -> Any:
        token = _begin(context, line)
        line.bytes_in = _size(request)
        try:
            answer = await method(request, context)
            line.bytes_out = _size(answer)
            return answer
        finally:
            _end(context, line, token)

    return followed


def _stream(
    method: Callable[[Any, Context], AsyncIterator[Any]], line: Line
) -> Callable[..., AsyncIterator[Any]]:
    async def followed(request: Any, context: Context) -> AsyncIterator[Any]:
        token = _begin(context, line)
        try:
            async for answer in method(request, context):
                line.bytes_out += _size(answer)
                yield answer
        finally:
            _end(context, line, token)

    return followed


def _begin(context: Context, line: Line) -> Any:
    context.set_trailing_metadata(((HEADER, line.journey.request_id),))
    return CURRENT.set(line.journey)


def _end(context: Context, line: Line, token: Any) -> None:
    CURRENT.reset(token)
    code = context.code() or grpc.StatusCode.OK
    line.status = code.name if isinstance(code, grpc.StatusCode) else str(code)
    line.write()


def _size(message: Any) -> int:
    return len(message) if isinstance(message, bytes) else int(message.ByteSize())
