"""Encoded images sent to a real server: sizes, colours, broken and hostile files."""

import json
import struct
from zlib import crc32

import cv2
import grpc
import numpy as np
import openvino as ov
import psutil
import pytest
from openvino import opset13 as ops

from modelserver import proto
from tests.support import models
from tests.support.rest import infer, one_input
from tests.support.server_process import ServerProcess

HEADER = "Inference-Header-Content-Length"
RNG = np.random.default_rng(11)
FORMATS = [".png", ".jpg", ".bmp", ".webp", ".tiff"]


def image_model(shape, dtype=np.uint8, layout=None):
    x = ops.parameter(ov.PartialShape(list(shape)), dtype, name="image")
    x.output(0).set_names({"image"})
    if layout:
        x.set_layout(ov.Layout(layout))
    return ov.Model([ops.result(x)], [x], "image")


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """One server with a model for every kind of input."""
    root = tmp_path_factory.mktemp("gallery")
    kinds = {
        "colour": image_model((1, 8, 6, 3), layout="NHWC"),
        "gray": image_model((1, 8, 6, 1), layout="NHWC"),
        "alpha": image_model((1, 8, 6, 4), layout="NHWC"),
        "float": image_model((1, 8, 6, 3), np.float32, "NHWC"),
        "unsaid": image_model((1, 8, 6, 3)),
        "planar": image_model((1, 3, 8, 6)),
        "planar_any": image_model((1, 3, -1, -1)),
        "planar_float": image_model((1, 3, 8, 6), np.float32),
        "flat": image_model((1, 10)),
    }
    for name, model in kinds.items():
        models.save(model, root / name / "1")
    entries = [{"name": name, "base_path": str(root / name)} for name in kinds]
    variants = {
        "two": ("colour", {"shape": "(2,8,6,3)"}),
        "any": ("colour", {"shape": "(-1,-1,-1,3)"}),
        "range": ("colour", {"shape": "(1,4:16,5:12,3)"}),
        "channels": ("colour", {"shape": "(1,8,6,-1)"}),
        "batches": ("colour", {"shape": "(1:4,8,6,3)"}),
        "prepared": (
            "planar_float",
            {
                "layout": "NHWC:NCHW", "precision": "u8:fp32", "color_format": "BGR:RGB",
                "mean": "(10,20,30)", "scale": "(2,4,8)",
            },
        ),
    }  # fmt: skip
    entries += [
        {"name": name, "base_path": str(root / kind), **options} for name, (kind, options) in variants.items()
    ]
    path = root / "config.json"
    path.write_text(json.dumps({"model_config_list": [{"config": entry} for entry in entries]}))
    with ServerProcess("--config_path", str(path)) as running:
        yield running.wait_ready()


def pixels(height=8, width=6, channels=3, dtype=np.uint8):
    limit = 256 if dtype == np.uint8 else 65536
    return RNG.integers(0, limit, (height, width, channels), dtype)


def encoded(image, suffix=".png"):
    return cv2.imencode(suffix, image)[1].tobytes()


def show(server, model, *images, shape=None):
    """Status and the pixels that came back, or the error."""
    tail = b"".join(struct.pack("<I", len(image)) + image for image in images)
    tensor = {"name": "image", "shape": [len(images)] if shape is None else shape, "datatype": "BYTES"}
    tensor["parameters"] = {"binary_data_size": len(tail)}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    status, raw, headers = server.post(f"/v2/models/{model}/infer", head + tail, **{HEADER: str(len(head))})
    if status != 200:
        return status, json.loads(raw)["error"]
    output = json.loads(raw[: int(headers[HEADER])])["outputs"][0]
    dtype = {"UINT8": np.uint8, "FP32": np.float32}[output["datatype"]]
    return status, np.frombuffer(raw[int(headers[HEADER]) :], dtype).reshape(output["shape"])


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_arrives_as_opencv_reads_it(gallery, suffix):
    raw = encoded(pixels(), suffix)
    want = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_UNCHANGED)
    status, seen = show(gallery, "colour", raw)
    assert (status, np.array_equal(seen[0], want)) == (200, True)


@pytest.mark.parametrize(
    ("model", "channels"),
    [("gray", 1), ("alpha", 4), ("channels", 1), ("channels", 3), ("channels", 4), ("unsaid", 3)],
)
def test_gray_colour_and_alpha_fit_the_inputs_channels(gallery, model, channels):
    image = pixels(channels=channels)
    status, seen = show(gallery, model, encoded(image))
    assert (status, np.array_equal(seen[0], image)) == (200, True)


@pytest.mark.parametrize(
    ("model", "channels", "message"),
    [
        ("colour", 1, "This image is gray: convert it to colour"),
        ("colour", 4, "This image is colour with transparency: convert it to colour"),
        ("gray", 3, "This image is colour: convert it to gray"),
        ("alpha", 3, "convert it to colour with transparency"),
    ],
)
def test_other_channels_are_refused_saying_what_to_send(gallery, model, channels, message):
    status, error = show(gallery, model, encoded(pixels(channels=channels)))
    assert (status, message in error) == (400, True), error


@pytest.mark.parametrize(
    ("model", "given", "want"),
    [
        pytest.param("colour", (16, 12), (8, 6), id="down to a fixed size"),
        pytest.param("colour", (3, 2), (8, 6), id="up to a fixed size"),
        pytest.param("gray", (16, 12), (8, 6), id="gray"),
        pytest.param("range", (31, 17), (16, 12), id="to the upper border"),
        pytest.param("range", (2, 3), (4, 5), id="to the lower border"),
        pytest.param("range", (2, 17), (4, 12), id="to one of each"),
        pytest.param("range", (9, 7), (9, 7), id="inside the range"),
        pytest.param("any", (31, 17), (31, 17), id="free"),
        pytest.param("any", (1, 1), (1, 1), id="one pixel"),
    ],
)
def test_sizes_are_kept_or_moved_to_the_nearest_one_allowed(gallery, model, given, want):
    image = pixels(*given, 1 if model == "gray" else 3)
    expected = image if given == want else cv2.resize(image, want[::-1], interpolation=cv2.INTER_LINEAR)
    status, seen = show(gallery, model, encoded(image))
    assert (status, seen.shape[1:3]) == (200, want)
    assert np.array_equal(seen[0], expected.reshape(seen.shape[1:]))


def test_a_batch_may_differ_in_size_only_where_it_is_resized(gallery):
    images = [pixels(), pixels(16, 12)]
    status, seen = show(gallery, "two", *map(encoded, images))
    assert (status, np.array_equal(seen[0], images[0])) == (200, True)
    assert np.array_equal(seen[1], cv2.resize(images[1], (6, 8), interpolation=cv2.INTER_LINEAR))
    same = [pixels(5, 7), pixels(5, 7), pixels(5, 7)]
    assert np.array_equal(show(gallery, "any", *map(encoded, same))[1], np.stack(same))
    status, error = show(gallery, "any", *map(encoded, images))
    assert (status, "same resolution" in error) == (400, True)


@pytest.mark.parametrize(("model", "count"), [("two", 1), ("two", 3), ("colour", 2), ("batches", 5)])
def test_a_batch_that_the_model_does_not_have_is_refused(gallery, model, count):
    status, error = show(gallery, model, *[encoded(pixels())] * count)
    assert (status, "Invalid input batch size" in error) == (400, True)


def test_sixteen_bits_are_kept_where_the_input_can_hold_them(gallery):
    deep = pixels(dtype=np.uint16)
    assert np.array_equal(show(gallery, "float", encoded(deep))[1][0], deep.astype(np.float32))
    assert np.array_equal(show(gallery, "colour", encoded(deep))[1][0], np.minimum(deep, 255))


@pytest.mark.parametrize("model", ["planar", "planar_any"])
def test_a_planar_model_without_layout_is_refused_naming_the_fix(gallery, model):
    status, error = show(gallery, model, encoded(pixels()))
    assert (status, "layout NHWC:NCHW" in error) == (400, True)


def test_colour_order_mean_scale_and_layout_are_done_inside_the_model(gallery):
    image = pixels()
    status, seen = show(gallery, "prepared", encoded(image))
    want = (image[..., ::-1].astype(np.float32) - [10, 20, 30]) / [2, 4, 8]
    assert status == 200, seen
    assert np.allclose(seen[0], want.transpose(2, 0, 1))


GOOD = encoded(pixels(64, 48))


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"this is a text file", id="text"),
        pytest.param(b"\x89PNG\r\n\x1a\n", id="a signature alone"),
        pytest.param(b"\xff\xd8\xff\xe0" + bytes(100), id="zeros behind a JPEG marker"),
        pytest.param(bytes(100_000), id="zeros"),
        *(
            pytest.param(encoded(pixels(64, 48), suffix)[:-cut], id=f"{suffix} without its last {cut} bytes")
            for suffix in FORMATS
            for cut in (50, 2000)
        ),
        pytest.param(GOOD[: len(GOOD) // 2] + bytes(50) + GOOD[len(GOOD) // 2 + 50 :], id="a wrong checksum"),
    ],
)
def test_a_damaged_image_is_a_400_over_rest_and_an_invalid_argument_over_grpc(gallery, raw):
    status, error = show(gallery, "any", raw)
    assert (status, "Image parsing failed" in error or "empty" in error) == (400, True), error
    with grpc.insecure_channel(gallery.grpc) as channel, pytest.raises(grpc.RpcError) as refusal:
        over_grpc(channel, "any", raw, is_raw=False)
    assert refusal.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def over_grpc(channel, model, image, *, is_raw):
    request = proto.ModelInferRequest(model_name=model)
    tensor = request.inputs.add(name="image", datatype="BYTES", shape=[1])
    if is_raw:
        request.raw_input_contents.append(struct.pack("<I", len(image)) + image)
    else:
        tensor.contents.bytes_contents.append(image)
    rpc = channel.unary_unary(f"/{proto.SERVICE}/ModelInfer")
    answer = proto.ModelInferResponse.FromString(rpc(request.SerializeToString(), timeout=30))
    return np.frombuffer(answer.raw_output_contents[0], np.uint8).reshape(answer.outputs[0].shape)


@pytest.mark.parametrize("is_raw", [True, False])
def test_grpc_takes_an_image_raw_and_typed(gallery, is_raw):
    image = pixels()
    with grpc.insecure_channel(gallery.grpc) as channel:
        assert np.array_equal(over_grpc(channel, "colour", encoded(image), is_raw=is_raw)[0], image)


def test_one_image_may_be_all_that_follows_the_json(gallery):
    image = pixels()
    raw = encoded(image)
    head = json.dumps({"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES"}]}).encode()
    status, answer = infer(gallery, "colour", head + raw, **{HEADER: str(len(head))})
    assert (status, answer["outputs"][0]["data"]) == (200, image.ravel().tolist())


def test_strings_in_json_are_no_images(gallery):
    status, answer = infer(gallery, "colour", one_input("image", [1], "BYTES", ["iVBORw0KGgo="]))
    assert (status, "Image parsing failed" in answer["error"]) == (400, True)


@pytest.mark.parametrize(("model", "shape"), [("flat", [1]), ("colour", [1, 1]), ("colour", [])])
def test_images_go_to_inputs_of_four_dimensions_as_a_list(gallery, model, shape):
    assert show(gallery, model, encoded(pixels()), shape=shape)[0] == 400


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        ("range", (1, 3, 5, 3), "Invalid input shape - Expected: (1,4:16,5:12,3); Actual: (1,3,5,3)"),
        ("range", (1, 17, 5, 3), "Invalid input shape - Expected: (1,4:16,5:12,3); Actual: (1,17,5,3)"),
        ("range", (2, 4, 5, 3), "Invalid input batch size - Expected: 1; Actual: 2"),
        ("any", (1, 1, 1, 2), "Invalid input shape - Expected: (-1,-1,-1,3); Actual: (1,1,1,2)"),
        ("batches", (5, 8, 6, 3), "Invalid input batch size - Expected: 1:4; Actual: 5"),
    ],
)
def test_plain_pixels_outside_a_range_are_refused_naming_it(gallery, model, shape, message):
    body = one_input("image", shape, "UINT8", [0] * int(np.prod(shape)))
    status, answer = infer(gallery, model, body)
    assert (status, message in answer["error"]) == (400, True), answer


def claiming(suffix, side=50_000):
    """A tiny file whose header describes a picture of `side` x `side` pixels."""
    raw = bytearray(encoded(pixels(), suffix))
    if suffix == ".png":
        raw[16:24] = struct.pack(">II", side, side)
        raw[29:33] = struct.pack(">I", crc32(raw[12:29]))
    elif suffix == ".bmp":
        raw[18:26] = struct.pack("<ii", side, side)
    else:
        start = raw.index(b"\xff\xc0") + 5
        raw[start : start + 4] = struct.pack(">HH", side, side)
    return bytes(raw)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".jpg"])
def test_a_bomb_is_a_400_and_takes_no_memory(gallery, suffix):
    process = psutil.Process(gallery.process.pid)
    show(gallery, "any", encoded(pixels()))  # the decoder itself is loaded
    before = process.memory_info().rss
    for _ in range(5):
        status, error = show(gallery, "any", claiming(suffix))
        assert (status, "Image parsing failed" in error) == (400, True), error
    assert process.memory_info().rss - before < 100 << 20


def test_many_images_together_cannot_be_a_bomb_either(gallery):
    large = encoded(np.zeros((6000, 6000, 3), np.uint8))
    status, error = show(gallery, "any", *[large] * 3)
    assert (status, "too many pixels" in error) == (400, True)
