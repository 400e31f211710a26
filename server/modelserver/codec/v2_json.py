"""KServe v2 over HTTP: the JSON envelope, and behind it the binary extension's raw tensors.

Numbers that JSON has no word for are the strings "NaN", "Infinity" and "-Infinity", both ways.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from modelserver.codec import binary, json_values
from modelserver.codec.body import HEADER, Encoded
from modelserver.codec.json_text import MAX_DEPTH, SLICE_BYTES, check_depth, explain, slices
from modelserver.errors import InvalidRequest
from modelserver.signature import Request, Signature, Spec, in_order
from modelserver.tensors import MAX_TENSORS, NUMPY, Response, Tensor, check_number

MAX_OUTPUTS_BYTES = 1 << 20
"""Of the text that names outputs; more would become objects by the million before they are counted."""
_ABSENT, _NULL = msgspec.Raw(b""), msgspec.Raw(b"null")


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
    """Whether outputs go behind the JSON."""
    binary_by_name: Mapping[str, bool]
    """The same for outputs that say it themselves."""


def text_bytes(body: bytes, headers: Mapping[bytes, bytes]) -> int:
    """How much of a body is text that `decode` has to parse."""
    header = headers.get(HEADER)
    if header is None:
        return len(body)
    header = header.strip()
    return min(int(header), len(body)) if header.isdigit() and len(header) < 19 else 0


def decode(body: bytes, headers: Mapping[bytes, bytes], signature: Signature) -> Decoded:
    """Parse a body for a model of this signature; raises InvalidRequest."""
    header = headers.get(HEADER)
    json_length = len(body) if header is None else _json_length(header, len(body))
    if not json_length and header is not None:
        return _decode_raw(body, signature)
    text = body[:json_length]
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH:
        check_depth(text)
    try:
        envelope = _decode_envelope(text)
        outputs = () if envelope.outputs is _ABSENT else _named_outputs(memoryview(envelope.outputs))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidRequest(_explain(error, text)) from error
    arrays = _decode_inputs(envelope.inputs, _Tail(memoryview(body)[json_length:]), signature)
    return Decoded(
        Request(
            arrays, signature.wanted([item.name for item in outputs]) if outputs else signature.every_output
        ),
        envelope.id,
        envelope.parameters is not None and envelope.parameters.get("binary_data_output") is True,
        {
            output.name: flag
            for output in outputs
            if output.parameters and isinstance(flag := output.parameters.get("binary_data"), bool)
        },
    )


def _decode_raw(body: bytes, signature: Signature) -> Decoded:
    """A request that says nothing is answered with all outputs, and those raw too."""
    return Decoded(
        Request([binary.decode_alone(memoryview(body), signature)], signature.every_output), None, True, {}
    )


def _named_outputs(text: memoryview) -> Sequence[_Output]:
    if text.nbytes > MAX_OUTPUTS_BYTES:
        raise InvalidRequest(f"Invalid number of outputs - at most {MAX_TENSORS}")
    outputs = _decode_outputs(b"".join((b'{"outputs":', text, b"}"))).outputs or []
    check_number("outputs", len(outputs))
    for output in outputs:
        _check_parameters(output.name, output.parameters)
    return outputs


def _check_parameters(name: str, parameters: Mapping[str, Any] | None) -> None:
    """What is switched off is not asked for."""
    if parameters:
        binary.check_parameters(name, (key for key, value in parameters.items() if value))


def _json_length(header: bytes, available: int) -> int:
    header = header.strip()  # the parser of headers leaves white space behind a value
    if not header.isdigit():
        raise InvalidRequest("Inference-Header-Content-Length header is invalid and couldn't be parsed")
    if len(header) > 18 or int(header) > available:
        raise InvalidRequest("Inference-Header-Content-Length header exceeds actual payload length")
    return int(header)


def _explain(error: Exception, body: bytes) -> str:
    text = str(error)
    if not body:
        return "The request body is empty; a JSON object with inputs is expected"
    if isinstance(error, RecursionError):
        return "JSON nesting depth exceeds the allowed limit"
    if not isinstance(error, msgspec.ValidationError):
        return f"The file is not valid json: {explain(body, error)}"
    if "missing required field `inputs`" in text:
        return "Invalid JSON structure, missing inputs"
    if text.startswith("Expected `object`") and " - at" not in text:
        return "Request body should be JSON object"
    return f"Invalid JSON structure: {text}"


@dataclass(slots=True)
class _Tail:
    """The raw bytes behind the JSON, consumed in the order of the inputs."""

    left: memoryview

    def take(self, size: int) -> memoryview:
        if size > len(self.left):
            raise InvalidRequest("Received buffer size is smaller than binary_data_size parameter indicates")
        taken, self.left = self.left[:size], self.left[size:]
        return taken


def _decode_inputs(inputs: list[_Input], tail: _Tail, signature: Signature) -> list[NDArray[Any]]:
    """The arrays in the model's order; the raw ones follow each other in the request's."""
    places = signature.places([item.name for item in inputs])
    arrays = [
        _decode_input(item, signature.inputs[place], tail) for item, place in zip(inputs, places, strict=True)
    ]
    if tail.left:
        raise InvalidRequest(f"{len(tail.left)} unexpected bytes after the last binary input")
    return arrays if len(arrays) == 1 else in_order(arrays, places)


def _decode_input(item: _Input, spec: Spec, tail: _Tail) -> NDArray[Any]:
    shape = tuple(item.shape)
    if item.datatype != spec.datatype or shape != spec.fixed:
        binary.checked_dtype(item.name, item.datatype)
        spec.require(item.datatype, binary.checked_shape(item.name, shape))
    size = item.parameters.get("binary_data_size") if item.parameters else None
    if item.data is not _ABSENT and item.data != _NULL:
        if size is not None:
            raise InvalidRequest("Request contains values both in binary data and in content value")
        return _decode_json(item, shape)
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < 1 << 31):
        raise InvalidRequest("binary_data_size parameter is invalid and cannot be parsed")
    if size is None:
        _check_parameters(item.name, item.parameters)
        if not tail.left and prod(shape) > 0:
            raise InvalidRequest(f"Could not parse input content. No data is given; input name: {item.name}")
        if item.datatype == "BYTES":
            return _decode_only_bytes(item, shape, tail)
        size = prod(shape) * NUMPY[item.datatype].itemsize
    return binary.decode(item.name, item.datatype, shape, tail.take(size))


def _decode_only_bytes(item: _Input, shape: tuple[int, ...], tail: _Tail) -> NDArray[Any]:
    """Without a size, one single element may be all the rest of the body, its length in front or not."""
    if shape != (1,):
        raise InvalidRequest(f"binary_data_size is needed for BYTES; input name: {item.name}")
    raw = bytes(tail.take(len(tail.left)))
    if int.from_bytes(raw[:4], "little") == len(raw) - 4:
        raw = raw[4:]
    return binary.as_objects(item.name, shape, [raw])


def _decode_json(item: _Input, shape: tuple[int, ...]) -> NDArray[Any]:
    expected = prod(shape)
    if item.datatype == "BYTES":
        binary.check_strings(item.name, expected)
    elif memoryview(item.data).nbytes > SLICE_BYTES:
        long = _decode_long(item)
        if long is not None and long.size == expected:
            return long.reshape(shape)
    values = _flattened(item)
    if len(values) != expected:
        binary.check_count(item.name, expected, len(values))
    if item.datatype == "BYTES":
        return _decode_strings(item, shape, values)
    return json_values.to_array(item.name, item.datatype, values).reshape(shape)


def _decode_long(item: _Input) -> NDArray[Any] | None:
    """Many numbers, slice by slice; None for all that has to be looked at as a whole."""
    parts = slices(bytes(memoryview(item.data)))
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


def encode(response: Response, asked: Decoded) -> Encoded:
    """The answer as it was asked for: JSON, or JSON and raw tensors behind it."""
    outputs, raw = [], []
    for tensor in response.outputs:
        described: dict[str, Any] = {
            "name": tensor.name,
            "shape": tensor.data.shape,
            "datatype": tensor.datatype,
        }
        if asked.binary_by_name.get(tensor.name, asked.binary_by_default):
            raw.append(part := binary.encode(tensor.datatype, tensor.data))
            described["parameters"] = {"binary_data_size": len(part)}
        else:
            described["data"] = (
                _encode_strings(tensor)
                if tensor.datatype == "BYTES"
                else json_values.from_array(tensor.datatype, tensor.data.reshape(-1))
            )
        outputs.append(described)
    answer: dict[str, Any] = {"model_name": response.model, "model_version": str(response.version)}
    if asked.id:
        answer["id"] = asked.id
    head = orjson.dumps(answer | {"outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY)
    return Encoded(b"".join([head, *raw]), len(head)) if raw else Encoded(head)


def _encode_strings(tensor: Tensor) -> list[str]:
    try:
        return [element.decode() for element in tensor.data.ravel().tolist()]
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"output {tensor.name} holds bytes that are not UTF-8: ask for it as binary data"
        ) from error
