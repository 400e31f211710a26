"""KServe v2 over gRPC: requests and answers as bytes, so that raw tensors are never copied by protobuf.

A request's raw_input_contents (field 7) are cut out as views of the message; only the small rest
is parsed. An answer's raw_output_contents (field 6) are written behind the parsed rest, which is
what protobuf itself would do: fields of one message may come in any order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from modelserver import proto
from modelserver.codec import binary, wire
from modelserver.errors import InvalidRequest
from modelserver.tensors import NUMPY, Request, Response, Tensor

_RAW_INPUT = 7 << 3 | 2
_RAW_OUTPUT = bytes([6 << 3 | 2])
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


@dataclass(slots=True)
class Parsed:
    """A request before its tensors are looked at."""

    head: Any
    raw: list[memoryview]


def parse(message: bytes) -> Parsed:
    """Split a serialized ModelInferRequest into its head and its raw tensors."""
    try:
        spans = [span for tag, *span in wire.fields(message, 0, len(message)) if tag == _RAW_INPUT]
        view = memoryview(message)
        head = b"".join(_without(view, spans)) if spans else message
        return Parsed(proto.ModelInferRequest.FromString(head), [view[start:end] for _, start, end in spans])
    except (DecodeError, IndexError) as error:
        raise InvalidRequest("The message is no valid ModelInferRequest") from error


def _without(view: memoryview, spans: list[list[int]]) -> Iterator[memoryview]:
    position = 0
    for field_start, _, value_end in spans:
        yield view[position:field_start]
        position = value_end
    yield view[position:]


def decode(parsed: Parsed) -> Request:
    """The tensors, over the message's own memory where they came raw."""
    inputs = parsed.head.inputs
    if parsed.raw:
        if any(item.contents.ListFields() for item in inputs):
            raise InvalidRequest(
                "Passing buffers both in ModelInferRequest::InferInputTensor::contents and in"
                " ModelInferRequest::raw_input_contents is not allowed"
            )
        if len(parsed.raw) != len(inputs):
            raise InvalidRequest(
                f"Size of raw_input_contents: {len(parsed.raw)} is different than number of inputs:"
                f" {len(inputs)}"
            )
    tensors = [
        _decode_input(item, parsed.raw[index] if parsed.raw else None) for index, item in enumerate(inputs)
    ]
    return Request(tensors, [output.name for output in parsed.head.outputs])


def _decode_input(item: Any, raw: memoryview | None) -> Tensor:
    binary.checked_dtype(item.name, item.datatype)
    shape = binary.checked_shape(item.name, item.shape)
    data = (
        _decode_contents(item, shape) if raw is None else binary.decode(item.name, item.datatype, shape, raw)
    )
    return Tensor(item.name, item.datatype, data)


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
    head = proto.ModelInferResponse(
        model_name=response.model, model_version=str(response.version), id=request_id
    )
    parts: list[binary.Buffer] = []
    for tensor in response.outputs:
        head.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.data.shape)
        raw = binary.encode(tensor.datatype, tensor.data)
        parts += (_RAW_OUTPUT, wire.encode_varint(len(raw)), raw)
    return b"".join([head.SerializeToString(), *parts])
