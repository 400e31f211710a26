"""Small models built with OpenVINO's own operations, each for one behaviour."""

import re
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops


def save(model: ov.Model, directory: Path) -> Path:
    """Write an IR into a version directory and give that directory."""
    directory.mkdir(parents=True, exist_ok=True)
    ov.save_model(model, directory / "model.xml", compress_to_fp16=False)
    return directory


def strip_names(directory: Path) -> Path:
    """Take the tensors' names out of a saved IR, as files of older converters have none."""
    graph = directory / "model.xml"
    graph.write_text(re.sub(r' (output_)?names="[^"]*"', "", graph.read_text()))
    return directory


def _parameter(shape, dtype, name):
    wanted = shape if isinstance(shape, ov.PartialShape) else ov.PartialShape(list(shape))
    node = ops.parameter(wanted, dtype, name=name)
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
    """x -> x, unchanged: nothing computes, so no datatype is narrowed on the way."""
    x = _parameter(shape, dtype, "x")
    return ov.Model([ops.result(x)], [x], "passthrough")


DTYPES = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "BF16": ov.Type.bf16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": ov.Type.string,
}


def two() -> ov.Model:
    """Two inputs and two outputs of different types: sum = x + n, copy = n."""
    x = _parameter([-1, 2], np.float32, "x")
    n = _parameter([-1, 2], np.int32, "n")
    total = _result(ops.add(x, ops.convert(n, np.float32)), "sum")
    copy = _result(ops.add(n, ops.constant(np.int32(0))), "copy")
    return ov.Model([total, copy], [x, n], "two")


def picture(size=(8, 6), *, channels_first: bool = False) -> ov.Model:
    """An image as it came: U8 [1,H,W,3], or [1,3,H,W]."""
    shape = [1, 3, *size] if channels_first else [1, *size, 3]
    image = _parameter(shape, np.uint8, "image")
    model = ov.Model([ops.result(image)], [image], "picture")
    if not channels_first:
        image.set_layout(ov.Layout("NHWC"))
    return model


def slow(width: int = 1024, layers: int = 24) -> ov.Model:
    """Tens of milliseconds of matrix products."""
    x = _parameter([64, width], np.float32, "x")
    weights = ops.constant(np.random.default_rng(1).random((width, width), np.float32) / width)
    node = x
    for _ in range(layers):
        node = ops.matmul(node, weights, False, False)
    return ov.Model([_result(node, "y")], [x], "slow")


def reshaped() -> ov.Model:
    """x of any length as 2 x 3: every length but six fails inside OpenVINO."""
    x = _parameter([-1], np.float32, "x")
    node = ops.reshape(x, ops.constant(np.array([2, 3], np.int64)), False)
    return ov.Model([_result(node, "y")], [x], "reshaped")


def branching(*, of_data: bool = False) -> ov.Model:
    """x -> y, x + 1 where `which`, otherwise x + 2; `of_data`: sizes in the branches depend on the data."""
    x = _parameter([2], np.float32, "x")
    which = _parameter([], np.bool_, "which")
    choice = ops.if_op(which)
    bodies = [_branch(plus, of_data=of_data) for plus in (1.0, 2.0)]
    (then, then_x), (other, other_x) = bodies
    choice.set_then_body(then)
    choice.set_else_body(other)
    choice.set_input(x.output(0), then_x, other_x)
    y = choice.set_output(then.get_results()[0], other.get_results()[0])
    y.set_names({"y"})
    return ov.Model([ops.result(y)], [x, which], "branching")


def _branch(plus: float, *, of_data: bool):
    x = ops.parameter([2], np.float32)
    node = ops.add(x, ops.constant(np.float32(plus)))
    if of_data:
        places = ops.non_zero(ops.add(ops.abs(x), ops.constant(np.float32(1))))  # all of them
        node = ops.reshape(
            ops.gather(node, places, ops.constant(np.int64(0))), ops.constant(np.array([2])), False
        )
    return ov.Model([ops.result(node)], [x], "branch"), x


def several(outputs: str = "abca", shape=(1, 4), *, named: bool = True) -> ov.Model:
    """x -> for each letter of `outputs` an output: a = x + 1, b = x + 2 and so on; a letter may come again.

    Without names, OpenVINO makes up some, with the number of the node.
    """
    x = ops.parameter(list(shape), np.float32, **({"name": "x"} if named else {}))
    if named:
        x.output(0).set_names({"x"})
    nodes = {}
    for letter in outputs:
        plus = ops.constant(np.float32("abcdefgh".index(letter) + 1))
        node = nodes.setdefault(letter, ops.add(x, plus))
        if named:
            node.output(0).set_names({letter})
    return ov.Model([ops.result(nodes[letter]) for letter in outputs], [x], "several")
