"""The only door to the models: infer, metadata, readiness; every protocol comes through here.

An inference goes one way. The front enters with a call, and in the visit that this begins the model is found,
the request placed and metered; the codec decodes for the model's signature; the visit runs the request; the
codec encodes the response where it lies in the engine's memory; the end of the visit gives everything back.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from numpy.typing import NDArray

from modelserver.dataplane.meters import Meters, Statistics
from modelserver.dataplane.shortcut import RawInput, Shortcut
from modelserver.engine import Lease, LoadedModel
from modelserver.errors import InferenceFailed, InvalidRequest, NotFound, NotReady, Overloaded, ServerError
from modelserver.models.catalogue import Catalogue
from modelserver.models.model import State, Version
from modelserver.models.recovery import Recovery
from modelserver.signature import Request, Signature, Spec
from modelserver.telemetry import families, request_log
from modelserver.telemetry.labels import model_operation, of_interface
from modelserver.telemetry.metrics import Metrics
from modelserver.tensors import Call, Response, Tensor


@dataclass(frozen=True)
class Described:
    """What clients may know of a version that answers."""

    model: str
    number: int
    signature: Signature
    info: Mapping[str, Any]
    """What its file says about the model."""


@dataclass(frozen=True)
class VersionState:
    """One version in whatever state."""

    number: int
    state: State
    error: str | None


VERSION_STATES = tuple(state.value for state in State)
DecodeImages = Callable[[NDArray[Any], Spec], Awaitable[NDArray[Any]]]
MAX_SHORTCUTS = 256


@dataclass(slots=True)
class Visit:
    """One inference, from the model's being found to the answer; a context manager."""

    plane: "DataPlane"
    call: Call
    signature: Signature = field(init=False)
    """The model's."""
    _version: Version = field(init=False)
    _loaded: LoadedModel = field(init=False)
    _changes: int = field(init=False)
    _started: float = field(init=False)
    _prepared: float = 0.0
    _lease: Lease | None = None

    def __enter__(self) -> Self:
        """Find the model; raises NotFound, NotReady or Overloaded."""
        plane, call = self.plane, self.call
        self._started, self._changes = time.perf_counter(), plane.catalogue.changes
        self._version = version = plane.find(call)
        self._loaded = loaded = version.serving
        self.signature = loaded.signature
        try:
            loaded.enter()
        except Overloaded:
            plane.meters.of(version, call).failed(self._started, shed=True)
            raise
        return self

    async def run(self, request: Request) -> Response:
        """The model's response, over the engine's memory: it has to be encoded before the visit ends.

        That of a model that runs inline has to be encoded before anything is waited for.
        """
        loaded, arrays, version = self._loaded, request.arrays, self._version
        if self.signature.image_inputs:
            arrays = await self.plane.without_images(arrays, self.signature)
        self._prepared = time.perf_counter()
        try:
            if loaded.inline:
                lease = loaded.infer_now(arrays)
            else:
                lease = await loaded.infer(arrays, self.call.deadline, self.call.gone)
        except InferenceFailed as error:
            lease = await self._again(arrays, error)
        self._lease, outputs = lease, lease.outputs
        tensors = [Tensor(name, datatype, outputs[place]) for place, name, datatype in request.outputs]
        return Response(version.model, version.number, tensors)

    async def _again(self, arrays: list[NDArray[Any]], error: InferenceFailed) -> Lease:
        """Once more, if another caller's request may have been at fault and the version answers again.

        It may if that one is being judged, or if these shapes were right before. A failure on the loop leaves
        nothing behind. Raises InvalidRequest or InferenceFailed when this request is wrong, NotReady when the
        version is broken.
        """
        loaded, version, recovery = self._loaded, self._version, self.plane.recovery
        may_be_right = loaded.has_answered(arrays) or recovery.is_suspect(version, loaded)
        sizes = self.signature.differing_batches(arrays)
        if sizes is not None and not loaded.has_answered(arrays):
            await recovery.suspect(version, loaded)  # the next caller meets a checked version
            raise InvalidRequest(f"The inputs have different batch sizes ({sizes}). {error}") from error
        await recovery.judge(version, loaded)
        if loaded.inline or not may_be_right:
            raise error
        try:
            return await loaded.infer(arrays, self.call.deadline, self.call.gone)
        except InferenceFailed:
            await recovery.judge(version, loaded)
            raise

    def remember(self, head: object, names: Sequence[str], request: Request) -> None:
        """Requests with this very head will take the short way, where there is one.

        `names` are those of the tensors that came raw, in the request's order.
        """
        if self.plane.shortcut(head) is not None or not self._loaded.inline:
            return
        if any(array.dtype.hasobject for array in request.arrays):
            return
        places = list(self.signature.places(names))
        inputs = [RawInput.like(places.index(place), array) for place, array in enumerate(request.arrays)]
        meter = self.plane.meters.of(self._version, self.call)
        shortcut = Shortcut(self.call, self._version, self._loaded, meter, tuple(inputs), request.outputs)
        self.plane.remember(head, shortcut, self._changes)

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Give back what was taken, and count."""
        self._loaded.leave(self._lease)
        meter = self.plane.meters.of(self._version, self.call)
        if error is None and self._lease is not None:
            meter.succeeded(self._started, self._prepared, self._lease)
        else:
            meter.failed(self._started, shed=isinstance(error, Overloaded))


class DataPlane:
    """Stands between fronts and engine; knows no protocol."""

    def __init__(
        self, catalogue: Catalogue, recovery: Recovery, metrics: Metrics, decode_images: DecodeImages
    ) -> None:
        self.catalogue = catalogue
        self.recovery = recovery
        self.meters = Meters(metrics)
        self._metrics = metrics
        self._decode_images = decode_images
        self._shortcuts: dict[object, Shortcut] = {}
        self._known = catalogue.changes
        """The catalogue's changes when the shortcuts were made."""

    def enter(self, call: Call) -> Visit:
        """Begin one inference."""
        return Visit(self, call)

    def shortcut(self, head: object) -> Shortcut | None:
        """The short way for requests with this very head, if there is one."""
        if self._known != self.catalogue.changes:
            self._shortcuts.clear()
            self._known = self.catalogue.changes
        return self._shortcuts.get(head)

    def remember(self, head: object, shortcut: Shortcut, changes: int) -> None:
        """From now on; not if anything has changed since the model was found."""
        if changes != self.catalogue.changes:
            return
        if len(self._shortcuts) >= MAX_SHORTCUTS:
            self._shortcuts.clear()
        self._shortcuts[head] = shortcut

    async def without_images(self, arrays: list[NDArray[Any]], signature: Signature) -> list[NDArray[Any]]:
        """Pixels where encoded images were sent."""
        decoded = list(arrays)
        for place in signature.image_inputs:
            spec = signature.inputs[place]
            if arrays[place].dtype.hasobject:
                decoded[place] = await self._decode_images(arrays[place], spec)
                spec.require_shape(decoded[place].shape)
        return decoded

    def require_place(self, call: Call) -> None:
        """Raises what `infer` would where no place is left or nothing served: no body needs to be read."""
        started = time.perf_counter()
        version = self.find(call)
        try:
            version.serving.require_place()
        except Overloaded:
            self.meters.of(version, call).failed(started, shed=True)
            raise

    def metadata(self, call: Call) -> tuple[Described, list[int]]:
        """The version asked for, and all numbers that are served."""
        version = self.find(call)
        self.meters.of(version, call).success.add()
        return _described(version), self.catalogue.served(call.model)

    def description(self, name: str, number: int | None) -> Described:
        """The version asked for; not counted."""
        return _described(self.catalogue.find(name, number))

    def is_served(self, name: str) -> bool | None:
        """Whether any version of a model answers; None for unknown models. Not counted."""
        model = self.catalogue.models.get(name)
        if model is None:
            return None
        return model.newest is not None and model.newest.fault is None

    def is_model_ready(self, call: Call) -> bool:
        """Whether the model answers, and is trusted to; raises NotFound when nobody knows it."""
        try:
            is_ready = self.catalogue.find(call.model, call.version).fault is None
        except NotReady:
            is_ready = False
        except NotFound:
            self._count_unknown(call)
            raise
        self._count_ready(call, failed=not is_ready)
        return is_ready

    def statistics(self, name: str, number: int | None) -> list[Statistics]:
        """Of every served version; of one model or one version where they are named."""
        if name and number is not None:
            return [self.meters.statistics(self.catalogue.find(name, number))]
        if name:
            self.catalogue.find(name, None)
        models = [self.catalogue.models[name]] if name else self.catalogue.models.values()
        return [self.meters.statistics(model.versions[one]) for model in models for one in model.available]

    def all_states(self) -> dict[str, list[VersionState]]:
        """Every version of every model."""
        return {name: _states(self.catalogue.states(name, None)) for name in self.catalogue.models}

    def states(self, call: Call) -> list[VersionState]:
        """The version asked for, or all of them, in whatever state; raises NotFound."""
        try:
            versions = self.catalogue.states(call.model, call.version)
        except NotFound:
            self._count_unknown(call)
            raise
        self._count_ready(call)
        return _states(versions)

    def find(self, call: Call) -> Version:
        """The version asked for; raises NotFound or NotReady, and counts that."""
        request_log.note(call.model, call.version)
        try:
            return self.catalogue.find(call.model, call.version)
        except ServerError:
            self._count_unknown(call)
            model = self.catalogue.models.get(call.model)
            if model is not None and call.version in model.versions:
                self.meters.of(model.versions[call.version], call).fail.add()
            raise

    def _count_unknown(self, call: Call) -> None:
        self._metrics.counter(families.REQUESTS_UNKNOWN_MODEL, of_interface(call.interface)).add()

    def _count_ready(self, call: Call, *, failed: bool = False) -> None:
        family = families.REQUESTS_FAIL if failed else families.REQUESTS_SUCCESS
        labels = model_operation(call.api, call.interface, call.method, call.model)
        self._metrics.counter(family, labels).add()


def _described(version: Version) -> Described:
    loaded = version.serving
    return Described(version.model, version.number, loaded.signature, loaded.info)


def _states(versions: Iterable[Version]) -> list[VersionState]:
    return [VersionState(version.number, version.state, version.trouble) for version in versions]
