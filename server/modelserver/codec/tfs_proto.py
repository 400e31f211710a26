"""TensorFlow Serving's Predict over gRPC: requests and answers as bytes, so that content is never copied.

A request's inputs are map entries: {1: name, 2: TensorProto}. Where one is written as usual, its
tensor_content (field 4) is cut out as a view of the message and only the small rest is parsed;
whatever looks different is left to protobuf. An answer is written the same way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from modelserver.codec import binary, wire
from modelserver.codec.tfs_types import DATATYPES, SIGNATURE
from modelserver.errors import InvalidRequest
from modelserver.proto import tfs
from modelserver.signature import Request, Signature, Spec, in_order
from modelserver.tensors import NUMPY, Response, Tensor, check_number

_INPUT, _NAME, _TENSOR, _CONTENT = 2 << 3 | 2, 1 << 3 | 2, 2 << 3 | 2, 4 << 3 | 2
CUT_BYTES = 16384
"""Below this, looking for the content costs more than the copy that protobuf makes of it."""
REPEATED_BYTES = 1 << 20
"""Of a tensor that comes as the one number of all its elements, as TensorFlow writes it. A few bytes must not
become a tensor of any size."""
_OUTPUT_TAG, _NAME_TAG = bytes([1 << 3 | 2]), bytes([_NAME])
_TENSOR_TAG, _CONTENT_TAG = bytes([_TENSOR]), bytes([_CONTENT])
_NOTHING: binary.Buffer = b""
_BY_NUMBER = {tfs.DATA_TYPES[name].number: datatype for datatype, (name, _) in DATATYPES.items()}


@dataclass(slots=True)
class _Input:
    name: str
    tensor: Any
    content: binary.Buffer


@dataclass(slots=True)
class Parsed:
    """A request before its tensors are looked at."""

    head: Any
    inputs: list[_Input]


def parse(message: bytes, cut_bytes: int = CUT_BYTES) -> Parsed:
    """Split a serialized PredictRequest into its head and its tensors; cut their content out above a size."""
    try:
        head, inputs = (
            _cut(message) if len(message) > cut_bytes else (tfs.PredictRequest.FromString(message), [])
        )
    except (DecodeError, IndexError, UnicodeDecodeError) as error:
        raise InvalidRequest("not a valid PredictRequest message") from error
    inputs += [_Input(name, tensor, tensor.tensor_content) for name, tensor in head.inputs.items()]
    return Parsed(head, inputs)


def _cut(message: bytes) -> tuple[Any, list[_Input]]:
    """The message without the inputs whose content could be cut out, and those inputs."""
    view, rest, inputs, position = memoryview(message), [], [], 0
    for tag, start, value_start, end in wire.fields(message, 0, len(message)):
        if tag == _INPUT and (found := _cut_input(message, value_start, end)) is not None:
            inputs.append(found)
            rest.append(view[position:start])
            position = end
    rest.append(view[position:])
    return tfs.PredictRequest.FromString(b"".join(rest)), inputs


def _cut_input(message: bytes, start: int, end: int) -> _Input | None:
    """An input with its content as a view; None when it is better left to protobuf."""
    parts = wire.fields(message, start, end, 3)
    if [tag for tag, *_ in parts] != [_NAME, _TENSOR]:
        return None
    (_, _, name_start, name_end), (_, _, tensor_start, tensor_end) = parts
    view = memoryview(message)
    for tag, field_start, value_start, value_end in wire.fields(message, tensor_start, tensor_end, 4):
        if tag == _CONTENT:
            head = b"".join((view[tensor_start:field_start], view[value_end:tensor_end]))
            tensor = tfs.TensorProto.FromString(head)
            if tensor.tensor_content:
                return None  # the content came twice
            return _Input(str(view[name_start:name_end], "utf-8"), tensor, view[value_start:value_end])
    return None


def decode(parsed: Parsed, signature: Signature) -> Request:
    """The tensors, over the message's own memory where they came as content; raises InvalidRequest."""
    outputs = parsed.head.output_filter
    check_number("outputs", len(outputs))
    places = signature.places([item.name for item in parsed.inputs])
    arrays = [
        _decode_input(item, signature.inputs[place])
        for item, place in zip(parsed.inputs, places, strict=True)
    ]
    wanted = signature.wanted(outputs) if outputs else signature.every_output
    return Request(in_order(arrays, places), wanted)


def _decode_input(item: _Input, spec: Spec) -> NDArray[Any]:
    datatype = _BY_NUMBER.get(item.tensor.dtype)
    if datatype is None:  # fits no model: the signature says what was expected
        spec.require(_name_of(item.tensor.dtype), ())
        raise AssertionError  # no model has such an input
    if item.tensor.tensor_shape.unknown_rank:
        raise InvalidRequest(f"Invalid input shape - unknown rank; input name: {item.name}")
    shape = binary.checked_shape(item.name, [dim.size for dim in item.tensor.tensor_shape.dim])
    spec.require(datatype, shape)
    field = DATATYPES[datatype][1]
    filled = {found.name for found, _ in item.tensor.ListFields() if found.name.endswith("_val")}
    if filled - {field} or (filled and len(item.content)) or (datatype == "BYTES" and len(item.content)):
        given = sorted(filled) + ["tensor_content"] * bool(len(item.content))
        wanted = field if datatype == "BYTES" else f"either tensor_content or {field}"
        raise InvalidRequest(
            f"Input {item.name} of datatype {datatype} must be in {wanted}, not {', '.join(given)}"
        )
    if filled or datatype == "BYTES":
        return _decode_values(item, datatype, shape)
    return binary.decode(item.name, datatype, shape, item.content)


def _name_of(number: int) -> str:
    known = tfs.DATA_TYPES.values()
    return next((value.name for value in known if value.number == number), f"datatype {number}")


def _decode_values(item: _Input, datatype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    values = getattr(item.tensor, DATATYPES[datatype][1])
    if datatype == "BYTES":
        return binary.as_objects(item.name, shape, list(values))
    count = prod(shape)
    if len(values) == 1 < count and count * NUMPY[datatype].itemsize <= REPEATED_BYTES:
        return np.full(shape, _numbers(item.name, datatype, values)[0])
    binary.check_count(item.name, count, len(values))
    return _numbers(item.name, datatype, values).reshape(shape)


def _numbers(name: str, datatype: str, values: Sequence[Any]) -> NDArray[Any]:
    if datatype in ("FP16", "BF16"):  # the bits of each, in an integer
        bits = binary.narrowed(name, "UINT16", np.fromiter(values, np.int32, len(values)))
        return bits.view(NUMPY[datatype])
    wide = np.dtype(np.int32) if DATATYPES[datatype][1] == "int_val" else NUMPY[datatype]
    return binary.narrowed(name, datatype, np.fromiter(values, wide, len(values)))


def encode(response: Response) -> bytes:
    """A serialized PredictResponse with the outputs as content: one copy, by the join."""
    parts: list[binary.Buffer] = [_encode_spec(response.model, response.version)]
    for tensor in response.outputs:
        parts += _encode_output(tensor)
    return b"".join(parts)


@lru_cache(256)
def _encode_spec(model: str, version: int) -> bytes:
    """Who answered: the same for every answer of a version."""
    head = tfs.PredictResponse()
    head.model_spec.name, head.model_spec.version.value = model, version
    head.model_spec.signature_name = SIGNATURE
    return bytes(head.SerializeToString())


@lru_cache(1024)
def _encode_type(datatype: str, shape: tuple[int, ...]) -> bytes:
    """A TensorProto without its values."""
    described = tfs.TensorProto(dtype=tfs.DATA_TYPES[DATATYPES[datatype][0]].number)
    described.tensor_shape.SetInParent()
    for size in shape:
        described.tensor_shape.dim.add(size=size)
    return bytes(described.SerializeToString())


def _encode_output(tensor: Tensor) -> list[binary.Buffer]:
    head, content = _encode_type(tensor.datatype, tensor.data.shape), _NOTHING
    if tensor.datatype == "BYTES":
        head += tfs.TensorProto(string_val=tensor.data.ravel().tolist()).SerializeToString()
    else:
        content = binary.encode(tensor.datatype, tensor.data)
        head += _CONTENT_TAG + wire.encode_varint(len(content))
    name, size = tensor.name.encode(), wire.encode_varint(len(head) + len(content))
    entry = _NAME_TAG + wire.encode_varint(len(name)) + name + _TENSOR_TAG + size + head
    return [_OUTPUT_TAG, wire.encode_varint(len(entry) + len(content)), entry, content]
