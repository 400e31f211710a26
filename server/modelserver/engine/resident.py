"""An infer request whose input tensors stay bound: small data is copied into them."""

from collections.abc import Callable, Iterable
from functools import partial
from math import prod
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from modelserver.engine.reason import reason
from modelserver.errors import InferenceFailed
from modelserver.tensors import NUMPY, Spec

MAX_BYTES = 4096
"""Of one input. Binding a request's own memory takes 3 us in a loop and some 40 in a server under load;
copying a page takes 0.1."""


class Resident:
    """Infers in the calling thread, one request at a time."""

    def __init__(self, request: ov.InferRequest, inputs: tuple[Spec, ...]) -> None:
        self._infer = bare_infer(request)
        self._targets = [_bytes(request.get_input_tensor(index)) for index in range(len(inputs))]

    def infer(self, data: Iterable[memoryview]) -> list[NDArray[Any]]:
        """The outputs, over the engine's memory, for the bytes of each input in the model's order."""
        for target, part in zip(self._targets, data, strict=True):
            target[:] = part
        try:
            return list(self._infer().values())
        except RuntimeError as error:
            raise InferenceFailed(f"Internal inference error: {reason(error)}") from error


def may_reside(inputs: tuple[Spec, ...]) -> bool:
    """Whether all inputs are small and of one size, and none is text."""
    return all(
        spec.datatype != "BYTES"
        and spec.fixed is not None
        and 0 < prod(spec.fixed) * NUMPY[spec.datatype].itemsize <= MAX_BYTES
        for spec in inputs
    )


def bare_infer(request: ov.InferRequest) -> Callable[[], dict[Any, NDArray[Any]]]:
    """The binding's own method: the Python wrapper costs more than a small model, and names cost 1 us."""
    plain: Any = super(ov.InferRequest, request)
    share_outputs, decode_strings = True, False
    return partial(plain.infer, {}, share_outputs, decode_strings)


def _bytes(tensor: ov.Tensor) -> memoryview:
    return memoryview(tensor.data.reshape(-1).view(np.uint8))
