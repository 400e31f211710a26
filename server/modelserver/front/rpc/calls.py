"""What every gRPC method has in common: deadlines, and errors as status codes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from modelserver.errors import InvalidRequest, ServerError
from modelserver.front.traffic import Traffic

LOG = logging.getLogger(__name__)
Context = Any
"""grpc.aio.ServicerContext; grpc ships no types."""


def deadline(context: Context, timeout: float | None) -> float | None:
    """The earlier of the caller's deadline and the server's own limit, on the loop's clock."""
    remaining: float | None = context.time_remaining()
    if remaining is None or (timeout is not None and timeout < remaining):
        remaining = timeout
    return None if remaining is None else asyncio.get_running_loop().time() + remaining


def telling_errors(handler: grpc.RpcMethodHandler, traffic: Traffic) -> grpc.RpcMethodHandler:
    """Errors become status codes, and answers are counted, here alone; streams do both themselves."""
    method = handler.unary_unary
    if method is None:
        return handler

    async def answered(request: bytes, context: Context) -> bytes:
        try:
            answer: bytes = await method(request, context)
        except ServerError as error:
            code, message = error.grpc, str(error)
        except asyncio.CancelledError:
            traffic.answered("CANCELLED")
            raise
        except Exception:
            LOG.exception("unexpected error in a gRPC request")
            code, message = "INTERNAL", "Internal error; the server's log tells more"
        else:
            traffic.answered("OK")
            return answer
        traffic.answered(code)
        await context.abort(grpc.StatusCode[code], message)
        raise AssertionError  # abort raises

    return grpc.unary_unary_rpc_method_handler(answered)


def unary(method: Callable[..., Awaitable[Any]], request: Any = None) -> grpc.RpcMethodHandler:
    """A method with messages, or with bytes where no message is named."""
    if request is None:
        return grpc.unary_unary_rpc_method_handler(method)

    async def parsed(raw: bytes, context: Context) -> bytes:
        try:
            message = request.FromString(raw)
        except DecodeError as error:
            raise InvalidRequest(f"not a valid {request.DESCRIPTOR.name} message") from error
        answer: bytes = (await method(message, context)).SerializeToString()
        return answer

    return grpc.unary_unary_rpc_method_handler(parsed)
