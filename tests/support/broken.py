"""Models that a server must not take, or that fail at a request, each for one reason.

Those of `VERSIONS` write a whole version directory; the others give a network to save.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset6
from openvino import opset13 as ops

from tests.support import models


def at_the_first_inference(shape=(1, 10)) -> ov.Model:
    """b -> a as `models.dummy`, read and compiled without a complaint; fails for zeros, as in warming up.

    Inside, b becomes rows of two, as many as its first value says.
    """
    b, rows = _with_rows_from_data(shape)
    rows.output(0).set_names({"a"})
    return ov.Model([rows], [b], "dummy")


def for_some_data(shape=(1, 10)) -> ov.Model:
    """b -> a, the sum of b; zeros are served, and any other first value than zero fails."""
    b, rows = _with_rows_from_data(shape, more=shape[-1] // 2)
    total = ops.reduce_sum(rows, ops.constant(np.array([0, 1], np.int64)), keep_dims=False)
    total.output(0).set_names({"a"})
    return ov.Model([total], [b], "dummy")


def _with_rows_from_data(shape, more: int = 0):
    b = ops.parameter(list(shape), np.float32, name="b")
    b.output(0).set_names({"b"})
    flat = ops.reshape(b, ops.constant(np.array([-1], np.int64)), special_zero=False)
    first = ops.gather(flat, ops.constant(np.array([0], np.int64)), ops.constant(np.int64(0)))
    number = ops.add(ops.convert(first, np.int64), ops.constant(np.int64(more)))
    target = ops.concat([number, ops.constant(np.array([2], np.int64))], 0)
    return b, ops.reshape(flat, target, special_zero=False)


def lookup(rows: int = 4) -> ov.Model:
    """ids -> y, the sum of two rows of a table; shapes are fixed throughout, an id beyond `rows` fails."""
    ids = ops.parameter([1, 2], np.int64, name="ids")
    ids.output(0).set_names({"ids"})
    table = np.arange(rows * 2, dtype=np.float32).reshape(rows, 2)
    node = ops.embedding_bag_packed_sum(ops.constant(table), ids)
    node.output(0).set_names({"y"})
    return ov.Model([node], [ids], "lookup")


def stateful(variable: str = "total") -> ov.Model:
    """x -> y, the sum of all x so far."""
    x = ops.parameter([1], np.float32, name="x")
    x.output(0).set_names({"x"})
    before = opset6.read_value(
        ops.constant(np.zeros(1, np.float32)), variable, ov.Type.f32, ov.PartialShape([1])
    )
    total = ops.add(before, x)
    total.output(0).set_names({"y"})
    return ov.Model([ops.result(total)], [opset6.assign(total, variable)], [x], "stateful")


def weights_cut(directory: Path) -> None:
    """Half of the weights are missing."""
    weights = models.save(dense(), directory) / "model.bin"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])


def graph_cut(directory: Path) -> None:
    """The file ends in the middle."""
    graph = models.save(models.dummy(), directory) / "model.xml"
    graph.write_text(graph.read_text()[: graph.stat().st_size // 2])


def graph_of_another(directory: Path) -> None:
    """A graph beside the weights of a smaller model."""
    weights = (models.save(models.dummy(), directory) / "model.bin").read_bytes()
    (models.save(dense(), directory) / "model.bin").write_bytes(weights)


def wrong_rank(directory: Path) -> None:
    """The graph's operations need an input of two dimensions, and it says one."""
    graph = models.save(dense(), directory) / "model.xml"
    graph.write_text(
        graph.read_text().replace('shape="1,10" element_type="f32"', 'shape="7" element_type="f32"', 1)
    )


def fails_at_first(directory: Path) -> None:
    """Loads, and fails at the first inference."""
    models.save(at_the_first_inference(), directory)


def keeps_state(directory: Path) -> None:
    """Stateful."""
    models.save(stateful(), directory)


def dense() -> ov.Model:
    """b -> a: FP32 [1,10] times a matrix."""
    b = ops.parameter([1, 10], np.float32, name="b")
    b.output(0).set_names({"b"})
    weights = ops.constant(np.full((10, 10), 0.5, np.float32))
    node = ops.matmul(b, weights, transpose_a=False, transpose_b=False)
    node.output(0).set_names({"a"})
    return ov.Model([node], [b], "dense")


VERSIONS: dict[str, Callable[[Path], None]] = {
    "weights cut": weights_cut,
    "graph cut": graph_cut,
    "weights of another model": graph_of_another,
    "wrong rank": wrong_rank,
    "fails at the first inference": fails_at_first,
    "keeps state": keeps_state,
}
"""Whole version directories none of which may be served."""
