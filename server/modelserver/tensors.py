"""The one vocabulary between fronts, data plane and engine: buffers and headers, never Python lists.

A tensor's data is a numpy array over the memory it arrived in. Two datatypes have no numpy
twin: BF16 travels as its raw bits in uint16, BYTES as an object array of `bytes`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelserver.errors import InvalidRequest, NotFound
from modelserver.telemetry.labels import API, Interface, Method

NUMPY: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(object),
}
"""The datatypes of the protocol and the arrays that carry them."""
MAX_TENSORS = 1 << 12
"""No model has as many inputs or outputs; each costs microseconds before it is known that it does not fit."""


def to_bf16(array: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Round to nearest even; NaN stays NaN."""
    bits = array.view(np.uint32).astype(np.uint64)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(array), np.uint16(0x7FC0), rounded)


def from_bf16(array: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The values of raw bits."""
    return (array.astype(np.uint32) << 16).view(np.float32)


@dataclass(slots=True)
class Tensor:
    """A named array with the datatype the protocol gave it."""

    name: str
    datatype: str
    data: NDArray[Any]


@dataclass(slots=True)
class Response:
    """One answer. Its arrays are views of engine memory: encode them before returning."""

    model: str
    version: int
    outputs: list[Tensor]


def check_number(what: str, number: int) -> None:
    """Refuses more inputs or outputs than any model has, before each of them is looked at."""
    if number > MAX_TENSORS:
        raise InvalidRequest(f"Invalid number of {what} - at most {MAX_TENSORS}; Actual: {number}")


def parse_version(text: str | None) -> int | None:
    """The version a request names; nothing is the default one."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise InvalidRequest(f"Could not parse model version in request: {text[:40]!r} is not a number")
    if len(text) > 19:
        raise NotFound("Model with requested version is not found")
    return int(text)


@dataclass(slots=True)
class Call:
    """Who asks for which model: what the data plane needs besides the tensors.

    Not frozen: that would triple what making one costs, for every request.
    """

    interface: Interface
    model: str
    version: int | None
    deadline: float | None = None
    """On the loop's clock; None waits as long as the queue allows."""
    gone: Callable[[], Awaitable[None]] | None = None
    """Returns when the caller has hung up; asked only while the request has to wait."""
    api: API = API.KSERVE
    method: Method = Method.MODEL_INFER
