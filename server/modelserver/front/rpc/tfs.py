"""TensorFlow Serving over gRPC; bytes in, bytes out on the hot route."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.json_format import ParseDict

from modelserver.codec import tfs_proto
from modelserver.codec.tfs_types import DATATYPES, SIGNATURE
from modelserver.dataplane.backend import Backend
from modelserver.dataplane.plane import DataPlane
from modelserver.errors import InvalidRequest, Unsupported
from modelserver.front.documents.tfs import statuses
from modelserver.front.rpc.calls import Context, deadline, unary
from modelserver.front.traffic import Traffic
from modelserver.proto import tfs
from modelserver.signature import Spec
from modelserver.telemetry.labels import API, Interface, Method
from modelserver.tensors import Call

Reload = Callable[[], Awaitable[object]]


class PredictionService:
    """tensorflow.serving.PredictionService."""

    def __init__(self, backend: Backend, traffic: Traffic) -> None:
        self._plane = backend.plane
        self._limits = backend.limits
        self._traffic = traffic

    def handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        """All methods by name."""
        handlers = {name: unary(_refuse) for name in ("Classify", "Regress", "MultiInference")}
        handlers["Predict"] = unary(self._predict)
        handlers["GetModelMetadata"] = unary(self._metadata, tfs.GetModelMetadataRequest)
        return handlers

    async def _predict(self, message: bytes, context: Context) -> bytes:
        parsed = tfs_proto.parse(message)
        call = _call(parsed.head, Method.PREDICT, deadline(context, self._limits.now.request_timeout_seconds))
        self._limits.hold(len(message))
        try:
            with self._plane.enter(call) as visit:
                response = await visit.run(tfs_proto.decode(parsed, visit.signature))
                answer = tfs_proto.encode(response)
        finally:
            self._limits.release(len(message))
        self._traffic.inferred(len(message), len(answer))
        return answer

    async def _metadata(self, request: Any, _context: Context) -> Any:
        call = _call(request, Method.GET_MODEL_METADATA)
        if list(request.metadata_field) != ["signature_def"]:
            raise InvalidRequest('Invalid signature name: metadata_field must be exactly ["signature_def"]')
        version, _ = self._plane.metadata(call)
        signatures = tfs.SignatureDefMap()
        signature = signatures.signature_def[SIGNATURE]
        _describe(signature.inputs, version.signature.inputs)
        _describe(signature.outputs, version.signature.outputs)
        answer = tfs.GetModelMetadataResponse()
        answer.model_spec.name = version.model
        answer.model_spec.version.value = version.number
        answer.metadata["signature_def"].Pack(signatures)
        return answer


class ModelService:
    """tensorflow.serving.ModelService."""

    def __init__(self, plane: DataPlane, reload: Reload) -> None:
        self._plane = plane
        self._reload = reload

    def handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        """All methods by name."""
        return {
            "GetModelStatus": unary(self._status, tfs.GetModelStatusRequest),
            "HandleReloadConfigRequest": unary(self._reload_config, tfs.ReloadConfigRequest),
        }

    async def _status(self, request: Any, _context: Context) -> Any:
        states = statuses(self._plane.states(_call(request, Method.GET_MODEL_STATUS)))
        return ParseDict({"model_version_status": states}, tfs.GetModelStatusResponse())

    async def _reload_config(self, _request: Any, _context: Context) -> Any:
        """The request's own configuration is not looked at, as in OVMS: config.json is the only one."""
        await self._reload()
        answer = tfs.ReloadConfigResponse()
        answer.status.error_code = "OK"
        return answer


async def _refuse(_message: bytes, _context: Context) -> bytes:
    raise Unsupported(
        "Classify, Regress and MultiInference are not offered, they need tf.Example records: use Predict"
    )


def _call(request: Any, method: Method, until: float | None = None) -> Call:
    """Whom a model_spec asks for; version 0 is the default one, which clients send."""
    if not request.HasField("model_spec"):
        raise InvalidRequest("model_spec missing in request")
    spec = request.model_spec
    if spec.version_label:
        raise InvalidRequest("Version labels are not supported: set model_spec.version, or leave it out")
    if spec.version.value < 0:
        raise InvalidRequest(f"invalid model version format in request: {spec.version.value}")
    if spec.signature_name not in ("", SIGNATURE):
        raise InvalidRequest(f"Invalid signature name: {spec.signature_name!r}; the only one is {SIGNATURE}")
    number = spec.version.value or None
    return Call(Interface.GRPC, spec.name, number, until, api=API.TFS, method=method)


def _describe(target: Any, specs: tuple[Spec, ...]) -> None:
    for spec in specs:
        info = target[spec.name]
        info.name, info.dtype = spec.name, tfs.DATA_TYPES[DATATYPES[spec.datatype][0]].number
        for size in spec.shape:
            info.tensor_shape.dim.add(size=size)
        info.tensor_shape.SetInParent()
