"""TensorFlow Serving's Predict over REST: instances in rows or inputs in columns, named or not.

The body names no datatypes: the model's inputs tell how it is read. Byte strings, and so images,
are objects {"b64": ...}.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from string import whitespace
from typing import Any

import orjson
from numpy.typing import NDArray

from modelserver.codec import binary, json_values
from modelserver.codec.body import Encoded
from modelserver.codec.json_text import MAX_DEPTH, check_depth, explain
from modelserver.codec.tfs_types import SIGNATURE
from modelserver.errors import InvalidRequest
from modelserver.signature import Request, Signature, Spec, in_order
from modelserver.tensors import NUMPY, Response, Tensor

_ROW = "Could not parse instance content. Not valid ndarray detected"
_COLUMN = "Could not parse input content. Not valid ndarray detected"


@dataclass(slots=True)
class Decoded:
    """A request, and what of it shapes the answer."""

    request: Request
    instances: int | None
    """The number of rows; None in column format."""


def text_bytes(body: bytes, _headers: Mapping[bytes, bytes]) -> int:
    """All of it is JSON."""
    return len(body)


def decode(body: bytes, _headers: Mapping[bytes, bytes], signature: Signature) -> Decoded:
    """Parse a body for a model of this signature, which tells the datatypes; raises InvalidRequest."""
    inputs, document = signature.inputs, _parse(body)
    name = document.get("signature_name") or SIGNATURE
    if name != SIGNATURE:
        raise InvalidRequest(f"Invalid signature name: {name!r}; the only one is {SIGNATURE}")
    if "instances" in document and "inputs" in document:  # clients write null for the one they leave out
        document = {key: value for key, value in document.items() if value is not None}
    if ("instances" in document) == ("inputs" in document):
        raise InvalidRequest(
            "Invalid JSON structure. Could not detect row or column format: give either instances or inputs"
        )
    if "instances" in document:
        rows = document["instances"]
        columns, broken = _transposed(rows, inputs), _ROW
    else:
        rows = None
        columns, broken = _columns(document["inputs"], inputs), _COLUMN
    places = signature.places(list(columns))
    arrays = [
        _array(name, value, inputs[place], broken)
        for (name, value), place in zip(columns.items(), places, strict=True)
    ]
    request = Request(in_order(arrays, places), signature.every_output)
    return Decoded(request, None if rows is None else len(rows))


def _parse(body: bytes) -> dict[str, Any]:
    if not body:
        raise InvalidRequest("The request body is empty; a JSON object with instances or inputs is expected")
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        check_depth(body)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The file is not valid json: {explain(body, error)}") from error
    if not isinstance(document, dict):
        raise InvalidRequest("Request body should be JSON object")
    return document


def _transposed(rows: Any, inputs: Sequence[Spec]) -> Mapping[str, Any]:
    """Instances as one value per input."""
    if not isinstance(rows, list):
        raise InvalidRequest("Invalid JSON structure. Nonamed instance is not an array.")
    if not rows:
        raise InvalidRequest("Invalid JSON structure. Missing instances in row format")
    first = rows[0]
    if not isinstance(first, dict) or _is_encoded(first):
        return {_only(first, inputs): rows}
    if not all(isinstance(row, dict) for row in rows):
        raise InvalidRequest("Invalid JSON structure. One of named instances is not a JSON object.")
    for number, row in enumerate(rows):
        if row.keys() != first.keys():
            raise InvalidRequest(
                "Invalid JSON structure. Request inputs have different batch sizes:"
                f" instance 0 has {', '.join(first)}; instance {number} has {', '.join(row)}"
            )
    return {name: [row[name] for row in rows] for name in first}


def _columns(value: Any, inputs: Sequence[Spec]) -> Mapping[str, Any]:
    """Whole inputs by their names."""
    if isinstance(value, dict) and not _is_encoded(value):
        return value
    return {_only(value, inputs): value}


def _is_encoded(value: Mapping[str, Any]) -> bool:
    """Whether an object stands for bytes rather than for named values."""
    return value.keys() == {"b64"}


def _only(value: Any, inputs: Sequence[Spec]) -> str:
    """The input that values without a name are meant for."""
    if value is None:
        raise InvalidRequest("Could not detect neither named or nonamed format")
    if len(inputs) != 1:
        raise InvalidRequest(
            f"Invalid number of inputs - Expected: {len(inputs)}; Actual: 1. Values without a name are for"
            f" models with one input; this one has {', '.join(spec.name for spec in inputs)}"
        )
    return inputs[0].name


def _array(name: str, value: Any, spec: Spec, broken: str) -> NDArray[Any]:
    try:
        values, sizes, kinds = _flattened(value)
        shape = binary.checked_shape(name, sizes)
        if dict in kinds or spec.datatype == "BYTES":
            array = _strings(spec, shape, values)
            datatype = "BYTES"
        else:
            if float in kinds and NUMPY[spec.datatype].kind in "iu":
                values = [_whole(number) for number in values]
            array = json_values.to_array(name, spec.datatype, values).reshape(shape)
            datatype = spec.datatype
    except InvalidRequest as error:
        raise InvalidRequest(f"{broken} - input {name}: {error}") from error
    spec.require(datatype, array.shape)
    return array


def _flattened(value: Any) -> tuple[list[Any], list[int], set[type]]:
    """The values without their nesting, its shape, and the types of the values."""
    values, shape, kinds = [value], [], {type(value)}
    while kinds == {list}:
        sizes = set(map(len, values))
        if len(sizes) > 1:
            raise InvalidRequest(f"arrays of different sizes: {', '.join(map(str, sorted(sizes)[:5]))}")
        shape.append(sizes.pop())
        values = list(chain.from_iterable(values))
        kinds = set(map(type, values))
    if list in kinds:
        raise InvalidRequest("arrays and values are mixed")
    return values, shape, kinds


def _whole(number: Any) -> Any:
    """Clients send 1.0 for integers, and OVMS takes it; a number with a fraction is refused later."""
    is_exact = isinstance(number, float) and number.is_integer() and abs(number) <= 1 << 53
    return int(number) if is_exact else number


def _strings(spec: Spec, shape: tuple[int, ...], values: list[Any]) -> NDArray[Any]:
    """Bytes; a single one is a batch of one where the model has a dimension for it."""
    if not shape and spec.dims:
        shape = (1,)
    return binary.as_objects(spec.name, shape, [_bytes(value, spec) for value in values])


def _bytes(value: Any, spec: Spec) -> bytes:
    if isinstance(value, str) and spec.datatype == "BYTES":
        return value.encode()
    text = value.get("b64") if isinstance(value, dict) and _is_encoded(value) else None
    if not isinstance(text, str):
        raise InvalidRequest('bytes are expected, as {"b64": "..."}')
    try:
        return _decoded(text)
    except ValueError:
        try:  # broken into lines, as MIME and the base64 command write it
            return _decoded(text.encode("ascii").translate(None, whitespace.encode()).decode())
        except ValueError as error:
            raise InvalidRequest(f"Decode Base64 to string error: {error}") from error


def _decoded(text: str) -> bytes:
    """Padding may be missing; raises ValueError."""
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def encode(response: Response, asked: Decoded) -> Encoded:
    """Predictions by row, or outputs by name; one single output goes without its name."""
    instances = asked.instances
    if instances is not None:
        _check_rows(response, instances)
    names = [tensor.name for tensor in response.outputs]
    values = [_values(tensor) for tensor in response.outputs]
    answer: Any
    if len(values) == 1:
        answer = values[0]
    elif instances is None:
        answer = dict(zip(names, values, strict=True))
    else:
        answer = [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
    key = "outputs" if instances is None else "predictions"
    return Encoded(orjson.dumps({key: answer}, option=orjson.OPT_SERIALIZE_NUMPY))


def _check_rows(response: Response, instances: int) -> None:
    for tensor in response.outputs:
        shape = tensor.data.shape
        if not shape or shape[0] != instances:
            raise InvalidRequest(
                f"Output {tensor.name} of shape {list(shape)} cannot be returned by row: its first"
                f" dimension is not the number of instances, {instances}. Send inputs (columns) instead"
            )


def _values(tensor: Tensor) -> Any:
    if tensor.datatype == "BYTES":
        return binary.as_objects(tensor.name, tensor.data.shape, _texts(tensor)).tolist()
    return json_values.from_array(tensor.datatype, tensor.data)


def _texts(tensor: Tensor) -> list[Any]:
    """Text where all of it is UTF-8, unless the output's name promises bytes."""
    elements = tensor.data.ravel().tolist()
    if not tensor.name.endswith("_bytes"):
        try:
            return [element.decode() for element in elements]
        except UnicodeDecodeError:
            pass
    return [{"b64": base64.b64encode(element).decode()} for element in elements]
