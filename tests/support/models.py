"""Small models built with OpenVINO's own operations, each for one behaviour."""

from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops


def save(model: ov.Model, directory: Path) -> Path:
    """Write an IR into a version directory and give that directory."""
    directory.mkdir(parents=True, exist_ok=True)
    ov.save_model(model, directory / "model.xml", compress_to_fp16=False)
    return directory


def _parameter(shape, dtype, name):
    node = ops.parameter(ov.PartialShape(shape), dtype, name=name)
    node.output(0).set_names({name})
    return node


def _result(node, name):
    node.output(0).set_names({name})
    return node


def dummy(plus: float = 1.0, shape=(1, 10)) -> ov.Model:
    """b -> a = b + plus."""
    b = _parameter(list(shape), np.float32, "b")
    return ov.Model([_result(ops.add(b, ops.constant(np.float32(plus))), "a")], [b], "dummy")


def passthrough(dtype, shape=(-1,)) -> ov.Model:
    """x -> y, unchanged."""
    x = _parameter(list(shape), dtype, "x")
    copy = ops.result(x)
    copy.output(0).set_names({"y"})
    return ov.Model([copy], [x], "passthrough")
