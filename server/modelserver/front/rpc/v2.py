"""KServe v2 over gRPC with Triton's extensions; bytes in, bytes out on the hot route."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from typing import Any

import grpc
from google.protobuf.json_format import ParseDict

from modelserver import __version__, proto
from modelserver.codec import v2_proto
from modelserver.dataplane.backend import EXTENSIONS, Backend
from modelserver.errors import ServerError
from modelserver.front.documents.triton import configuration, refuse_overrides, refuse_repository, statistics
from modelserver.front.rpc.calls import Context, deadline, unary
from modelserver.front.rpc.health import Stopping
from modelserver.front.traffic import Traffic
from modelserver.signature import Spec
from modelserver.telemetry.labels import Interface, Method
from modelserver.tensors import Call, parse_version


class V2Service:
    """inference.GRPCInferenceService."""

    def __init__(self, backend: Backend, stopping: Stopping, traffic: Traffic) -> None:
        self._plane = backend.plane
        self._control = backend.control
        self._health = backend.health
        self._limits = backend.limits
        self._stopping = stopping
        self._traffic = traffic

    def handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        """All methods by name."""
        plain: dict[str, tuple[Callable[..., Awaitable[Any]], Any]] = {
            "ServerLive": (self._server_live, proto.ServerLiveRequest),
            "ServerReady": (self._server_ready, proto.ServerReadyRequest),
            "ServerMetadata": (self._server_metadata, proto.ServerMetadataRequest),
            "ModelReady": (self._model_ready, proto.ModelReadyRequest),
            "ModelMetadata": (self._model_metadata, proto.ModelMetadataRequest),
            "ModelConfig": (self._config, proto.ModelConfigRequest),
            "ModelStatistics": (self._statistics, proto.ModelStatisticsRequest),
            "RepositoryIndex": (self._index, proto.RepositoryIndexRequest),
            "RepositoryModelLoad": (self._load, proto.RepositoryModelLoadRequest),
            "RepositoryModelUnload": (self._unload, proto.RepositoryModelUnloadRequest),
        }
        handlers = {name: unary(method, request) for name, (method, request) in plain.items()}
        handlers["ModelInfer"] = unary(self._infer)
        handlers["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(
            self._stream_infer, response_serializer=lambda answer: answer.SerializeToString()
        )
        return handlers

    async def _infer(self, message: bytes, context: Context) -> bytes:
        parsed, size = v2_proto.parse(message), len(message)
        self._limits.hold(size)
        try:
            shortcut = self._plane.shortcut(parsed.head)
            response = None if shortcut is None else shortcut.run(parsed.raw)
            if shortcut is None or response is None:
                answer = await self._infer_parsed(parsed, context)
            else:
                answer = v2_proto.encode(response, parsed.request_id)
                shortcut.finish()
        finally:
            self._limits.release(size)
        self._traffic.inferred(size, len(answer))
        return answer

    async def _infer_parsed(self, parsed: v2_proto.Parsed, context: Context) -> bytes:
        head = parsed.head
        until = deadline(context, self._limits.now.request_timeout_seconds)
        with self._plane.enter(Call(Interface.GRPC, head.model, head.version, until)) as visit:
            request = v2_proto.decode(parsed, visit.signature)
            response = await visit.run(request)
            answer = v2_proto.encode(response, parsed.request_id)
        if head.is_shared and parsed.raw:
            visit.remember(head, head.names, request)
        return answer

    async def _stream_infer(self, messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
        """One answer per request, in their order; an error ends only its own request."""
        async for message in self._stopping.messages(messages, context):
            try:
                answer = proto.ModelInferResponse.FromString(await self._infer(message, context))
                self._traffic.answered("OK")
                yield proto.ModelStreamInferResponse(infer_response=answer)
            except ServerError as error:
                self._traffic.answered(error.grpc)
                yield proto.ModelStreamInferResponse(error_message=str(error))

    async def _server_live(self, _request: Any, _context: Context) -> Any:
        return proto.ServerLiveResponse(live=True)

    async def _server_ready(self, _request: Any, _context: Context) -> Any:
        return proto.ServerReadyResponse(ready=self._health.is_ready())

    async def _server_metadata(self, _request: Any, _context: Context) -> Any:
        return proto.ServerMetadataResponse(
            name="OpenVINO ModelServer", version=__version__, extensions=EXTENSIONS
        )

    async def _model_ready(self, request: Any, _context: Context) -> Any:
        call = Call(Interface.GRPC, request.name, parse_version(request.version), method=Method.MODEL_READY)
        return proto.ModelReadyResponse(ready=self._plane.is_model_ready(call))

    async def _model_metadata(self, request: Any, _context: Context) -> Any:
        call = Call(
            Interface.GRPC, request.name, parse_version(request.version), method=Method.MODEL_METADATA
        )
        version, served = self._plane.metadata(call)
        answer = proto.ModelMetadataResponse(
            name=version.model, versions=[str(number) for number in served], platform="OpenVINO"
        )
        _describe(answer.inputs, version.signature.inputs)
        _describe(answer.outputs, version.signature.outputs)
        return answer

    async def _config(self, request: Any, _context: Context) -> Any:
        version = self._plane.description(request.name, parse_version(request.version))
        document = {"config": configuration(version)}
        return ParseDict(document, proto.ModelConfigResponse())

    async def _statistics(self, request: Any, _context: Context) -> Any:
        document = statistics(self._plane.statistics(request.name, parse_version(request.version)))
        return ParseDict(document, proto.ModelStatisticsResponse())

    async def _index(self, request: Any, _context: Context) -> Any:
        refuse_repository(request.repository_name)
        entries = self._control.index(ready=request.ready)
        return proto.RepositoryIndexResponse(models=[asdict(entry) for entry in entries])

    async def _load(self, request: Any, _context: Context) -> Any:
        refuse_repository(request.repository_name)
        refuse_overrides(request.parameters)
        await self._control.load(request.model_name)
        return proto.RepositoryModelLoadResponse()

    async def _unload(self, request: Any, _context: Context) -> Any:
        refuse_repository(request.repository_name)
        await self._control.unload(request.model_name)
        return proto.RepositoryModelUnloadResponse()


def _describe(target: Any, specs: tuple[Spec, ...]) -> None:
    for spec in specs:
        target.add(name=spec.name, datatype=spec.datatype, shape=spec.shape)
