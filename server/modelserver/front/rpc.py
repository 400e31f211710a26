"""KServe v2 over gRPC; bytes in, bytes out on the hot route."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from modelserver import __version__, proto
from modelserver.codec import v2_proto
from modelserver.dataplane import DataPlane
from modelserver.errors import ServerError
from modelserver.front.listen import BindFailed
from modelserver.front.services import Context, Stopping, add_services
from modelserver.front.status import Health
from modelserver.tensors import Call, Spec, parse_version

LOG = logging.getLogger(__name__)
MAX_MESSAGE_BYTES = 1 << 30


class RpcServer:
    """The gRPC front."""

    def __init__(self, plane: DataPlane, health: Health, timeout: float | None) -> None:
        self._plane = plane
        self._health = health
        self._timeout = timeout
        self._stopping = Stopping()
        self._server: grpc.aio.Server | None = None

    async def start(self, addresses: list[str], arguments: tuple[tuple[str, int | str], ...]) -> None:
        """Answer from now on; BindFailed when an address is taken."""
        options = (
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
            *arguments,
        )
        server = grpc.aio.server(options=options)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(proto.SERVICE, self._handlers()),)
        )
        add_services(server, self._plane, self._health, self._stopping)
        for address in addresses:
            try:
                server.add_insecure_port(address)
            except RuntimeError as error:
                raise BindFailed(
                    f"Cannot listen on {address} for gRPC: the address is in use or unknown"
                ) from error
        await server.start()
        self._server = server

    async def stop(self, grace: float) -> None:
        """Send GOAWAY, finish what is in flight, at most for `grace` seconds."""
        self._stopping.begin()
        if self._server is not None:
            await self._server.stop(grace)

    def _handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        plain: dict[str, tuple[Callable[..., Awaitable[Any]], Any]] = {
            "ServerLive": (self._server_live, proto.ServerLiveRequest),
            "ServerReady": (self._server_ready, proto.ServerReadyRequest),
            "ServerMetadata": (self._server_metadata, proto.ServerMetadataRequest),
            "ModelReady": (self._model_ready, proto.ModelReadyRequest),
            "ModelMetadata": (self._model_metadata, proto.ModelMetadataRequest),
        }
        handlers = {
            name: unary(
                _telling_errors(method), request.FromString, lambda answer: answer.SerializeToString()
            )
            for name, (method, request) in plain.items()
        }
        handlers["ModelInfer"] = unary(_telling_errors(self._infer))
        handlers["ModelStreamInfer"] = stream(
            self._stream_infer, response_serializer=lambda answer: answer.SerializeToString()
        )
        return handlers

    async def _infer(self, message: bytes, context: Context) -> bytes:
        parsed = v2_proto.parse(message)
        head = parsed.head
        call = Call("gRPC", head.model_name, parse_version(head.model_version), self._deadline(context))
        return await self._plane.infer(
            call, lambda: v2_proto.decode(parsed), lambda response: v2_proto.encode(response, head.id)
        )

    def _deadline(self, context: Context) -> float | None:
        """The earlier of the caller's deadline and the server's own limit."""
        limits = [limit for limit in (context.time_remaining(), self._timeout) if limit is not None]
        return asyncio.get_running_loop().time() + min(limits) if limits else None

    async def _stream_infer(self, messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
        """One answer per request, in their order; an error ends only its own request."""
        async for message in self._stopping.messages(messages, context):
            try:
                answer = proto.ModelInferResponse.FromString(await self._infer(message, context))
                yield proto.ModelStreamInferResponse(infer_response=answer)
            except ServerError as error:
                yield proto.ModelStreamInferResponse(error_message=str(error))

    async def _server_live(self, _request: Any, _context: Context) -> Any:
        return proto.ServerLiveResponse(live=True)

    async def _server_ready(self, _request: Any, _context: Context) -> Any:
        return proto.ServerReadyResponse(ready=self._health.is_ready())

    async def _server_metadata(self, _request: Any, _context: Context) -> Any:
        return proto.ServerMetadataResponse(name="OpenVINO ModelServer", version=__version__)

    async def _model_ready(self, request: Any, _context: Context) -> Any:
        call = Call("gRPC", request.name, parse_version(request.version))
        return proto.ModelReadyResponse(ready=self._plane.is_model_ready(call))

    async def _model_metadata(self, request: Any, _context: Context) -> Any:
        call = Call("gRPC", request.name, parse_version(request.version))
        version, served = self._plane.metadata(call)
        answer = proto.ModelMetadataResponse(
            name=version.model, versions=[str(number) for number in served], platform="OpenVINO"
        )
        _describe(answer.inputs, version.serving.inputs)
        _describe(answer.outputs, version.serving.outputs)
        return answer


def _describe(target: Any, specs: tuple[Spec, ...]) -> None:
    for spec in specs:
        target.add(name=spec.name, datatype=spec.datatype, shape=spec.shape)


def _telling_errors(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
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
