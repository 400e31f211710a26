"""Element types: OpenVINO's names, the protocol's datatypes, and arrays over shared memory."""

from functools import lru_cache
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from modelserver.engine import strings
from modelserver.errors import LoadFailed
from modelserver.settings.notation import DATATYPES

_TYPES = {datatype: getattr(ov.Type, name) for name, datatype in DATATYPES.items()}


def datatype_of(element_type: ov.Type) -> str:
    """The protocol's name for an element type."""
    try:
        return DATATYPES[element_type.get_type_name()]
    except KeyError:
        raise LoadFailed(f"element type {element_type} cannot be served") from None


def share(array: NDArray[Any], datatype: str) -> ov.Tensor:
    """A tensor over the array's own memory; only BYTES, strided arrays and empty ones are copied.

    OpenVINO only reads it; the constructor with a shape is the one that takes read-only memory.
    """
    if datatype == "BYTES":
        return strings.pack(array)
    if not array.size:
        array = np.empty_like(array)
    elif not array.flags.c_contiguous:
        array = np.ascontiguousarray(array)
    return ov.Tensor(array, _shape(array.shape), _TYPES[datatype])


_shape = lru_cache(256)(ov.Shape)


def view(tensor: ov.Tensor, datatype: str) -> NDArray[Any]:
    """The tensor's memory as an array, without a copy (BYTES excepted)."""
    if datatype == "BYTES":
        return strings.unpack(tensor)
    if datatype == "BF16":
        return tensor.data.view(np.uint16)  # type: ignore[no-any-return]
    return tensor.data  # type: ignore[no-any-return]


_LOST = "OpenVINO's words cannot be decoded: a file name in them is not UTF-8"


def reason(error: Exception) -> str:
    """What went wrong, in one line: OpenVINO's message without its source positions.

    A message with a file name that is not UTF-8 cannot be decoded: that error holds it, or, up to Python
    3.11.2 at least, it is lost.
    """
    text = str(error)
    if isinstance(error, UnicodeDecodeError):
        text = error.object.decode(errors="backslashreplace")
    lines = [line.strip() for line in text.splitlines()]
    noise = ("Exception from src/", "Caught exception:", "Check '")
    kept = [line for line in lines if line and not line.startswith(noise)]
    return " ".join(kept) or text.strip() or _LOST
