"""KServe v2 over gRPC, with grpc.health.v1 and reflection; bytes in, bytes out on the hot route."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from modelserver import __version__, proto
from modelserver.codec import v2_proto
from modelserver.dataplane import DataPlane
from modelserver.errors import ServerError
from modelserver.front.listen import BindFailed
from modelserver.front.status import Health
from modelserver.tensors import Call, Spec

LOG = logging.getLogger(__name__)
MAX_MESSAGE_BYTES = 1 << 30
Context = Any
"""grpc.aio.ServicerContext; grpc ships no types."""


class RpcServer:
    """The gRPC front."""

    def __init__(self, plane: DataPlane, health: Health, timeout: float | None) -> None:
        self._plane = plane
        self._health = health
        self._timeout = timeout
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
        health_pb2_grpc.add_HealthServicer_to_server(HealthServicer(self._plane, self._health), server)
        names = (proto.SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        _add_reflection(server, names)
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
        call = Call("gRPC", head.model_name, v2_proto.version_of(head.model_version), self._deadline(context))
        return await self._plane.infer(
            call, lambda: v2_proto.decode(parsed), lambda response: v2_proto.encode(response, head.id)
        )

    def _deadline(self, context: Context) -> float | None:
        """The earlier of the caller's deadline and the server's own limit."""
        limits = [limit for limit in (context.time_remaining(), self._timeout) if limit is not None]
        return asyncio.get_running_loop().time() + min(limits) if limits else None

    async def _stream_infer(self, messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
        """One answer per request, in their order; an error ends only its own request."""
        async for message in messages:
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
        call = Call("gRPC", request.name, v2_proto.version_of(request.version))
        return proto.ModelReadyResponse(ready=self._plane.is_model_ready(call))

    async def _model_metadata(self, request: Any, _context: Context) -> Any:
        call = Call("gRPC", request.name, v2_proto.version_of(request.version))
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


def _add_reflection(server: grpc.aio.Server, names: tuple[str, ...]) -> None:
    """Our messages live in a pool of their own; the health service's file joins it."""
    if health_pb2.DESCRIPTOR.name not in _known_files():
        proto.POOL.AddSerializedFile(health_pb2.DESCRIPTOR.serialized_pb)
    reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), server, proto.POOL)


def _known_files() -> set[str]:
    try:
        return {proto.POOL.FindFileByName(health_pb2.DESCRIPTOR.name).name}
    except KeyError:
        return set()


class HealthServicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """grpc.health.v1: the empty name is the server, any other a model."""

    def __init__(self, plane: DataPlane, health: Health) -> None:
        self._plane = plane
        self._health = health

    async def Check(self, request: Any, context: Context) -> Any:  # noqa: N802 - gRPC's name
        """Now."""
        status = self._look(request.service)
        if status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"{request.service} is no model of this server")
        return health_pb2.HealthCheckResponse(status=status)

    async def Watch(self, request: Any, _context: Context) -> AsyncIterator[Any]:  # noqa: N802 - gRPC's name
        """Now, and whenever it changes."""
        told = None
        while True:
            status = self._look(request.service)
            if status != told:
                told = status
                yield health_pb2.HealthCheckResponse(status=status)
            await asyncio.sleep(0.2)

    def _look(self, service: str) -> int:
        states = health_pb2.HealthCheckResponse
        if service in ("", proto.SERVICE):
            return int(states.SERVING if self._health.is_ready() else states.NOT_SERVING)
        model = self._plane.registry.models.get(service)
        if model is None:
            return int(states.SERVICE_UNKNOWN)
        return int(states.SERVING if model.available else states.NOT_SERVING)
