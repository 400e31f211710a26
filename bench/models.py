"""The models that are measured, built here with OpenVINO's operations: nothing is downloaded."""

from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from devcluster.demo.resnet import logits


def save(model: ov.Model, directory: Path) -> Path:
    """Write version 1 of a model below `directory`, unless it is there, and give the directory."""
    target = directory / "1" / "model.xml"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        ov.save_model(model, target, compress_to_fp16=False)
    return directory


def _input(shape: list[int], dtype: object, name: str, layout: str | None = None) -> ov.Node:
    node = ops.parameter(ov.PartialShape(shape), dtype, name=name)
    node.output(0).set_names({name})
    if layout:
        node.set_layout(ov.Layout(layout))
    return node


def _model(result: ov.Node, parameter: ov.Node, name: str, output: str) -> ov.Model:
    result.output(0).set_names({output})
    return ov.Model([result], [parameter], name)


def dummy(shape: tuple[int, ...] = (1, 10), name: str = "dummy") -> ov.Model:
    """B -> a = b + 1."""
    b = _input(list(shape), np.float32, "b")
    return _model(ops.add(b, ops.constant(np.float32(1))), b, name, "a")


def slow() -> ov.Model:
    """B [64,1024] -> a: tens of milliseconds of matrix products."""
    b = _input([64, 1024], np.float32, "b")
    weights = ops.constant(np.random.default_rng(1).random((1024, 1024), np.float32) / 1024)
    node = b
    for _ in range(24):
        node = ops.matmul(node, weights, False, False)
    return _model(node, b, "slow", "a")


def picture() -> ov.Model:
    """A 224x224 colour image as float -> its mean per channel: almost nothing but the input's way in."""
    image = _input([1, 224, 224, 3], np.float32, "image", "NHWC")
    mean = ops.reduce_mean(image, ops.constant(np.array([1, 2], np.int64)), keep_dims=False)
    return _model(mean, image, "picture", "mean")


def resnet() -> ov.Model:
    """ResNet-50's topology with random weights: its cost, not its knowledge."""
    image = _input([1, 3, 224, 224], np.float32, "data", "NCHW")
    return _model(logits(image.output(0)).get_node(), image, "resnet50-random", "prob")
