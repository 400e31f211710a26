"""Model files for the examples and the tests, from a package index instead of a model hub.

`text-orientation` is PP-OCR's orientation classifier with its real weights, taken out of the
`rapidocr-onnxruntime` wheel. `resnet` is ResNet-50's topology with random weights, for speed only.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

PACKAGE = "rapidocr-onnxruntime==1.4.4"
CLASSIFIER = "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx"


def text_orientation(cache: Path) -> Path:
    """Return the model directory (with version 1 inside) of the orientation classifier."""
    root = cache / "models" / "text-orientation"
    target = root / "1" / "model.onnx"
    if not target.exists():
        with tempfile.TemporaryDirectory() as scratch:
            pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", scratch, PACKAGE]
            subprocess.run(pip, check=True)
            with zipfile.ZipFile(next(Path(scratch).glob("*.whl"))) as wheel:
                _write(target, wheel.read(CLASSIFIER))
    return root


def resnet50(cache: Path) -> Path:
    """Return the model directory of ResNet-50's topology, random weights: [1,224,224,3] FP32 to [1,1000]."""
    root = cache / "models" / "resnet"
    if not (root / "1" / "model.xml").exists():
        import openvino as ov  # noqa: PLC0415 - the other commands do not need this half second

        (root / "1").mkdir(parents=True, exist_ok=True)
        ov.save_model(_resnet50_model(), root / "1" / "model.xml")
    return root


def _write(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    part.write_bytes(content)
    part.rename(target)


def _resnet50_model() -> Any:
    """Build He et al.'s table 1, 50-layer column, with random He-normal weights."""
    import openvino as ov  # noqa: PLC0415
    from openvino import opset13 as ops  # noqa: PLC0415

    random = np.random.default_rng(50)
    name = "map/TensorArrayStack/TensorArrayGatherV3"  # the input's name in the seed's TensorFlow model
    image = ops.parameter([1, 224, 224, 3], np.float32, name=name)
    image.output(0).set_names({name})
    x = ops.transpose(image, np.array([0, 3, 1, 2])).output(0)
    x = ops.relu(_convolution(x, 64, (7, 2), random)).output(0)
    x = ops.max_pool(x, [2, 2], [1, 1], [1, 1], [1, 1], [3, 3], index_element_type="i64").output(0)
    for width, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for block in range(blocks):
            x = _bottleneck(x, width, stride if block == 0 else 1, random)
    x = ops.reshape(ops.reduce_mean(x, np.array([2, 3])), np.array([1, 2048]), special_zero=False)
    weights = random.normal(0, 0.01, (2048, 1000)).astype(np.float32)
    result = ops.softmax(ops.matmul(x, weights, transpose_a=False, transpose_b=False), axis=1)
    result.output(0).set_names({"softmax_tensor"})
    return ov.Model([result], [image], "resnet-50-random-weights")


def _convolution(
    x: Any, channels: int, kernel_and_stride: tuple[int, int], random: np.random.Generator
) -> Any:
    """Add a square convolution that keeps the size but for its stride."""
    from openvino import opset13 as ops  # noqa: PLC0415

    kernel, stride = kernel_and_stride
    source = _channels(x)
    deviation = float(np.sqrt(2 / (source * kernel * kernel)))
    weights = random.normal(0, deviation, (channels, source, kernel, kernel)).astype(np.float32)
    padding = [kernel // 2, kernel // 2]
    return ops.convolution(x, weights, [stride, stride], padding, padding, [1, 1]).output(0)


def _bottleneck(x: Any, width: int, stride: int, random: np.random.Generator) -> Any:
    """Add one residual block; its branch is damped so that sixteen of them do not blow up."""
    from openvino import opset13 as ops  # noqa: PLC0415

    shortcut = x
    if stride != 1 or _channels(x) != 4 * width:
        shortcut = _convolution(x, 4 * width, (1, stride), random)
    y = ops.relu(_convolution(x, width, (1, 1), random)).output(0)
    y = ops.relu(_convolution(y, width, (3, stride), random)).output(0)
    y = ops.multiply(_convolution(y, 4 * width, (1, 1), random), np.float32(0.2))
    return ops.relu(ops.add(y, shortcut)).output(0)


def _channels(x: Any) -> int:
    return int(x.get_partial_shape()[1].get_length())
