"""Tensors as raw little-endian bytes: the form that KServe's binary extension and gRPC share."""

import struct
from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelserver.errors import InvalidRequest
from modelserver.signature import Signature, Spec
from modelserver.tensors import NUMPY

Buffer = bytes | memoryview
MAX_DIMENSIONS = 64
"""numpy's limit."""
MAX_STRINGS = 1 << 22
"""Each becomes an object: this many take a second and a few hundred megabytes."""
_LENGTH = struct.Struct("<I")
_NOT_OFFERED = {
    "classification": "ask for the tensor itself",
    "shared_memory_region": "tensors are sent in the messages",
}
"""Parameters of a tensor, in Triton's extensions, that make another form of it."""


def checked_shape(name: str, shape: Iterable[int]) -> tuple[int, ...]:
    """A shape without negative sizes and without overflow."""
    sizes = tuple(shape)
    if len(sizes) > MAX_DIMENSIONS:
        raise InvalidRequest(f"Invalid number of shape dimensions - {len(sizes)}; input name: {name}")
    if any(size < 0 for size in sizes):
        raise InvalidRequest(f"Invalid input shape - negative dimension in {list(sizes)}; input name: {name}")
    if prod(size or 1 for size in sizes) >= 1 << 60:
        raise InvalidRequest(f"Invalid input shape - {list(sizes)} is too big; input name: {name}")
    return sizes


def checked_dtype(name: str, datatype: str) -> np.dtype[Any]:
    """The array type of a datatype the protocol knows."""
    try:
        return NUMPY[datatype]
    except KeyError:
        raise InvalidRequest(
            f"Invalid input precision - {datatype} is none of {', '.join(NUMPY)}; input name: {name}"
        ) from None


def decode(name: str, datatype: str, shape: tuple[int, ...], raw: Buffer) -> NDArray[Any]:
    """An array over `raw` itself; only BYTES become objects of their own."""
    if datatype == "BYTES":
        return decode_bytes(name, shape, raw)
    dtype, count = NUMPY[datatype], prod(shape)
    if len(raw) != count * dtype.itemsize:
        raise InvalidRequest(
            f"Invalid content size of tensor proto - Expected: {count * dtype.itemsize} bytes;"
            f" Actual: {len(raw)} bytes; input name: {name}"
        )
    return np.ndarray(shape, dtype, raw)


def decode_bytes(name: str, shape: tuple[int, ...], raw: Buffer) -> NDArray[Any]:
    """Elements with their length in front of each."""
    elements: list[bytes] = []
    position, end, expected = 0, len(raw), prod(shape)
    check_strings(name, expected)
    while position < end:
        if len(elements) == expected:  # now: a gigabyte of empty strings would keep the loop for minutes
            raise InvalidRequest(_count_message(name, expected, "more"))
        if position + 4 > end:
            raise InvalidRequest(f"Bytes content ends inside a length prefix; input name: {name}")
        (length,) = _LENGTH.unpack_from(raw, position)
        position += 4
        if position + length > end:
            raise InvalidRequest(
                f"Bytes content is shorter than its length prefix says: {length} bytes were announced,"
                f" {end - position} are left; input name: {name}"
            )
        elements.append(bytes(raw[position : position + length]))
        position += length
    return as_objects(name, shape, elements)


def decode_alone(body: memoryview, signature: Signature) -> NDArray[Any]:
    """The tensor of a raw request (Triton's): the body is its bytes, and no JSON says what they are.

    For one input with at most one free dimension, whose size follows from the number of bytes. A byte string
    is the only element and comes without its length in front. Raises InvalidRequest.
    """
    if len(signature.inputs) != 1:
        names = ", ".join(spec.name for spec in signature.inputs)
        raise InvalidRequest(
            "A raw request (Inference-Header-Content-Length: 0) is for models with one input; this one has"
            f" {len(signature.inputs)}: {names}"
        )
    spec = signature.inputs[0]
    if spec.datatype == "BYTES":
        return _string_alone(body, spec)
    shape = _shape_by_size(spec, len(body))
    spec.require_shape(shape)
    return decode(spec.name, spec.datatype, shape, body)


def _string_alone(body: memoryview, spec: Spec) -> NDArray[Any]:
    shape = (1,) * len(spec.dims)
    if not spec.admits(shape):
        raise InvalidRequest(
            f"A raw request is one string, which does not fit {_described(spec)}; input name: {spec.name}"
        )
    return as_objects(spec.name, shape, [bytes(body)])


def _shape_by_size(spec: Spec, size: int) -> tuple[int, ...]:
    """Of this many bytes: whole steps of the free dimension, or the one size there is."""
    free = [place for place, (low, high) in enumerate(spec.dims) if low != high]
    if len(free) > 1:
        raise InvalidRequest(
            f"The size of a raw request does not tell its shape: {_described(spec)} has {len(free)} free"
            f" dimensions; input name: {spec.name}{_hint(spec)}"
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


def check_parameters(name: str, asked: Iterable[str]) -> None:
    """Refuses parameters with which the caller would look for the tensor elsewhere, or in another form.

    All others that are not known have no effect.
    """
    for parameter in asked:
        if parameter in _NOT_OFFERED:
            raise InvalidRequest(
                f"{parameter} is not offered by this server: {_NOT_OFFERED[parameter]}; tensor name: {name}"
            )


def check_strings(name: str, count: int) -> None:
    """Refuses what would keep everybody waiting."""
    if count > MAX_STRINGS:
        raise InvalidRequest(f"{count} strings are more than the {MAX_STRINGS} allowed; input name: {name}")


def as_objects(name: str, shape: tuple[int, ...], elements: list[bytes]) -> NDArray[Any]:
    """Byte strings in the shape the request gave."""
    check_count(name, prod(shape), len(elements))
    array = np.empty(len(elements), object)
    array[:] = elements
    return array.reshape(shape)


def check_count(name: str, expected: int, actual: int) -> None:
    """Refuses more or fewer values than the shape has room for."""
    if actual != expected:
        raise InvalidRequest(_count_message(name, expected, actual))


def _count_message(name: str, expected: int, actual: int | str) -> str:
    return (
        f"Invalid number of values in tensor proto container - Expected: {expected};"
        f" Actual: {actual}; input name: {name}"
    )


def narrowed(name: str, datatype: str, array: NDArray[Any]) -> NDArray[Any]:
    """Small integers travel in 32-bit fields: refuse those that do not fit."""
    dtype = NUMPY[datatype]
    if array.dtype == dtype:
        return array
    limits = np.iinfo(dtype)
    if array.size and (array.min() < limits.min or array.max() > limits.max):
        raise InvalidRequest(f"The data of input {name} does not fit its datatype {datatype}")
    return array.astype(dtype)


def encode(datatype: str, array: NDArray[Any]) -> Buffer:
    """The array's own memory where it is contiguous; copied once when the parts are joined."""
    if datatype == "BYTES":
        return b"".join(_LENGTH.pack(len(element)) + element for element in array.ravel().tolist())
    if not array.size:
        return b""
    contiguous: Any = array if array.flags.c_contiguous else np.ascontiguousarray(array)
    return memoryview(contiguous).cast("B")
