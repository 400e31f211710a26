"""Model files for the examples and the tests, from a package index instead of a model hub.

`text-orientation` is PP-OCR's orientation classifier with its real weights, taken out of the
`rapidocr-onnxruntime` wheel. `resnet` is ResNet-50's topology with random weights, for speed only.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

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

        from devcluster.demo import resnet  # noqa: PLC0415

        (root / "1").mkdir(parents=True, exist_ok=True)
        ov.save_model(resnet.model(), root / "1" / "model.xml")
    return root


def _write(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    part.write_bytes(content)
    part.rename(target)
