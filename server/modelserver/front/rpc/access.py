"""Follows gRPC calls for the access log; installed only when the log is on."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from modelserver.front.access_log import HEADER, Line
from modelserver.front.rpc.calls import Context
from modelserver.telemetry.labels import Interface
from modelserver.telemetry.request_log import CURRENT


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
        line = Line(Interface.GRPC, method, given if isinstance(given, str) else None)
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
    context.set_trailing_metadata(((HEADER, line.request.request_id),))
    return CURRENT.set(line.request)


def _end(context: Context, line: Line, token: Any) -> None:
    CURRENT.reset(token)
    code = context.code() or grpc.StatusCode.OK
    line.status = code.name if isinstance(code, grpc.StatusCode) else str(code)
    line.write()


def _size(message: Any) -> int:
    return len(message) if isinstance(message, bytes) else int(message.ByteSize())
