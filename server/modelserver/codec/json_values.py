"""Values of tensors in JSON, the same for every REST API.

Numbers that JSON has no word for are the strings "NaN", "Infinity" and "-Infinity", both ways.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelserver.errors import InvalidRequest
from modelserver.tensors import NUMPY, from_bf16, to_bf16

_NOT_FINITE = ("NaN", "Infinity", "-Infinity")
_ALLOWED: dict[str, set[type]] = {"b": {bool}, "i": {int}, "u": {int}, "f": {int, float, str}}


def to_array(name: str, datatype: str, values: list[Any]) -> NDArray[Any]:
    """The numbers of a flat list; `name` is the input's, for the errors."""
    kinds = set(map(type, values))
    if not kinds <= _ALLOWED[NUMPY[datatype].kind if datatype != "BF16" else "f"]:
        raise InvalidRequest(f"The data of input {name} does not fit its datatype {datatype}")
    if str in kinds:
        values = [_as_float(name, value) for value in values]
    try:
        with np.errstate(over="raise"):
            if datatype == "BF16":
                return to_bf16(np.array(values, np.float32))
            return np.array(values, NUMPY[datatype])
    except (OverflowError, ValueError, FloatingPointError) as error:
        raise InvalidRequest(f"The data of input {name} does not fit its datatype: {error}") from error


def _as_float(name: str, value: Any) -> float:
    if isinstance(value, str) and value not in _NOT_FINITE:
        raise InvalidRequest(
            f"{value!r} is not a number; only NaN, Infinity, -Infinity are allowed as strings; input: {name}"
        )
    return float(value)


def from_array(datatype: str, data: NDArray[Any]) -> Any:
    """What orjson writes for an array of numbers, in the array's shape: its own memory where possible."""
    array = np.asarray(from_bf16(data) if datatype == "BF16" else data, order="C")
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array if array.ndim else array[()]  # orjson writes numpy's scalars, but no array without axes
    values = array.astype(object)
    values[np.isnan(array)] = "NaN"
    values[np.isposinf(array)] = "Infinity"
    values[np.isneginf(array)] = "-Infinity"
    return values.tolist()
