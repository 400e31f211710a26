"""Request bodies, written once per run into files that wrk and ghz read."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from modelserver import proto

HEADER = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class Body:
    """One request: the file with its bytes, and the headers that explain them."""

    file: Path
    headers: dict[str, str]

    @property
    def size(self) -> int:
        return self.file.stat().st_size


def _envelope(name: str, shape: list[int], datatype: str, **more: Any) -> dict[str, Any]:
    return {"inputs": [{"name": name, "shape": shape, "datatype": datatype, **more}]}


def as_json(file: Path, name: str, array: NDArray[np.float32], decimals: int | None = None) -> Body:
    """Numbers as text, in full or rounded."""
    values = array.ravel().astype(np.float64)
    listed = (values if decimals is None else values.round(decimals)).tolist()
    file.write_text(json.dumps(_envelope(name, list(array.shape), "FP32", data=listed)))
    return Body(file, {"Content-Type": "application/json"})


def as_binary(file: Path, name: str, array: NDArray[np.float32]) -> Body:
    """The binary extension, both ways."""
    head = _envelope(name, list(array.shape), "FP32", parameters={"binary_data_size": array.nbytes})
    return _with_tail(file, head | {"parameters": {"binary_data_output": True}}, array.tobytes())


def as_jpeg(file: Path, name: str, image: NDArray[np.uint8]) -> Body:
    """An encoded image in the binary extension."""
    encoded = cv2.imencode(".jpg", image)[1].tobytes()
    tail = len(encoded).to_bytes(4, "little") + encoded
    return _with_tail(file, _envelope(name, [1], "BYTES", parameters={"binary_data_size": len(tail)}), tail)


def _with_tail(file: Path, head: dict[str, Any], tail: bytes) -> Body:
    text = json.dumps(head).encode()
    file.write_bytes(text + tail)
    return Body(file, {"Content-Type": "application/octet-stream", HEADER: str(len(text))})


def as_grpc(file: Path, model: str, name: str, array: NDArray[np.float32]) -> Body:
    """A ModelInferRequest with raw contents."""
    request = proto.ModelInferRequest(model_name=model, raw_input_contents=[array.tobytes()])
    request.inputs.add(name=name, datatype="FP32", shape=array.shape)
    message = request.SerializeToString()
    if b"{{" in message:
        raise ValueError("ghz would take {{ in the message for a template: choose other values")
    file.write_bytes(message)
    return Body(file, {})


def smooth_image(size: int = 224) -> NDArray[np.uint8]:
    """Something that compresses as photographs do: soft shapes and a little noise."""
    random = np.random.default_rng(9)
    coarse = random.integers(0, 255, (8, 8, 3), np.uint8)
    soft = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    noisy: NDArray[np.uint8] = np.clip(soft + random.normal(0, 6, soft.shape), 0, 255).astype(np.uint8)
    return noisy
