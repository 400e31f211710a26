"""JPEG, PNG and whatever else OpenCV reads: encoded images to the array a model's input wants.

As in OVMS: blue-green-red order, EXIF ignored, resized only when the sizes differ, no
normalisation; colour order, mean and scale belong into the model (`color_format`, `mean`, `scale`).
"""

import functools
import os
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelserver.errors import InvalidRequest
from modelserver.signature import Spec
from modelserver.tensors import NUMPY, to_bf16

MAX_PIXELS = 100_000_000
"""Of one image, and of one request: a small file can describe a huge picture. These fit into 300 MB."""


@functools.cache
def _cv2() -> ModuleType:
    """Loaded with the first image: most servers never see one. The limit is read while loading."""
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
    import cv2  # noqa: PLC0415

    cv2.setNumThreads(1)
    return cv2


def decode(images: NDArray[Any], spec: Spec) -> NDArray[Any]:
    """A batch of encoded images as one NHWC array; takes milliseconds, so never on the loop."""
    _check_layout(spec)
    if images.ndim != 1 or not images.size:
        raise InvalidRequest(f"Images are sent with the shape [number of images]; input name: {spec.name}")
    low, high = spec.dims[0]
    if not low <= images.size or (high >= 0 and images.size > high):
        raise InvalidRequest(
            f"Invalid input batch size - Expected: {spec.bounds[0]}; Actual: {images.size};"
            f" input name: {spec.name}"
        )
    first = _decode_one(images[0], spec)
    if images.size * first.shape[0] * first.shape[1] > MAX_PIXELS:
        raise InvalidRequest(
            f"Image parsing failed: together they have too many pixels; input name: {spec.name}"
        )
    if images.size == 1:
        return _fitting(first, spec).astype(NUMPY[spec.datatype], copy=False)[np.newaxis]
    batch = np.empty((images.size, *first.shape), NUMPY[spec.datatype])
    batch[0] = _fitting(first, spec)
    for place, encoded in zip(batch[1:], images[1:], strict=True):
        picture = _decode_one(encoded, spec)
        if picture.shape != first.shape:
            raise InvalidRequest(
                "Binary input images for this endpoint are required to have the same resolution:"
                f" {first.shape[:2]} and {picture.shape[:2]}; input name: {spec.name}"
            )
        place[...] = _fitting(picture, spec)
    return batch


def _fitting(picture: NDArray[Any], spec: Spec) -> NDArray[Any]:
    """Values beyond the input's datatype become its greatest or least, as in OVMS."""
    if spec.datatype == "BF16":
        return to_bf16(picture.astype(np.float32))
    dtype = NUMPY[spec.datatype]
    if dtype.kind not in "iu" or np.can_cast(picture.dtype, dtype):
        return picture
    limits = np.iinfo(dtype)
    if picture.dtype.kind == "f":
        clipped: NDArray[Any] = np.clip(np.rint(picture), limits.min, limits.max)
        return clipped
    lowered: NDArray[Any] = np.minimum(picture, limits.max)
    return lowered


def _check_layout(spec: Spec) -> None:
    """Images are NHWC; a layout nobody told is guessed from where the channels can be."""
    layout = spec.layout or "NCHW"
    looks_nchw = not spec.layout and spec.shape[1] in (1, 3, 4) and spec.shape[3] not in (1, 3, 4)
    if looks_nchw or spec.layout not in ("", "NHWC", "N?HWC", "N..."):
        raise InvalidRequest(
            "Received binary image input but resource not configured to accept NHWC layout:"
            f" input {spec.name} is {layout}. Serve the model with layout NHWC:{layout}."
        )


def _decode_one(encoded: bytes, spec: Spec) -> NDArray[Any]:
    cv2 = _cv2()
    if not encoded:
        raise InvalidRequest(f"Bytes contents is empty; input name: {spec.name}")
    try:
        picture = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
        if picture is None:
            raise InvalidRequest(
                f"Image parsing failed: no known image format, or damaged; input name: {spec.name}"
            )
        if picture.ndim == 2:
            picture = picture[..., np.newaxis]
        _check_channels(picture.shape[2], spec)
        return _resized(picture, spec)
    except cv2.error as error:
        reason = "it has too many pixels" if "pixels" in str(error).lower() else "it cannot be decoded"
        raise InvalidRequest(f"Image parsing failed: {reason}; input name: {spec.name}") from error


_KINDS = {1: "gray", 3: "colour", 4: "colour with transparency"}


def _check_channels(channels: int, spec: Spec) -> None:
    low, high = spec.dims[3]
    if channels < low or (high >= 0 and channels > high):
        raise InvalidRequest(
            f"Invalid number of channels in binary input - Expected: {spec.bounds[3]}; Actual: {channels};"
            f" input name: {spec.name}. This image is {_KINDS.get(channels, 'something else')}:"
            f" convert it to {_KINDS.get(low, 'what the model takes')} before sending"
        )


def _resized(picture: NDArray[Any], spec: Spec) -> NDArray[Any]:
    """To the model's size, or the nearest one that a range allows."""
    height, width, _ = picture.shape
    wanted = _clamped(height, spec.dims[1]), _clamped(width, spec.dims[2])
    if wanted == (height, width):
        return picture
    resized: NDArray[Any] = _cv2().resize(picture, (wanted[1], wanted[0]), interpolation=_cv2().INTER_LINEAR)
    return resized if resized.ndim == 3 else resized[..., np.newaxis]


def _clamped(size: int, bounds: tuple[int, int]) -> int:
    low, high = bounds
    return max(size, low) if high < 0 else min(max(size, low), high)
