"""The smallest models of the formats that OpenVINO reads besides its own, written byte by byte.

ONNX, TensorFlow and Paddle files are protocol buffers, so a writer of fields is enough. The TFLite
file was made once with a flatbuffers builder. Each of them computes y = x + x for FP32 [1,4].
"""

import base64
import struct
from collections.abc import Sequence
from pathlib import Path

WIDTH = 4
Value = int | float | str | bytes


def message(*fields: tuple[int, Value]) -> bytes:
    """A protocol buffer of (number, value)."""
    return b"".join(_field(number, value) for number, value in fields)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, value: Value) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    if isinstance(value, float):
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    raw = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def onnx(directory: Path, outputs: Sequence[str] = ("y",)) -> Path:
    """ModelProto with one Add; `outputs` names it as often as it is listed."""
    dims = message(*[(1, message((1, size))) for size in (1, WIDTH)])
    kind = message((1, message((1, 1), (2, dims))))
    node = message((1, "x"), (1, "x"), (2, "y"), (4, "Add"))
    listed = [(12, message((1, name), (2, kind))) for name in outputs]
    graph = message((1, node), (2, "double"), (11, message((1, "x"), (2, kind))), *listed)
    model = message((1, 8), (7, graph), (8, message((1, ""), (2, 13))))
    return _write(directory / "model.onnx", model)


def onnx_with_weights(path: Path, location: str) -> Path:
    """ModelProto with y = x + w, whose w, FP32 [1,4], is the whole of the file at this location."""
    weights = message((1, 1), (1, WIDTH), (2, 1), (8, "w"), (13, external(location)), (14, 1))
    return onnx_of_graph(path, (5, weights))


def external(location: str) -> bytes:
    """StringStringEntryProto, as onnx writes it."""
    return message((1, "location"), (2, location))


def onnx_of_graph(path: Path, *fields: tuple[int, Value]) -> Path:
    """ModelProto with y = x + w, and these fields in its graph."""
    dims = message(*[(1, message((1, size))) for size in (1, WIDTH)])
    kind = message((1, message((1, 1), (2, dims))))
    node = message((1, "x"), (1, "w"), (2, "y"), (4, "Add"))
    ends = ((11, message((1, "x"), (2, kind))), (12, message((1, "y"), (2, kind))))
    graph = message((1, node), (2, "sum"), *fields, *ends)
    return _write(path, message((1, 8), (7, graph), (8, message((1, ""), (2, 13)))))


def saved_model(directory: Path) -> Path:
    """SavedModel with a placeholder and an AddV2, without variables."""
    signature = message(
        (1, message((1, "x"), (2, _tensor_info("x:0")))),
        (2, message((1, "y"), (2, _tensor_info("y:0")))),
        (3, "tensorflow/serving/predict"),
    )
    named = message((1, "serving_default"), (2, signature))
    meta = message((1, message((4, "serve"))), (2, _tensorflow_graph()), (5, named))
    return _write(directory / "saved_model.pb", message((1, 1), (2, meta)))


def frozen_graph(directory: Path) -> Path:
    """GraphDef alone; its tensors are x:0 and y:0."""
    return _write(directory / "graph.pb", _tensorflow_graph())


def _tensorflow_graph() -> bytes:
    floats = message((6, 1))
    shape = message((7, _tensorflow_shape()))
    kind, size = message((1, "dtype"), (2, floats)), message((1, "shape"), (2, shape))
    placeholder = message((1, "x"), (2, "Placeholder"), (5, kind), (5, size))
    add = message((1, "y"), (2, "AddV2"), (3, "x"), (3, "x"), (5, message((1, "T"), (2, floats))))
    return message((1, placeholder), (1, add), (4, message((1, 1645))))


def _tensorflow_shape() -> bytes:
    return message(*[(2, message((1, size))) for size in (1, WIDTH)])


def _tensor_info(name: str) -> bytes:
    return message((1, name), (2, 1), (3, _tensorflow_shape()))


def paddle(directory: Path) -> Path:
    """ProgramDesc: feed, scale by two, fetch; no weights."""
    tensor = message((1, message((1, 5), (2, 1), (2, WIDTH))))
    variables = [
        message((1, "feed"), (2, message((1, 9))), (3, 1)),
        message((1, "fetch"), (2, message((1, 10))), (3, 1)),
        message((1, "x"), (2, message((1, 7), (3, tensor)))),
        message((1, "y"), (2, message((1, 7), (3, tensor)))),
    ]
    operators = [
        message((1, _slot("X", "feed")), (2, _slot("Out", "x")), (3, "feed"), (4, _whole("col", 0))),
        message(
            (1, _slot("X", "x")), (2, _slot("Out", "y")), (3, "scale"),
            (4, message((1, "scale"), (2, 1), (4, 2.0))), (4, message((1, "bias"), (2, 1), (4, 0.0))),
            (4, message((1, "bias_after_scale"), (2, 6), (10, 1))),
        ),
        message((1, _slot("X", "y")), (2, _slot("Out", "fetch")), (3, "fetch"), (4, _whole("col", 0))),
    ]  # fmt: skip
    block = message((1, 0), (2, -1), *[(3, one) for one in variables], *[(4, one) for one in operators])
    _write(directory / "model.pdiparams", b"")
    return _write(directory / "model.pdmodel", message((1, block), (4, message((1, 2004000)))))


def _slot(parameter: str, argument: str) -> bytes:
    return message((1, parameter), (2, argument))


def _whole(name: str, value: int) -> bytes:
    return message((1, name), (2, 0), (3, value))


def tflite(directory: Path) -> Path:
    """A flatbuffer with one ADD."""
    return _write(directory / "model.tflite", base64.b64decode(_TFLITE))


def _write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


_TFLITE = """
CAAAAFRGTDOq////IAAAABAAAABAAAAAIAAAAAMAAAAGAAAAZG91YmxlAAABAAAABAAAAFT///8BAAAAEAAAAAAACgAIAAAAAAAE
AAoAAAABAAAAAQAAABQAAAAAAA4AGAAUABAADAAIAAQADgAAABQAAAAsAAAAGAAAABwAAABoAAAABAAAAG1haW4AAAAAAQAAAAEA
AAABAAAAAAAAAAEAAAAUAAAAAAAOABQAAAAQAAwACwAEAA4AAAAoAAAAAAAACwgAAAAMAAAAAQAAAAEAAAACAAAAAAAAAAAAAAAE
AAQABAAAAAIAAAA0AAAABAAAAOD///8UAAAABAAAAAIAAAABAAAABAAAAAEAAAB5AAAADAAMAAgAAAAAAAQADAAAABQAAAAEAAAA
AgAAAAEAAAAEAAAAAQAAAHgAAAA=
"""
