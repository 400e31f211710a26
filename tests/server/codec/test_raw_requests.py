"""`Inference-Header-Content-Length: 0`: the body is the tensor, as Triton's raw binary requests."""

import gzip
import json
import struct

import cv2
import numpy as np
import pytest

from modelserver.codec import binary
from modelserver.errors import InvalidRequest
from tests.support import models
from tests.support.rest import INFER
from tests.support.server_process import ServerProcess
from tests.support.signatures import signature_of

HEADER = "Inference-Header-Content-Length"
FREE = (0, -1)


def raw(server, model, body, **headers):
    """Status, the answer's JSON, and its raw bytes by output."""
    status, answer, answered = server.post(INFER.format(model), body, **{HEADER: "0", **headers})
    if status != 200:
        return status, json.loads(answer), {}
    length = int(answered[HEADER])
    head, tail, parts = json.loads(answer[:length]), answer[length:], {}
    for output in head["outputs"]:
        size = output["parameters"]["binary_data_size"]
        parts[output["name"]], tail = tail[:size], tail[size:]
    assert not tail
    return status, head, parts


def test_the_bare_tensor_is_served_and_every_output_comes_raw(server):
    status, head, parts = raw(server, "dummy", np.arange(10, dtype=np.float32).tobytes())
    assert status == 200, head
    assert (head["model_name"], head["model_version"], "id" in head) == ("dummy", "1", False)
    assert [(one["name"], one["shape"]) for one in head["outputs"]] == [("a", [1, 10])]
    assert np.frombuffer(parts["a"], np.float32).tolist() == list(range(1, 11))


def test_every_datatype_is_served(server):
    for datatype, dtype in models.DTYPES.items():
        if datatype == "BYTES":
            continue
        itemsize = 2 if datatype == "BF16" else np.dtype(dtype).itemsize
        sent = bytes(3 * itemsize)
        status, head, parts = raw(server, datatype.lower(), sent)
        assert status == 200, (datatype, head)
        assert (head["outputs"][0]["datatype"], head["outputs"][0]["shape"]) == (datatype, [3])
        assert list(parts.values()) == [sent]


def test_a_compressed_body_counts_unpacked(server):
    body = gzip.compress(np.zeros(10, np.float32).tobytes())
    assert raw(server, "dummy", body, Content_Encoding="gzip")[0] == 200


@pytest.mark.parametrize("text", [b"427", b"", b"\x03\x00\x00\x00427", b"\xff\x00"])
def test_a_string_is_the_body_itself_and_comes_back_with_its_length(server, text):
    """Also one that looks as if its length stood in front: there is no other way to send such a text."""
    status, head, parts = raw(server, "bytes", text)
    assert status == 200, head
    assert head["outputs"][0]["shape"] == [1]
    assert list(parts.values()) == [struct.pack("<I", len(text)) + text]


@pytest.mark.parametrize(
    ("model", "body", "says"),
    [
        ("dummy", bytes(39), "Expected: 40 bytes for FP32 (1,10); Actual: 39 bytes; input name: b"),
        ("dummy", bytes(80), "Expected: 40 bytes for FP32 (1,10); Actual: 80 bytes; input name: b"),
        ("dummy", b"", "Expected: 40 bytes for FP32 (1,10); Actual: 0 bytes; input name: b"),
        ("fp64", bytes(12), "Expected: a multiple of 8 bytes for FP64 (-1); Actual: 12 bytes; input name: x"),
        ("dynamic", bytes(40), "FP32 (-1,-1) has 2 free dimensions; input name: b"),
        ("two", bytes(16), "is for models with one input; this one has 2: x, n"),
        ("picture", bytes(7), "Actual: 7 bytes; input name: image. An encoded image needs JSON in front"),
    ],
    ids=[
        "too short",
        "too long",
        "empty",
        "half a value",
        "two free sizes",
        "two inputs",
        "an image's input",
    ],
)
def test_what_does_not_fit_is_refused_naming_the_sizes(server, model, body, says):
    status, answer, _ = raw(server, model, body)
    assert status == 400
    assert says in answer["error"]


def test_an_image_is_pixels_unless_json_says_that_it_is_one(server):
    pixels = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3)
    status, head, parts = raw(server, "picture", pixels.tobytes())
    assert status == 200, head
    assert list(parts.values()) == [pixels.tobytes()]
    encoded = cv2.imencode(".png", pixels)[1].tobytes()
    assert raw(server, "picture", encoded)[0] == 400
    text = json.dumps({"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES"}]}).encode()
    status, answer, _ = server.post(INFER.format("picture"), text + encoded, **{HEADER: str(len(text))})
    assert (status, json.loads(answer)["outputs"][0]["data"]) == (200, pixels.ravel().tolist())


def test_without_the_header_an_empty_body_is_told_so(server):
    status, answer, _ = server.post(INFER.format("dummy"), b"")
    assert status == 400
    assert "The request body is empty" in json.loads(answer)["error"]


@pytest.mark.parametrize(
    ("datatype", "dims", "size", "shape"),
    [
        ("FP32", [(1, 1), (10, 10)], 40, (1, 10)),
        ("FP32", [FREE, (10, 10)], 80, (2, 10)),
        ("FP32", [(2, 2), FREE, (3, 3)], 48, (2, 2, 3)),
        ("FP32", [FREE], 0, (0,)),
        ("FP32", [], 4, ()),
        ("UINT8", [(1, 4), (5, 5)], 20, (4, 5)),
        ("FP32", [(0, 0), (3, 3)], 0, (0, 3)),
        ("BYTES", [FREE], 9, (1,)),
        ("BYTES", [FREE, (1, 1)], 9, (1, 1)),
        ("BYTES", [], 9, ()),
    ],
)
def test_the_shape_follows_from_the_size(datatype, dims, size, shape):
    array = binary.decode_alone(memoryview(bytes(size)), signature_of(("x", datatype, dims)))
    assert array.shape == shape


@pytest.mark.parametrize(
    ("datatype", "dims", "size", "says"),
    [
        ("UINT8", [(1, 4), (5, 5)], 25, "Invalid input batch size - Expected: 1:4; Actual: 5"),
        ("FP32", [FREE, (0, 0)], 4, "Invalid content size of raw request"),
        ("BYTES", [(2, 2)], 9, "one string, which does not fit BYTES (2)"),
        ("BYTES", [(2, 4)], 9, "one string, which does not fit BYTES (2:4)"),
    ],
)
def test_bounds_hold(datatype, dims, size, says):
    with pytest.raises(InvalidRequest) as refused:
        binary.decode_alone(memoryview(bytes(size)), signature_of(("x", datatype, dims)))
    assert says in str(refused.value)


def test_the_array_is_the_bodys_own_memory():
    body = np.arange(10, dtype=np.float32).tobytes()
    array = binary.decode_alone(memoryview(body), signature_of(("x", "FP32", [(1, 1), (10, 10)])))
    assert array.ctypes.data == np.frombuffer(body, np.uint8).ctypes.data


def test_a_string_model_of_a_whole_server_takes_the_text_of_a_file(tmp_path):
    models.save(models.passthrough(models.DTYPES["BYTES"], (1,)), tmp_path / "1")
    with ServerProcess("--model_name", "text", "--model_path", str(tmp_path)) as server:
        server.wait_ready()
        for _ in range(2):
            assert list(raw(server, "text", b"hello")[2].values()) == [b"\x05\x00\x00\x00hello"]
