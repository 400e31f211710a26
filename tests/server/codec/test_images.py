"""JPEG and PNG as inputs: decoded by the server, equal to OpenCV's pixels."""

import json
import struct

import cv2
import numpy as np
import pytest
import tritonclient.grpc as triton

from modelserver.codec import image as image_codec
from modelserver.errors import InvalidRequest
from modelserver.signature import Spec

HEADER = "Inference-Header-Content-Length"
RNG = np.random.default_rng(7)


def pixels(height=8, width=6, channels=3):
    return RNG.integers(0, 256, (height, width, channels), np.uint8)


def encoded(image, suffix=".png"):
    return cv2.imencode(suffix, image)[1].tobytes()


def post(server, model, images, shape=None):
    tail = b"".join(struct.pack("<I", len(image)) + image for image in images)
    tensor = {
        "name": "image",
        "shape": shape or [len(images)],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(tail)},
    }
    head = json.dumps({"inputs": [tensor]}).encode()
    status, raw, _ = server.post(f"/v2/models/{model}/infer", head + tail, **{HEADER: str(len(head))})
    return status, json.loads(raw)


def picture(answer):
    output = answer["outputs"][0]
    return np.array(output["data"], np.uint8).reshape(output["shape"])


def test_a_png_arrives_pixel_by_pixel_in_bgr(server):
    image = pixels()
    status, answer = post(server, "picture", [encoded(image)])
    assert status == 200, answer
    assert np.array_equal(picture(answer)[0], image)


def test_a_jpeg_is_what_opencv_makes_of_it(server):
    raw = encoded(pixels(), ".jpg")
    want = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(picture(post(server, "picture", [raw])[1])[0], want)


def test_another_size_is_resized_to_the_models(server):
    image = pixels(31, 17)
    want = cv2.resize(image, (6, 8), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(picture(post(server, "picture", [encoded(image)])[1])[0], want)


def test_a_planar_model_with_a_layout_takes_images_too(server):
    image = pixels()
    status, answer = post(server, "planar", [encoded(image)])
    assert status == 200, answer
    assert np.array_equal(picture(answer)[0].transpose(1, 2, 0), image)


def test_grpc_takes_images_in_typed_and_raw_contents(server):
    image = pixels()
    tensor = triton.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([encoded(image)], object))
    with triton.InferenceServerClient(server.grpc) as client:
        assert np.array_equal(client.infer("picture", [tensor]).as_numpy("image")[0], image)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        pytest.param([b""], "empty", id="nothing"),
        pytest.param([b"this is a text file"], "parsing failed", id="text"),
        pytest.param([encoded(pixels(), ".png")[:60]], "parsing failed", id="truncated"),
        pytest.param([encoded(pixels(channels=1))], "number of channels", id="gray"),
        pytest.param([encoded(pixels(channels=4))], "number of channels", id="alpha"),
        pytest.param([encoded(pixels())] * 2, "batch size", id="two"),
    ],
)
def test_a_wrong_image_is_a_400_that_says_why(server, images, message):
    status, answer = post(server, "picture", images)
    assert (status, message in answer["error"]) == (400, True), answer


def test_a_small_file_that_describes_a_huge_picture_is_refused(server):
    bomb = encoded(np.zeros((20000, 20000), np.uint8))
    assert len(bomb) < 1_000_000
    status, answer = post(server, "picture", [bomb])
    assert (status, "too many pixels" in answer["error"]) == (400, True), answer


def test_images_for_a_planar_model_without_layout_are_refused_with_the_fix():
    spec = Spec("image", frozenset(["image"]), "UINT8", ((1, 1), (3, 3), (8, 8), (6, 6)), "")
    with pytest.raises(InvalidRequest, match="layout NHWC:NCHW"):
        image_codec.decode(np.array([encoded(pixels())], object), spec)


@pytest.mark.parametrize(
    ("datatype", "picture_", "suffix", "want"),
    [
        ("UINT8", np.full((8, 6, 3), 60000, np.uint16), ".png", 255),
        ("UINT8", np.full((8, 6, 3), 300.5, np.float32), ".tiff", 255),
        ("INT8", np.full((8, 6, 3), 200, np.uint8), ".png", 127),
        ("FP32", np.full((8, 6, 3), 60000, np.uint16), ".png", 60000),
        ("BF16", np.full((8, 6, 3), 1, np.uint8), ".png", 0x3F80),
    ],
)
def test_pixels_beyond_the_datatype_become_its_limit(datatype, picture_, suffix, want):
    spec = Spec("image", frozenset(["image"]), datatype, ((1, 1), (8, 8), (6, 6), (3, 3)), "NHWC")
    decoded = image_codec.decode(np.array([encoded(picture_, suffix)], object), spec)
    assert (decoded == want).all()
