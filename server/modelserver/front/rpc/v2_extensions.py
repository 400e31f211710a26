"""Triton's extensions over gRPC: model repository, statistics, model configurations."""

from dataclasses import asdict
from typing import Any

import grpc
from google.protobuf.json_format import ParseDict

from modelserver import proto
from modelserver.dataplane.backend import Backend
from modelserver.front.documents.triton import configuration, refuse_overrides, refuse_repository, statistics
from modelserver.front.rpc.calls import Context, unary
from modelserver.tensors import parse_version


class Extensions:
    """Methods of inference.GRPCInferenceService that the protocol leaves optional."""

    def __init__(self, backend: Backend) -> None:
        self._plane = backend.plane
        self._control = backend.control

    def handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        """All methods by name."""
        return {
            "ModelConfig": unary(self._config, proto.ModelConfigRequest),
            "ModelStatistics": unary(self._statistics, proto.ModelStatisticsRequest),
            "RepositoryIndex": unary(self._index, proto.RepositoryIndexRequest),
            "RepositoryModelLoad": unary(self._load, proto.RepositoryModelLoadRequest),
            "RepositoryModelUnload": unary(self._unload, proto.RepositoryModelUnloadRequest),
        }

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
