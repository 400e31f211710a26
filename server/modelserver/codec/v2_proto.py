"""KServe v2 over gRPC: requests and answers as bytes, so that raw tensors are never copied by protobuf.

A request's raw_input_contents (field 7) are cut out as views of the message; only the small rest
is parsed, once for all requests that say the same. An answer's raw_output_contents (field 6) are
written behind the rest, which is what protobuf itself would do: fields of one message may come in
any order.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from modelserver import proto
from modelserver.codec import binary, wire
from modelserver.errors import InvalidRequest
from modelserver.signature import Request, Signature, in_order
from modelserver.tensors import NUMPY, Response, check_number, parse_version

_REQUEST_ID = 3 << 3 | 2
_RAW_INPUT = 7 << 3 | 2
_ANSWER_ID = bytes([3 << 3 | 2])
_RAW_OUTPUT = bytes([6 << 3 | 2])
_KNOWN_HEADS = 256
_MAX_KNOWN_BYTES = 4096
"""Of a head that is remembered: callers must not fill the memory with heads of their own."""
_CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


@dataclass(slots=True, eq=False)
class Head:
    """What a request says besides its id and its raw tensors.

    Callers say the same again and again, so one head serves all requests with the same bytes; heads are
    equal only when they are the same one.
    """

    message: Any
    model: str
    version: int | None
    names: list[str]
    """Of the inputs."""
    outputs: list[str]
    described: tuple["_Described", ...] = ()
    """The inputs, once they are known to make sense."""
    has_contents: bool = False
    """Whether any input brings its data typed, inside the head."""
    is_shared: bool = False
    """Whether later requests with the same bytes get this head."""


@dataclass(frozen=True, slots=True)
class _Described:
    """What an input says of itself."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(slots=True)
class Parsed:
    """A request before its tensors are looked at."""

    head: Head
    request_id: str
    raw: list[memoryview]


def parse(message: bytes) -> Parsed:
    """Split a serialized ModelInferRequest into its head, its id and its raw tensors."""
    begun = _BEGINNINGS.get(len(message))
    if begun is not None and message.startswith(begun.text):
        return Parsed(begun.head, "", [memoryview(message)[len(begun.text) :]])
    view = memoryview(message)
    kept: list[memoryview] = []
    raw: list[memoryview] = []
    request_id, position = b"", 0
    try:
        for tag, start, value, end in wire.fields(message, 0, len(message)):
            if tag == _RAW_INPUT:
                raw.append(view[value:end])
            elif tag == _REQUEST_ID:
                request_id = message[value:end]
            else:
                continue
            kept.append(view[position:start])
            position = end
        head = b"".join((*kept, view[position:])) if kept else message
        is_common = raw and len(head) <= _MAX_KNOWN_BYTES
        parsed = Parsed(_shared_head(head) if is_common else _head(head), request_id.decode(), raw)
    except (DecodeError, IndexError, UnicodeDecodeError) as error:
        raise InvalidRequest("not a valid ModelInferRequest message") from error
    if is_common and len(kept) == 1 and position == len(message):
        _remember_beginning(message, parsed)
    return parsed


def _head(serialized: bytes) -> Head:
    message = proto.ModelInferRequest.FromString(serialized)
    check_number("inputs", len(message.inputs))
    check_number("outputs", len(message.outputs))
    names = [tensor.name for tensor in message.inputs]
    outputs = [output.name for output in message.outputs]
    return Head(message, message.model_name, parse_version(message.model_version), names, outputs)


@lru_cache(_KNOWN_HEADS)
def _shared_head(serialized: bytes) -> Head:
    head = _head(serialized)
    head.is_shared = True
    return head


@dataclass(frozen=True, slots=True)
class _Beginning:
    """What comes before a message's end, if its one raw tensor is the end and it has no id."""

    text: bytes
    head: Head


_BEGINNINGS: dict[int, _Beginning] = {}
"""By the whole message's length, so that another one that begins alike has its tensor in the same place."""


def _remember_beginning(message: bytes, parsed: Parsed) -> None:
    if len(_BEGINNINGS) >= _KNOWN_HEADS:
        _BEGINNINGS.clear()
    text = message[: len(message) - len(parsed.raw[0])]
    _BEGINNINGS[len(message)] = _Beginning(text, parsed.head)


def decode(parsed: Parsed, signature: Signature) -> Request:
    """The tensors, over the message's own memory where they came raw; raises InvalidRequest."""
    head = parsed.head
    described = head.described or _describe(head)
    places = signature.places(head.names)
    for item, place in zip(described, places, strict=True):
        spec = signature.inputs[place]
        if item.datatype != spec.datatype or item.shape != spec.fixed:
            spec.require(item.datatype, item.shape)
    decoded = _decode_raw(head, parsed.raw) if parsed.raw else _decode_typed(head)
    arrays = decoded if len(decoded) == 1 else in_order(decoded, places)
    return Request(arrays, signature.wanted(head.outputs) if head.outputs else signature.every_output)


def _describe(head: Head) -> tuple[_Described, ...]:
    """The inputs, if the protocol allows what they say of themselves; worked out once per head."""
    for item in (*head.message.inputs, *head.message.outputs):
        if item.parameters:
            _check_parameters(item)
    head.described = tuple(
        _Described(item.name, item.datatype, _checked(item)) for item in head.message.inputs
    )
    head.has_contents = any(item.contents.ListFields() for item in head.message.inputs)
    return head.described


def _check_parameters(item: Any) -> None:
    """What is switched off is not asked for."""
    parameters = item.parameters.items()
    asked = (key for key, value in parameters if value.int64_param or value.string_param)
    binary.check_parameters(item.name, asked)


def _checked(item: Any) -> tuple[int, ...]:
    """The shape of an input."""
    binary.checked_dtype(item.name, item.datatype)
    return binary.checked_shape(item.name, item.shape)


def _decode_raw(head: Head, raw: list[memoryview]) -> list[NDArray[Any]]:
    if head.has_contents:
        raise InvalidRequest(
            "Passing buffers both in ModelInferRequest::InferInputTensor::contents and in"
            " ModelInferRequest::raw_input_contents is not allowed"
        )
    number = len(head.described)
    if len(raw) != number:
        raise InvalidRequest(
            f"Size of raw_input_contents: {len(raw)} is different than number of inputs: {number}"
        )
    return [
        binary.decode(item.name, item.datatype, item.shape, data)
        for item, data in zip(head.described, raw, strict=True)
    ]


def _decode_typed(head: Head) -> list[NDArray[Any]]:
    inputs = zip(head.message.inputs, head.described, strict=True)
    return [_decode_contents(item, described.shape) for item, described in inputs]


def _decode_contents(item: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    wanted = _CONTENTS.get(item.datatype)
    filled = {field.name for field, _ in item.contents.ListFields()}
    if wanted is None or filled - {wanted}:
        found = f", not {', '.join(sorted(filled))}" if filled else ""
        place = wanted or "raw_input_contents"
        raise InvalidRequest(f"Input {item.name} of datatype {item.datatype} must be in {place}{found}")
    values = getattr(item.contents, wanted)
    binary.check_count(item.name, prod(shape), len(values))
    if item.datatype == "BYTES":
        binary.check_strings(item.name, len(values))
        return binary.as_objects(item.name, shape, list(values))
    wide = np.array(values, _WIDE.get(item.datatype, NUMPY[item.datatype]))
    return binary.narrowed(item.name, item.datatype, wide).reshape(shape)


_WIDE = {"INT8": np.int32, "INT16": np.int32, "UINT8": np.uint32, "UINT16": np.uint32}


def encode(response: Response, request_id: str) -> bytes:
    """A serialized ModelInferResponse with raw contents: one copy, by the join."""
    described = tuple([(tensor.name, tensor.datatype, tensor.data.shape) for tensor in response.outputs])
    parts: list[binary.Buffer] = [_answer_head(response.model, response.version, described)]
    if request_id:
        identity = request_id.encode()
        parts += (_ANSWER_ID, wire.encode_varint(len(identity)), identity)
    for tensor in response.outputs:
        raw = binary.encode(tensor.datatype, tensor.data)
        parts += (_raw_key(len(raw)), raw)
    return b"".join(parts)


@lru_cache(_KNOWN_HEADS)
def _raw_key(size: int) -> bytes:
    return _RAW_OUTPUT + wire.encode_varint(size)


@lru_cache(_KNOWN_HEADS)
def _answer_head(model: str, version: int, outputs: tuple[tuple[str, str, tuple[int, ...]], ...]) -> bytes:
    head = proto.ModelInferResponse(model_name=model, model_version=str(version))
    for name, datatype, shape in outputs:
        head.outputs.add(name=name, datatype=datatype, shape=shape)
    serialized: bytes = head.SerializeToString()
    return serialized
