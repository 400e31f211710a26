"""ResNet-50's topology (He et al., table 1, 50-layer column) with random He-normal weights."""

import numpy as np
import openvino as ov
from openvino import opset13 as ops

STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Width, number of bottlenecks and stride of each stage."""
INPUT, OUTPUT = "map/TensorArrayStack/TensorArrayGatherV3", "softmax_tensor"
"""The names of the seed's TensorFlow model."""


def model() -> ov.Model:
    """The seed's interface: [1,224,224,3] FP32 to the probabilities of 1000 classes."""
    image = ops.parameter([1, 224, 224, 3], np.float32, name=INPUT)
    image.output(0).set_names({INPUT})
    channels_first = ops.transpose(image, np.array([0, 3, 1, 2])).output(0)
    result = ops.softmax(logits(channels_first), axis=1)
    result.output(0).set_names({OUTPUT})
    return ov.Model([result], [image], "resnet-50-random-weights")


def logits(image: ov.Output) -> ov.Output:
    """Everything between an image [1,3,224,224] and the values of the classes [1,1000]."""
    random = np.random.default_rng(50)
    x = ops.relu(_convolution(random, image, 64, kernel=7, stride=2)).output(0)
    x = ops.max_pool(x, [2, 2], [1, 1], [1, 1], [1, 1], [3, 3], index_element_type="i64").output(0)
    for width, blocks, stride in STAGES:
        for block in range(blocks):
            x = _bottleneck(random, x, width, stride if block == 0 else 1)
    x = ops.reshape(ops.reduce_mean(x, np.array([2, 3])), np.array([1, 2048]), special_zero=False)
    weights = random.normal(0, 0.01, (2048, 1000)).astype(np.float32)
    return ops.matmul(x, weights, transpose_a=False, transpose_b=False).output(0)


def _bottleneck(random: np.random.Generator, x: ov.Output, width: int, stride: int) -> ov.Output:
    """One residual block; its branch is damped, as sixteen of them would overflow otherwise."""
    shortcut = x
    if stride != 1 or _channels(x) != 4 * width:
        shortcut = _convolution(random, x, 4 * width, kernel=1, stride=stride)
    y = ops.relu(_convolution(random, x, width, kernel=1)).output(0)
    y = ops.relu(_convolution(random, y, width, kernel=3, stride=stride)).output(0)
    y = ops.multiply(_convolution(random, y, 4 * width, kernel=1), np.float32(0.2))
    return ops.relu(ops.add(y, shortcut)).output(0)


def _convolution(
    random: np.random.Generator, x: ov.Output, width: int, *, kernel: int, stride: int = 1
) -> ov.Output:
    """A square convolution that changes the resolution only by its stride."""
    fan_in = _channels(x) * kernel * kernel
    shape = (width, _channels(x), kernel, kernel)
    weights = random.normal(0, float(np.sqrt(2 / fan_in)), shape).astype(np.float32)
    padding = [kernel // 2, kernel // 2]
    return ops.convolution(x, weights, [stride, stride], padding, padding, [1, 1]).output(0)


def _channels(x: ov.Output) -> int:
    return int(x.get_partial_shape()[1].get_length())
