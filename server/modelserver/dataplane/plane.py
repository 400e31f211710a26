"""The only door to the models: infer, metadata, readiness; every protocol comes through here.

Tensors are checked against the model once, here, with OVMS's messages; metrics are taken once, here.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from numpy.typing import NDArray

from modelserver.dataplane.meters import Meters, Statistics
from modelserver.dataplane.shortcut import RawInput, Shortcut
from modelserver.engine import LoadedModel, Passage
from modelserver.errors import InvalidRequest, NotFound, NotReady, Overloaded, ServerError
from modelserver.models.catalogue import Catalogue
from modelserver.models.model import Version
from modelserver.telemetry import families, request_log
from modelserver.telemetry.labels import model_operation, of_interface
from modelserver.telemetry.metrics import Metrics
from modelserver.tensors import Call, Request, Response, Spec, Tensor

T = TypeVar("T")
Decode = Callable[[Sequence[Spec]], Request | Awaitable[Request]]
"""Gives the tensors of a request, now or later; sees the model's inputs, for encodings without datatypes."""
DecodeImages = Callable[[NDArray[Any], Spec], Awaitable[NDArray[Any]]]


class DataPlane:
    """Stands between fronts and engine; knows no protocol."""

    def __init__(self, catalogue: Catalogue, metrics: Metrics, decode_images: DecodeImages) -> None:
        self.catalogue = catalogue
        self.meters = Meters(metrics)
        self._metrics = metrics
        self._decode_images = decode_images

    async def infer(self, call: Call, decode: Decode, encode: Callable[[Response], T]) -> T:
        """One inference: `decode` gives the tensors, `encode` turns borrowed outputs into an answer."""
        started, changes = time.perf_counter(), self.catalogue.changes
        version = self._find(call)
        meter = self.meters.of(version, call)
        passage = Passage(call.deadline, call.gone)
        try:
            with version.serving as loaded:
                loaded.require_place()
                request = decode(loaded.inputs)
                if not isinstance(request, Request):
                    request = await request
                chosen, arrays = _chosen_outputs(request, loaded), []
                for tensor, spec in _paired(request, loaded):
                    fits = tensor.datatype == spec.datatype and tensor.data.shape == spec.fixed
                    arrays.append(tensor.data if fits else await self._input(tensor, spec))
                respond = partial(_respond, version, chosen)
                prepared = time.perf_counter()
                answer: T = await loaded.infer(arrays, partial(respond, encode), passage)
        except BaseException as error:
            meter.failed(started, shed=isinstance(error, Overloaded))
            raise
        meter.succeeded(started, prepared, passage)
        if call.memo is not None and (inputs := _short_inputs(request, loaded)):
            # Made of what was found at the start: if anything has changed since, it is closed at once.
            asked = (call.model, call.version)
            call.memo.shortcut = Shortcut(self.catalogue, changes, asked, loaded, meter, inputs, respond)
        return answer

    def require_place(self, call: Call) -> None:
        """Raises what `infer` would where no place is left or nothing served: no body needs to be read."""
        started = time.perf_counter()
        version = self._find(call)
        try:
            version.serving.require_place()
        except Overloaded:
            self.meters.of(version, call).failed(started, shed=True)
            raise

    async def _input(self, tensor: Tensor, spec: Spec) -> NDArray[Any]:
        """The array for an input: as it came, decoded from images, or refused."""
        if tensor.datatype == spec.datatype:
            data = tensor.data
        elif tensor.datatype == "BYTES" and len(spec.dims) == 4:
            data = await self._decode_images(tensor.data, spec)
        else:
            raise InvalidRequest(
                f"Invalid input precision - Expected: {spec.datatype}; Actual: {tensor.datatype};"
                f" input name: {spec.name}"
            )
        if not spec.admits(data.shape):
            raise InvalidRequest(_shape_message(spec, data.shape))
        return data

    def metadata(self, call: Call) -> tuple[Version, list[int]]:
        """The version asked for, and all numbers that are served."""
        version = self._find(call)
        self.meters.of(version, call).success.add()
        return version, self.catalogue.served(call.model)

    def is_model_ready(self, call: Call) -> bool:
        """Whether the model answers; raises NotFound when nobody knows it."""
        try:
            self.catalogue.find(call.model, call.version)
        except NotReady:
            self._count_ready(call, failed=True)
            return False
        except NotFound:
            self._count_unknown(call)
            raise
        self._count_ready(call)
        return True

    def statistics(self, name: str, number: int | None) -> list[Statistics]:
        """Of every served version; of one model or one version where they are named."""
        if name and number is not None:
            return [self.meters.statistics(self.catalogue.find(name, number))]
        if name:
            self.catalogue.find(name, None)
        models = [self.catalogue.models[name]] if name else self.catalogue.models.values()
        return [self.meters.statistics(model.versions[one]) for model in models for one in model.available]

    def states(self, call: Call) -> list[Version]:
        """The version asked for, or all of them, in whatever state; raises NotFound."""
        try:
            versions = self.catalogue.states(call.model, call.version)
        except NotFound:
            self._count_unknown(call)
            raise
        self._count_ready(call)
        return versions

    def _find(self, call: Call) -> Version:
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


def _paired(request: Request, loaded: LoadedModel) -> list[tuple[Tensor, Spec]]:
    """Each input of the model with the tensor sent for it, in the model's order."""
    given, specs = request.inputs, loaded.inputs
    if len(given) != len(specs):
        raise InvalidRequest(f"Invalid number of inputs - Expected: {len(specs)}; Actual: {len(given)}")
    if len(specs) == 1 and given[0].name in specs[0].aliases:
        return [(given[0], specs[0])]
    by_name = {tensor.name: tensor for tensor in given}
    return [(_named(spec, by_name), spec) for spec in specs]


def _short_inputs(request: Request, loaded: LoadedModel) -> tuple[RawInput, ...] | None:
    """How raw tensors like these become the model's inputs, if they may take the short way."""
    if not loaded.inline:
        return None
    pairs = _paired(request, loaded)
    if any(tensor.datatype != spec.datatype or spec.datatype == "BYTES" for tensor, spec in pairs):
        return None
    places = {tensor.name: place for place, tensor in enumerate(request.inputs)}
    return tuple(RawInput.like(places[tensor.name], tensor.data) for tensor, _ in pairs)


def _named(spec: Spec, by_name: dict[str, Tensor]) -> Tensor:
    for name in spec.aliases:
        if name in by_name:
            return by_name[name]
    raise InvalidRequest(
        f"Missing input with specific name - Required input: {spec.name}; got: {', '.join(sorted(by_name))}"
    )


def _respond(
    version: Version,
    chosen: list[tuple[int, str, str]],
    encode: Callable[[Response], T],
    outputs: list[NDArray[Any]],
) -> T:
    tensors = [Tensor(name, datatype, outputs[index]) for index, name, datatype in chosen]
    return encode(Response(version.model, version.number, tensors))


def _chosen_outputs(request: Request, loaded: LoadedModel) -> list[tuple[int, str, str]]:
    """Index, name and datatype of the outputs asked for in the order asked; all of them by default.

    Each at most once, under whichever of its names: an answer is never bigger than all outputs together.
    """
    if not request.outputs:
        return loaded.every_output
    chosen: dict[int, tuple[int, str, str]] = {}
    for name in request.outputs:
        index = next((index for index, spec in enumerate(loaded.outputs) if name in spec.aliases), None)
        if index is None:
            known = ", ".join(spec.name for spec in loaded.outputs)
            raise InvalidRequest(f"Unknown output {name}; the model has: {known}")
        if index in chosen:
            raise InvalidRequest(f"Output {name} is named twice")
        chosen[index] = index, name, loaded.outputs[index].datatype
    return list(chosen.values())


def _shape_message(spec: Spec, shape: tuple[int, ...]) -> str:
    expected, actual = _told(spec.bounds), _told(shape)
    if len(shape) != len(spec.dims):
        what = "number of shape dimensions"
    elif shape and spec.shape[0] != shape[0] and spec.admits((spec.dims[0][0], *shape[1:])):
        what, expected, actual = "input batch size", spec.bounds[0], str(shape[0])
    else:
        what = "input shape"
    return f"Invalid {what} - Expected: {expected}; Actual: {actual}; input name: {spec.name}"


def _told(shape: Sequence[int | str]) -> str:
    return "(" + ",".join(str(size) for size in shape) + ")"
