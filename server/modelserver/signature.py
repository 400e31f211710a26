"""What a model takes and gives, and how a request fits it: names, datatypes, ranks and sizes.

Codecs compare a request with the signature before they decode its data: what cannot be used costs nothing.
The messages are OpenVINO Model Server's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from numpy.typing import NDArray

from modelserver.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Spec:
    """What a model says about one of its inputs or outputs."""

    name: str
    aliases: frozenset[str]
    datatype: str
    dims: tuple[tuple[int, int], ...]
    """Least and greatest size per dimension; a greatest of -1 is unbounded."""
    layout: str
    fixed: tuple[int, ...] | None = field(init=False)
    """The one shape that fits; None where a size is free."""

    def __post_init__(self) -> None:
        """Looked at for every request, so worked out once."""
        sizes = tuple(low for low, high in self.dims if low == high)
        object.__setattr__(self, "fixed", sizes if len(sizes) == len(self.dims) else None)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape as the protocol tells it: -1 where the size is not fixed."""
        return tuple(low if low == high else -1 for low, high in self.dims)

    @property
    def bounds(self) -> tuple[str, ...]:
        """The shape as messages tell it: 4:16 where a size may be any of these."""
        return tuple(
            str(low) if low == high else f"{low}:{high}" if high >= 0 else "-1" for low, high in self.dims
        )

    def admits(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape fits."""
        if self.fixed is not None or len(shape) != len(self.dims):
            return shape == self.fixed
        return all(
            low <= n and (high < 0 or n <= high) for n, (low, high) in zip(shape, self.dims, strict=True)
        )

    def takes_images(self, datatype: str) -> bool:
        """Whether encoded images may be sent for this input: byte strings where pixels are expected."""
        return datatype == "BYTES" and self.datatype != "BYTES" and len(self.dims) == 4

    def require(self, datatype: str, shape: tuple[int, ...]) -> None:
        """Raises InvalidRequest unless such a tensor may be sent for this input."""
        if datatype == self.datatype:
            self.require_shape(shape)
        elif not self.takes_images(datatype):
            raise InvalidRequest(
                f"Invalid input precision - Expected: {self.datatype}; Actual: {datatype};"
                f" input name: {self.name}"
            )

    def require_shape(self, shape: tuple[int, ...]) -> None:
        """Raises InvalidRequest unless an array of this shape fits."""
        if not self.admits(shape):
            raise InvalidRequest(_shape_message(self, shape))


class Output(NamedTuple):
    """An output as a request wants it."""

    place: int
    """Among the model's outputs."""
    name: str
    datatype: str


@dataclass(slots=True)
class Request:
    """One inference as every codec decodes it: what was sent, in the model's own order."""

    arrays: list[NDArray[Any]]
    """One for each input of the model, over the memory it arrived in; images are byte strings still."""
    outputs: Sequence[Output]
    """The outputs wanted, in this order."""


@dataclass(frozen=True, slots=True)
class Signature:
    """All inputs and outputs of a model."""

    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    every_output: tuple[Output, ...] = field(init=False)
    """What most requests want."""
    image_inputs: tuple[int, ...] = field(init=False)
    """The places of inputs for which images may be sent."""

    def __post_init__(self) -> None:
        """Needed for every request, so worked out once."""
        images = tuple(place for place, spec in enumerate(self.inputs) if spec.takes_images("BYTES"))
        object.__setattr__(self, "image_inputs", images)
        every = tuple(Output(place, spec.name, spec.datatype) for place, spec in enumerate(self.outputs))
        object.__setattr__(self, "every_output", every)

    def places(self, names: Sequence[str]) -> Sequence[int]:
        """For each tensor of a request, by its name, its place among the model's inputs."""
        if len(names) != len(self.inputs):
            raise InvalidRequest(
                f"Invalid number of inputs - Expected: {len(self.inputs)}; Actual: {len(names)}"
            )
        if len(names) == 1 and names[0] in self.inputs[0].aliases:
            return (0,)
        sent = {name: number for number, name in enumerate(names)}
        places = [0] * len(names)
        for place, spec in enumerate(self.inputs):
            places[_sent_for(spec, sent)] = place
        return places

    def wanted(self, names: Sequence[str]) -> Sequence[Output]:
        """The outputs of these names in their order.

        Each at most once, under whichever of its names: an answer is never bigger than all outputs together.
        """
        wanted: dict[int, Output] = {}
        for name in names:
            place = next((place for place, spec in enumerate(self.outputs) if name in spec.aliases), None)
            if place is None:
                known = ", ".join(spec.name for spec in self.outputs)
                raise InvalidRequest(f"Unknown output {name}; the model has: {known}")
            if place in wanted:
                raise InvalidRequest(f"Output {name} is named twice")
            wanted[place] = Output(place, name, self.outputs[place].datatype)
        return tuple(wanted.values())

    def differing_batches(self, arrays: Sequence[NDArray[Any]]) -> str | None:
        """The batch sizes of the inputs whose batch is free, where they differ.

        Some models take that; only an inference can tell.
        """
        sizes = {
            spec.name: array.shape[0]
            for spec, array in zip(self.inputs, arrays, strict=True)
            if spec.dims and spec.shape[0] < 0
        }
        if len(set(sizes.values())) < 2:
            return None
        return ", ".join(f"{name} {size}" for name, size in sizes.items())


def in_order(arrays: list[NDArray[Any]], places: Sequence[int]) -> list[NDArray[Any]]:
    """The arrays of a request's tensors, whose `places` are these, in the order of the model's inputs."""
    ordered = list(arrays)
    for array, place in zip(arrays, places, strict=True):
        ordered[place] = array
    return ordered


def _sent_for(spec: Spec, sent: dict[str, int]) -> int:
    for name in spec.aliases:
        if name in sent:
            return sent[name]
    raise InvalidRequest(
        f"Missing input with specific name - Required input: {spec.name}; got: {', '.join(sorted(sent))}"
    )


def _shape_message(spec: Spec, shape: tuple[int, ...]) -> str:
    expected, actual = _in_brackets(spec.bounds), _in_brackets(shape)
    if len(shape) != len(spec.dims):
        what = "number of shape dimensions"
    elif shape and spec.shape[0] != shape[0] and spec.admits((spec.dims[0][0], *shape[1:])):
        what, expected, actual = "input batch size", spec.bounds[0], str(shape[0])
    else:
        what = "input shape"
    return f"Invalid {what} - Expected: {expected}; Actual: {actual}; input name: {spec.name}"


def _in_brackets(sizes: Sequence[int | str]) -> str:
    return "(" + ",".join(str(size) for size in sizes) + ")"
