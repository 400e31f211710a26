"""KServe v2's raw request: the body is the one tensor's bytes, and no JSON says what they are.

Triton's binary_tensor_data extension: one input, at most one free dimension, whose size follows from the
number of bytes; a byte string is one element and comes without its length in front.
"""

from math import prod
from typing import Any

from numpy.typing import NDArray

from modelserver.codec import binary
from modelserver.errors import InvalidRequest
from modelserver.signature import Signature, Spec
from modelserver.tensors import NUMPY


def decode(body: memoryview, signature: Signature) -> NDArray[Any]:
    """The array over `body` itself; raises InvalidRequest."""
    if len(signature.inputs) != 1:
        names = ", ".join(spec.name for spec in signature.inputs)
        raise InvalidRequest(
            "A raw request (Inference-Header-Content-Length: 0) is for models with one input; this one has"
            f" {len(signature.inputs)}: {names}"
        )
    spec = signature.inputs[0]
    if spec.datatype == "BYTES":
        return _decode_string(body, spec)
    shape = _shape(spec, len(body))
    spec.require_shape(shape)
    return binary.decode(spec.name, spec.datatype, shape, body)


def _decode_string(body: memoryview, spec: Spec) -> NDArray[Any]:
    shape = (1,) * len(spec.dims)
    if not spec.admits(shape):
        raise InvalidRequest(
            f"A raw request is one string, which does not fit {_described(spec)}; input name: {spec.name}"
        )
    return binary.as_objects(spec.name, shape, [bytes(body)])


def _shape(spec: Spec, size: int) -> tuple[int, ...]:
    """Of this many bytes: whole steps of the free dimension, or the one size there is."""
    free = [place for place, (low, high) in enumerate(spec.dims) if low != high]
    if len(free) > 1:
        raise InvalidRequest(
            f"The size of a raw request does not tell its shape: {_described(spec)} has {len(free)} free dimensions;"
            f" input name: {spec.name}{_hint(spec)}"
        )
    sizes = [low for low, _ in spec.dims]
    step = NUMPY[spec.datatype].itemsize * prod(n for place, n in enumerate(sizes) if place not in free)
    if free and step and not size % step:
        sizes[free[0]] = size // step
    elif free or size != step:
        expected = f"a multiple of {step}" if free else str(step)
        raise InvalidRequest(
            f"Invalid content size of raw request - Expected: {expected} bytes for {_described(spec)};"
            f" Actual: {size} bytes; input name: {spec.name}{_hint(spec)}"
        )
    return tuple(sizes)


def _described(spec: Spec) -> str:
    return f"{spec.datatype} ({','.join(spec.bounds)})"


def _hint(spec: Spec) -> str:
    """Who sends an image like that has to say so: pixels could begin with the same bytes."""
    if not spec.takes_images("BYTES"):
        return ""
    return ". An encoded image needs JSON in front, with datatype BYTES and shape [1]"
