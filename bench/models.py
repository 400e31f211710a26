"""The models that are measured, built here with OpenVINO's operations: nothing is downloaded."""

from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops

RESNET_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Width and number of bottlenecks of ResNet-50's stages."""


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
    random = np.random.default_rng(50)
    image = _input([1, 3, 224, 224], np.float32, "data", "NCHW")
    node = _convolution(random, image, 64, 7, 2)
    node = ops.max_pool(node, [2, 2], [1, 1], [1, 1], [1, 1], [3, 3]).output(0)
    for stage, (width, blocks) in enumerate(RESNET_STAGES):
        for block in range(blocks):
            node = _bottleneck(random, node, width, 2 if stage and not block else 1)
    pooled = ops.reduce_mean(node, ops.constant(np.array([2, 3], np.int64)), keep_dims=False)
    weights = ops.constant((random.standard_normal((2048, 1000)) * 0.01).astype(np.float32))
    return _model(ops.matmul(pooled, weights, False, False), image, "resnet50-random", "prob")


def _bottleneck(random: np.random.Generator, node: ov.Output, width: int, stride: int) -> ov.Output:
    shortcut = node
    if node.get_partial_shape()[1].get_length() != width * 4:
        shortcut = _convolution(random, node, width * 4, 1, stride, active=False)
    inner = _convolution(random, node, width, 1, 1)
    inner = _convolution(random, inner, width, 3, stride)
    inner = _convolution(random, inner, width * 4, 1, 1, active=False)
    return ops.relu(ops.add(inner, shortcut)).output(0)


def _convolution(  # noqa: PLR0913 - a convolution has these
    random: np.random.Generator, node: ov.Output, width: int, kernel: int, stride: int, *, active: bool = True
) -> ov.Output:
    channels = (
        node.output(0).get_partial_shape()[1] if isinstance(node, ov.Node) else node.get_partial_shape()[1]
    )
    fan_in = channels.get_length() * kernel * kernel
    values = random.standard_normal((width, channels.get_length(), kernel, kernel)) * (2 / fan_in) ** 0.5
    pads = [kernel // 2, kernel // 2]
    weights = ops.constant(values.astype(np.float32))
    made = ops.convolution(node, weights, [stride, stride], pads, pads, [1, 1])
    biased = ops.add(made, ops.constant(np.zeros((1, width, 1, 1), np.float32)))
    return (ops.relu(biased) if active else biased).output(0)
