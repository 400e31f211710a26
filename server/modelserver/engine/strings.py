"""Byte strings in and out of OpenVINO exactly, whatever is in them and however long they are.

Its Python API goes through numpy's fixed-width strings: each takes the room of the longest, and NULs at
the end are lost. Its operations do neither: StringTensorPack puts strings together from one buffer,
StringTensorUnpack takes them apart again.
"""

import functools
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset15 as ops

_PROPERTIES = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
_PADDING_BYTES = 1 << 16
"""How much room numpy may waste: for short strings its way is the quicker one."""


class _Operation:
    """One operation as a graph of its own, used by one thread at a time."""

    def __init__(self, core: ov.Core, results: Sequence[ov.Output], inputs: Sequence[ov.Node]) -> None:
        model = ov.Model([ops.result(output) for output in results], list(inputs), "strings")
        self.lock = threading.Lock()
        self._compiled = core.compile_model(model, "CPU", _PROPERTIES)
        self.request = self._compiled.create_infer_request()

    def run(self, *inputs: ov.Tensor) -> None:
        for index, tensor in enumerate(inputs):
            self.request.set_input_tensor(index, tensor)
        # The wrapper's own `infer` would copy the results.
        plain: Any = super(ov.InferRequest, self.request)
        plain.start_async({}, None)
        plain.wait()


@functools.cache
def operations(rank: int) -> tuple[_Operation, _Operation]:
    """Pack and unpack for tensors of this many dimensions; compiling takes milliseconds, once."""
    core, shape = ov.Core(), ov.PartialShape([-1] * rank)
    begins, ends = ops.parameter(shape, np.int64), ops.parameter(shape, np.int64)
    symbols = ops.parameter(ov.PartialShape([-1]), np.uint8)
    packed = ops.string_tensor_pack(begins, ends, symbols)
    strings = ops.parameter(shape, ov.Type.string)
    return (
        _Operation(core, packed.outputs(), (begins, ends, symbols)),
        _Operation(core, ops.string_tensor_unpack(strings).outputs(), (strings,)),
    )


def pack(array: NDArray[Any]) -> ov.Tensor:
    """A string tensor with the elements of an array of `bytes`."""
    elements = array.ravel().tolist()
    if not elements:
        return ov.Tensor(ov.Type.string, ov.Shape(array.shape))
    lengths = np.fromiter(map(len, elements), np.int64, len(elements))
    if lengths.max() * lengths.size <= _PADDING_BYTES and not any(one.endswith(b"\0") for one in elements):
        return ov.Tensor(np.array(array.tolist(), np.bytes_))
    ends = lengths.cumsum()
    symbols = np.frombuffer(bytearray().join(elements), np.uint8)
    tensor = ov.Tensor(ov.Type.string, ov.Shape(array.shape))
    operation, _ = operations(array.ndim)
    with operation.lock:
        operation.request.set_output_tensor(0, tensor)
        operation.run(
            ov.Tensor((ends - lengths).reshape(array.shape), shared_memory=True),
            ov.Tensor(ends.reshape(array.shape), shared_memory=True),
            ov.Tensor(symbols, shared_memory=bool(symbols.size)),
        )
    return tensor


def unpack(tensor: ov.Tensor) -> NDArray[Any]:
    """The elements of a string tensor as an array of `bytes`."""
    shape = tuple(tensor.shape)
    if not tensor.get_size():
        return np.empty(shape, object)
    _, operation = operations(len(shape))
    with operation.lock:
        operation.run(tensor)
        begins, ends, symbols = (operation.request.get_output_tensor(index).data for index in range(3))
        raw = symbols.tobytes()
        places = zip(begins.ravel().tolist(), ends.ravel().tolist(), strict=True)
        elements = [raw[begin:end] for begin, end in places]
    array = np.empty(len(elements), object)
    array[:] = elements
    return array.reshape(shape)
