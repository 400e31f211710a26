"""What every gRPC method has in common: deadlines, and errors as status codes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from modelserver.errors import InvalidRequest, ServerError

LOG = logging.getLogger(__name__)
Context = Any
"""grpc.aio.ServicerContext; grpc ships no types."""


def deadline(context: Context, timeout: float | None) -> float | None:
    """The earlier of the caller's deadline and the server's own limit, on the loop's clock."""
    limits = [limit for limit in (context.time_remaining(), timeout) if limit is not None]
    return asyncio.get_running_loop().time() + min(limits) if limits else None


def telling_errors(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Errors become status codes here and nowhere else."""

    async def told(request: Any, context: Context) -> Any:
        try:
            return await method(request, context)
        except ServerError as error:
            await context.abort(grpc.StatusCode[error.grpc], str(error))
        except asyncio.CancelledError:
            raise
        except Exception:
            LOG.exception("a gRPC request failed in a way nobody foresaw")
            await context.abort(grpc.StatusCode.INTERNAL, "Internal error; the server's log tells more")

    return told


def unary(method: Callable[..., Awaitable[Any]], request: Any = None) -> grpc.RpcMethodHandler:
    """A method with messages, or with bytes where no message is named."""
    if request is None:
        return grpc.unary_unary_rpc_method_handler(telling_errors(method))

    async def parsed(raw: bytes, context: Context) -> Any:
        try:
            message = request.FromString(raw)
        except DecodeError as error:
            raise InvalidRequest(f"The message is no valid {request.DESCRIPTOR.name}") from error
        return await method(message, context)

    return grpc.unary_unary_rpc_method_handler(
        telling_errors(parsed), response_serializer=lambda answer: answer.SerializeToString()
    )
