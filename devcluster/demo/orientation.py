"""The input of the first example, and the result of bare OpenVINO for it.

The input is a JPEG of a line of text, upright or upside down; the result is two
probabilities: upright, upside down.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

HEIGHT, WIDTH = 48, 192
LABELS = ("upright", "upside down")


def picture(*, upside_down: bool = False) -> bytes:
    """Draw a line of text and return it as a JPEG of the model's resolution."""
    image = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    cv2.putText(image, "OpenVINO", (8, 36), cv2.FONT_HERSHEY_SIMPLEX, 1.15, (0, 0, 0), 3, cv2.LINE_AA)
    if upside_down:
        image = np.ascontiguousarray(image[::-1, ::-1])
    return cv2.imencode(".jpg", image)[1].tobytes()


def pixels(jpeg: bytes) -> NDArray[np.uint8]:
    """Decode a JPEG to the array the served model takes: [1, 48, 192, 3] UINT8, BGR."""
    decoded: NDArray[np.uint8] = np.asarray(
        cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8
    )
    return decoded[None]


class BareOpenVINO:
    """The same model file in this process, without a server and without any code of the project."""

    def __init__(self, model: Path, properties: dict[str, Any]) -> None:
        """Compile `model` (an ONNX file) for the CPU with OpenVINO properties."""
        import openvino as ov  # noqa: PLC0415 - the other commands do not need this half second

        network = ov.Core().read_model(model)
        network.reshape([1, 3, HEIGHT, WIDTH])
        self._compiled = ov.Core().compile_model(network, "CPU", properties)

    def infer(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the two probabilities, [1, 2] FP32, with the normalisation of PP-OCR."""
        normalised = (image.astype(np.float32) - 127.5) / 127.5
        result = self._compiled(np.ascontiguousarray(normalised.transpose(0, 3, 1, 2)))
        probabilities: NDArray[np.float32] = result[0]
        return probabilities
