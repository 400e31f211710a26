"""KServe v2 over HTTP: the JSON envelope, and behind it the binary extension's raw tensors.

Numbers that JSON has no word for are the strings "NaN", "Infinity" and "-Infinity", both ways.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from modelserver.codec import binary, json_values
from modelserver.codec.json_text import SLICE_BYTES, check_depth, slices
from modelserver.errors import InvalidRequest
from modelserver.tensors import MAX_TENSORS, Request, Response, Tensor, check_number

HEADER = "inference-header-content-length"
MAX_OUTPUTS_BYTES = 1 << 20
"""Of the text that names outputs; more would become objects by the million before they are counted."""
_ABSENT = msgspec.Raw(b"")


class _Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] | None = None
    data: msgspec.Raw = _ABSENT


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] | None = None


class _Envelope(msgspec.Struct):
    inputs: list[_Input]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: msgspec.Raw = _ABSENT


class _Outputs(msgspec.Struct):
    outputs: list[_Output] | None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_outputs = msgspec.json.Decoder(_Outputs).decode


@dataclass(slots=True)
class Decoded:
    """A request, and what of it shapes the answer."""

    request: Request
    id: str | None
    binary_by_default: bool
    binary_by_name: Mapping[str, bool]

    def wants_binary(self, name: str) -> bool:
        """Whether this output goes behind the JSON."""
        return self.binary_by_name.get(name, self.binary_by_default)


def decode(body: bytes, header_length: str | None) -> Decoded:
    """Parse a body; `header_length` is the value of Inference-Header-Content-Length, if sent."""
    json_length = len(body) if header_length is None else _json_length(header_length, len(body))
    text = body[:json_length]
    check_depth(text)
    try:
        envelope = _decode_envelope(text)
        outputs = _named_outputs(memoryview(envelope.outputs))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidRequest(_explain(error, json_length)) from error
    check_number("inputs", len(envelope.inputs))
    tail = _Tail(memoryview(body)[json_length:])
    tensors = [_decode_input(item, tail, alone=len(envelope.inputs) == 1) for item in envelope.inputs]
    if tail.left:
        raise InvalidRequest(f"{tail.left} bytes are left behind the last binary input")
    return Decoded(
        Request(tensors, [output.name for output in outputs]),
        envelope.id,
        _flag(envelope.parameters, "binary_data_output") or False,
        {
            output.name: flag
            for output in outputs
            if (flag := _flag(output.parameters, "binary_data")) is not None
        },
    )


def _named_outputs(text: memoryview) -> list[_Output]:
    if not text.nbytes:
        return []
    if text.nbytes > MAX_OUTPUTS_BYTES:
        raise InvalidRequest(f"Invalid number of outputs - at most {MAX_TENSORS}")
    outputs = _decode_outputs(b"".join((b'{"outputs":', text, b"}"))).outputs or []
    check_number("outputs", len(outputs))
    return outputs


def _json_length(text: str, available: int) -> int:
    if not text.isdecimal():
        raise InvalidRequest("Inference-Header-Content-Length header is invalid and couldn't be parsed")
    if len(text) > 18 or int(text) > available:
        raise InvalidRequest("Inference-Header-Content-Length header exceeds actual payload length")
    return int(text)


def _explain(error: Exception, length: int) -> str:
    text = str(error)
    if not length:
        return "The request body is empty; a JSON object with inputs is expected"
    if isinstance(error, RecursionError):
        return "JSON nesting depth exceeds the allowed limit"
    if not isinstance(error, msgspec.ValidationError):
        return f"The file is not valid json: {text}"
    if "missing required field `inputs`" in text:
        return "Invalid JSON structure, missing inputs"
    if text.startswith("Expected `object`") and " - at" not in text:
        return "Request body should be JSON object"
    return f"Invalid JSON structure: {text}"


def _flag(parameters: Mapping[str, Any] | None, name: str) -> bool | None:
    value = parameters.get(name) if parameters else None
    return value if isinstance(value, bool) else None


class _Tail:
    """The raw bytes behind the JSON, consumed in the order of the inputs."""

    def __init__(self, raw: memoryview) -> None:
        self._raw = raw
        self._position = 0

    @property
    def left(self) -> int:
        return len(self._raw) - self._position

    def take(self, size: int) -> memoryview:
        if size > self.left:
            raise InvalidRequest("Received buffer size is smaller than binary_data_size parameter indicates")
        self._position += size
        return self._raw[self._position - size : self._position]


def _decode_input(item: _Input, tail: _Tail, *, alone: bool) -> Tensor:
    dtype = binary.checked_dtype(item.name, item.datatype)
    shape = binary.checked_shape(item.name, item.shape)
    size = item.parameters.get("binary_data_size") if item.parameters else None
    if memoryview(item.data).nbytes:
        if size is not None:
            raise InvalidRequest("Request contains values both in binary data and in content value")
        return Tensor(item.name, item.datatype, _decode_json(item, shape))
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < 1 << 31):
        raise InvalidRequest("binary_data_size parameter is invalid and cannot be parsed")
    if size is None:
        if not tail.left and prod(shape) > 0:
            raise InvalidRequest(f"Could not parse input content. No data is given; input name: {item.name}")
        if item.datatype == "BYTES":
            return _decode_only_bytes(item, shape, tail, alone=alone)
        size = prod(shape) * dtype.itemsize
    return Tensor(item.name, item.datatype, binary.decode(item.name, item.datatype, shape, tail.take(size)))


def _decode_only_bytes(item: _Input, shape: tuple[int, ...], tail: _Tail, *, alone: bool) -> Tensor:
    """Without a size, one single element may be all the rest of the body, its length in front or not."""
    if not alone or shape != (1,):
        raise InvalidRequest(f"binary_data_size is needed for BYTES; input name: {item.name}")
    raw = bytes(tail.take(tail.left))
    if int.from_bytes(raw[:4], "little") == len(raw) - 4:
        raw = raw[4:]
    return Tensor(item.name, "BYTES", binary.as_objects(item.name, shape, [raw]))


def _decode_json(item: _Input, shape: tuple[int, ...]) -> NDArray[Any]:
    expected = prod(shape)
    if item.datatype == "BYTES":
        binary.check_strings(item.name, expected)
    if (long := _decode_long(item)) is not None and long.size == expected:
        return long.reshape(shape)
    values = _flattened(item)
    binary.check_count(item.name, expected, len(values))
    if item.datatype == "BYTES":
        return _decode_strings(item, shape, values)
    return json_values.to_array(item.name, item.datatype, values).reshape(shape)


def _decode_long(item: _Input) -> NDArray[Any] | None:
    """Many numbers, slice by slice; None for few of them, and for all that has to be looked at as a whole."""
    text = memoryview(item.data)
    if text.nbytes <= SLICE_BYTES or item.datatype == "BYTES":
        return None
    parts = slices(bytes(text))
    if parts is None:
        return None
    try:
        lists = map(orjson.loads, parts)
        return np.concatenate([json_values.to_array(item.name, item.datatype, each) for each in lists])
    except orjson.JSONDecodeError:
        return None


def _flattened(item: _Input) -> list[Any]:
    """The values without their nesting; only their number is compared with the shape."""
    try:
        values = orjson.loads(memoryview(item.data))
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"Could not parse input content: {error}; input name: {item.name}") from error
    if not isinstance(values, list):
        raise InvalidRequest(
            f"Could not parse input content. Not valid ndarray detected; input name: {item.name}"
        )
    while any(isinstance(value, list) for value in values[:1]):
        if not all(isinstance(value, list) for value in values):
            raise InvalidRequest(
                f"Could not parse input content. Not valid ndarray detected; input name: {item.name}"
            )
        values = list(chain.from_iterable(values))
    return values


def _decode_strings(item: _Input, shape: tuple[int, ...], values: list[Any]) -> NDArray[Any]:
    if not all(isinstance(value, str) for value in values):
        raise InvalidRequest(f"BYTES are given as strings in JSON; input name: {item.name}")
    return binary.as_objects(item.name, shape, [value.encode() for value in values])


def encode(response: Response, asked: Decoded) -> tuple[bytes, int | None]:
    """The body, and the JSON part's length when raw tensors follow it."""
    outputs, raw = [], []
    for tensor in response.outputs:
        described: dict[str, Any] = {
            "name": tensor.name,
            "shape": tensor.data.shape,
            "datatype": tensor.datatype,
        }
        if asked.wants_binary(tensor.name):
            raw.append(part := binary.encode(tensor.datatype, tensor.data))
            described["parameters"] = {"binary_data_size": len(part)}
        else:
            described["data"] = _encode_json(tensor)
        outputs.append(described)
    answer: dict[str, Any] = {"model_name": response.model, "model_version": str(response.version)}
    if asked.id:
        answer["id"] = asked.id
    head = orjson.dumps(answer | {"outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY)
    return (b"".join([head, *raw]), len(head)) if raw else (head, None)


def _encode_json(tensor: Tensor) -> Any:
    if tensor.datatype == "BYTES":
        return _encode_strings(tensor)
    return json_values.from_array(tensor.datatype, tensor.data.reshape(-1))


def _encode_strings(tensor: Tensor) -> list[str]:
    try:
        return [element.decode() for element in tensor.data.ravel().tolist()]
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"output {tensor.name} holds bytes that are not UTF-8: ask for it as binary data"
        ) from error
