"""What users of other model servers did and reported: requests, images, repositories and files, tried here.

Each was trouble somewhere: in OpenVINO Model Server, Triton, TensorFlow Serving, KServe, MLServer, or in a
library that they stand on.
"""

import base64
import json
import os
import shutil
import socket
import struct
import zlib

import cv2
import grpc
import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from modelserver import proto
from modelserver.errors import ConfigError
from modelserver.settings.config_file import read_configuration
from tests.support import models
from tests.support.rest import infer, one_input
from tests.support.server_process import ServerProcess
from tests.support.waiting import until

HEADER = "Inference-Header-Content-Length"
TEN = one_input("b", [1, 10], "FP32", [0] * 10)
BODY = json.dumps(TEN).encode()
ONES = [1.0] * 10
RNG = np.random.default_rng(17)


# Requests


def test_members_that_clients_write_as_null_are_none(server):
    """Clients that serialize a schema write every optional member, as pydantic's do."""
    tensor = TEN["inputs"][0] | {"parameters": None}
    output = {"name": "a", "parameters": None, "shape": None, "datatype": None, "data": None}
    body = {"id": None, "parameters": None, "inputs": [tensor], "outputs": [output]}
    status, answer = infer(server, "dummy", body | {"model_name": "dummy", "model_version": None})
    assert (status, answer["outputs"][0]["data"]) == (200, ONES)


LENGTH = b"Content-Length: %d\r\n" % len(BODY)
SENT = LENGTH + b"\r\n" + BODY
IN_CHUNKS = (
    b"%X;name=value\r\n" % 40 + BODY[:40] + b"\r\n%x\r\n" % (len(BODY) - 40) + BODY[40:] + b"\r\n0\r\n"
)


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        pytest.param(b"HTTP/1.0", SENT, id="HTTP/1.0 without Host"),
        pytest.param(b"HTTP/1.0", b"Connection: keep-alive\r\n" + SENT, id="HTTP/1.0 that would stay"),
        pytest.param(b"HTTP/1.1", SENT, id="HTTP/1.1 without Host"),
        pytest.param(b"HTTP/1.1", b"HOST: x\r\n" + LENGTH.upper() + b"\r\n" + BODY, id="capital letters"),
        pytest.param(b"HTTP/1.1", b"host: x\r\n" + LENGTH.lower() + b"\r\n" + BODY, id="small letters"),
        pytest.param(b"HTTP/1.1", b"Expect: 100-Continue\r\n" + SENT, id="a body that waits to be asked for"),
        pytest.param(
            b"HTTP/1.1",
            b"TRANSFER-ENCODING: Chunked\r\nTrailer: X-Sum\r\n\r\n" + IN_CHUNKS + b"X-Sum: 1\r\n\r\n",
            id="chunks with extensions and a trailer",
        ),
        pytest.param(
            b"HTTP/1.1", b"Content-Type: application/json; charset=UTF-8\r\n" + SENT, id="a charset"
        ),
        pytest.param(
            b"HTTP/1.1", b"Content-Type: application/x-www-form-urlencoded\r\n" + SENT, id="curl's own type"
        ),
    ],
)
@pytest.mark.parametrize("target", [b"", b"http://proxy.example:80", b"http://[::1]:8000"])
def test_a_request_in_a_rarer_form_of_http_is_answered(server, line, rest, target):
    with socket.create_connection(("127.0.0.1", server.rest_port), timeout=30) as caller:
        caller.sendall(b"POST %b/v2/models/dummy/infer?trace=1 %b\r\n%b" % (target, line, rest))
        caller.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: caller.recv(65536), b""))
    if b"Expect" in rest:
        interim, _, answer = answer.partition(b"\r\n\r\n")
        assert interim.startswith(b"HTTP/1.1 100")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert json.loads(body)["outputs"][0]["data"] == ONES


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_grpcs_own_compression_is_taken(server, compression):
    request = proto.ModelInferRequest(model_name="dummy", raw_input_contents=[bytes(40)])
    request.inputs.add(name="b", datatype="FP32", shape=[1, 10])
    answer = over_grpc(server, request.SerializeToString(), compression)
    assert np.frombuffer(answer.raw_output_contents[0], np.float32).tolist() == ONES


def test_repeated_numbers_may_be_written_one_by_one_over_grpc(server):
    """As proto2's libraries and some hand-written ones do, and the fields in any order."""
    contents = proto.ModelInferRequest.InferInputTensor.DESCRIPTOR.fields_by_name["contents"]
    fp32 = contents.message_type.fields_by_name["fp32_contents"].number
    values = b"".join(bytes([fp32 << 3 | 5]) + struct.pack("<f", 1) for _ in range(10))
    tensor = (
        bytes([contents.number << 3 | 2, len(values)]) + values + b"\x18\x01\x18\x0a\x12\x04FP32\x0a\x01b"
    )
    request = b"\x2a" + bytes([len(tensor)]) + tensor + b"\x0a\x05dummy"
    answer = over_grpc(server, request)
    assert np.frombuffer(answer.raw_output_contents[0], np.float32).tolist() == [2] * 10


def over_grpc(server, request: bytes, compression=None):
    with grpc.insecure_channel(server.grpc) as channel:
        rpc = channel.unary_unary(f"/{proto.SERVICE}/ModelInfer")
        return proto.ModelInferResponse.FromString(rpc(request, timeout=30, compression=compression))


# Images


def any_image() -> ov.Model:
    """Whatever an image decodes to: U8 of any size and number of channels."""
    x = ops.parameter(ov.PartialShape([-1, -1, -1, -1]), np.uint8, name="image")
    x.output(0).set_names({"image"})
    x.set_layout(ov.Layout("NHWC"))
    return ov.Model([ops.result(x)], [x], "image")


@pytest.fixture(scope="module")
def viewer(tmp_path_factory):
    base = tmp_path_factory.mktemp("viewer")
    models.save(any_image(), base / "1")
    with ServerProcess("--model_name", "m", "--model_path", str(base), grpc=False) as running:
        yield running.wait_ready()


def seen(viewer, image):
    """Status and pixels, or the error."""
    tail = struct.pack("<I", len(image)) + image
    tensor = {
        "name": "image",
        "shape": [1],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(tail)},
    }
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    status, raw, headers = viewer.post("/v2/models/m/infer", head + tail, **{HEADER: str(len(head))})
    if status != 200:
        return status, json.loads(raw)["error"]
    length = int(headers[HEADER])
    shape = json.loads(raw[:length])["outputs"][0]["shape"]
    return status, np.frombuffer(raw[length:], np.uint8).reshape(shape)[0]


WIDTH, HEIGHT = 6, 8


def png(colour: int, depth: int, row: bytes, *chunks: tuple[bytes, bytes], size=(WIDTH, HEIGHT)) -> bytes:
    """Every row the same; `chunks` come before the pixels."""
    head = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress((b"\0" + row) * size[1])), (b"IEND", b"")]
    written = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


PALETTE = (b"PLTE", bytes([255, 0, 0, 0, 255, 0]))
CMYK = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwACAQEBAQECAQEBAgICAgIEAwICAgIFBAQDBAYFBgYGBQYGBgcJCAYHCQcGBggLCAkKCgoKCgYI"
    "CwwLCgwJCgoK/8AAFAgACAAGBEMiAE0RAFkRAEsRAP/EABYAAQEBAAAAAAAAAAAAAAAAAAAJB//EABQQAQAAAAAAAAAAAAAAAAAAAAD/"
    "2gAOBEMATQBZAEsAAD8ApAAw9Mdfx//Z"
)
"""What print shops and some cameras write: 200, 100, 50 in red, green, blue."""


@pytest.mark.parametrize(
    ("image", "pixel"),
    [
        pytest.param(png(3, 8, b"\0\1" * 3, PALETTE), [0, 0, 255], id="palette"),
        pytest.param(
            png(3, 8, b"\0\1" * 3, PALETTE, (b"tRNS", b"\x80")), [0, 0, 255, 128], id="palette with alpha"
        ),
        pytest.param(png(3, 1, b"\x54", PALETTE), [0, 0, 255], id="palette of one bit"),
        pytest.param(png(0, 1, b"\xa8"), [255], id="gray of one bit"),
        pytest.param(png(0, 8, b"\x07" * WIDTH), [7], id="gray"),
        pytest.param(png(4, 8, b"\x07\xc8" * WIDTH), [7, 7, 7, 200], id="gray with alpha"),
        pytest.param(
            png(2, 8, b"\1\2\3" * WIDTH, (b"tRNS", b"\0\1\0\2\0\3")),
            [3, 2, 1, 0],
            id="one colour transparent",
        ),
        pytest.param(png(2, 16, b"\0\1\0\2\0\3" * WIDTH), [3, 2, 1], id="sixteen bits"),
        pytest.param(CMYK, [50, 100, 200], id="CMYK"),
    ],
)
def test_an_image_of_a_rarer_kind_is_gray_colour_or_colour_with_transparency(viewer, image, pixel):
    status, picture = seen(viewer, image)
    assert (status, picture.shape) == (200, (HEIGHT, WIDTH, len(pixel)))
    assert np.abs(picture[0, 0].astype(int) - pixel).max() <= 1


SMOOTH = cv2.GaussianBlur(RNG.integers(0, 256, (200, 300, 3), np.uint8), (21, 21), 5)
JPEGS = {
    "baseline": (),
    "progressive": (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restarting": (cv2.IMWRITE_JPEG_RST_INTERVAL, 8),
}


def jpeg(kind):
    return cv2.imencode(".jpg", SMOOTH, JPEGS[kind])[1].tobytes()


@pytest.mark.parametrize("kind", JPEGS)
def test_an_image_that_was_cut_off_is_refused_however_little_is_missing(viewer, kind):
    """libjpeg itself fills the rest with gray and only warns."""
    whole = jpeg(kind)
    assert seen(viewer, whole)[0] == 200
    for missing in (2, 3, 20, 1000, len(whole) // 2, len(whole) - 700):
        status, error = seen(viewer, whole[:-missing])
        assert (status, "Image parsing failed" in error) == (400, True), missing


@pytest.mark.parametrize("kind", JPEGS)
def test_what_is_missing_inside_an_image_is_never_filled_with_another_callers(viewer, kind):
    whole = jpeg(kind)
    damaged = whole[: len(whole) // 2] + whole[len(whole) // 2 + 300 :]
    pictures = []
    for shade in (17, 203):
        other = cv2.imencode(".png", np.full_like(SMOOTH, shade))[1].tobytes()
        assert [seen(viewer, other)[0] for _ in range(3)] == [200] * 3
        pictures.append(seen(viewer, damaged))
    (status, first), (_, second) = pictures
    assert status == 200, first
    assert np.array_equal(first, second)


def test_the_orientation_that_a_camera_noted_is_ignored_as_in_ovms(viewer):
    entry = struct.pack(">HHHIHH", 1, 0x112, 3, 1, 6, 0)
    note = b"Exif\0\0MM\0*" + struct.pack(">I", 8) + entry + bytes(4)
    plain = jpeg("baseline")
    turned = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(note) + 2) + note + plain[2:]
    assert np.array_equal(seen(viewer, turned)[1], seen(viewer, plain)[1])


@pytest.mark.parametrize("suffix", [".png", ".webp", ".gif"])
def test_of_an_animation_the_first_picture_is_taken(viewer, suffix):
    film = cv2.Animation()
    film.frames = [np.full((HEIGHT, WIDTH, 3), shade, np.uint8) for shade in (0, 255)]
    film.durations = np.array([100, 100], np.int32)
    status, picture = seen(viewer, cv2.imencodeanimation(suffix, film)[1].tobytes())
    assert (status, picture.shape[:2]) == (200, (HEIGHT, WIDTH))
    assert picture[..., :3].mean() < 30


@pytest.mark.parametrize("size", [(0, 0), (0, HEIGHT), (WIDTH, 0)])
def test_an_image_without_pixels_is_refused(viewer, size):
    assert seen(viewer, png(2, 8, b"", size=size))[0] == 400


# Model repositories


def serving(base, *arguments):
    return ServerProcess("--model_name", "m", "--model_path", str(base), *arguments, grpc=False)


def answering(server):
    """What the model adds, or the status of an error."""
    status, answer = infer(server, "m", TEN)
    return answer["outputs"][0]["data"][0] if status == 200 else status


def swap(link, target):
    """A symbolic link that points elsewhere from one moment to the next, as kubelet and deployers do it."""
    link.with_name("new").symlink_to(target)
    os.rename(link.with_name("new"), link)  # noqa: PTH104 - pathlib's name for it hides what happens


def test_a_model_mounted_from_a_config_map_follows_its_links(tmp_path):
    mount = tmp_path / "m"
    models.save(models.dummy(1), mount / "..2026_01")
    (mount / "..data").symlink_to("..2026_01")
    for file in ("model.xml", "model.bin"):
        (mount / file).symlink_to(f"..data/{file}")
    with serving(mount) as server:
        server.wait_ready()
        assert answering(server) == 1
        models.save(models.dummy(2), mount / "..2026_02")
        swap(mount / "..data", "..2026_02")
        shutil.rmtree(mount / "..2026_01")
        until("the new files", lambda: answering(server) == 2)


def test_a_release_is_rolled_out_by_its_link_although_the_version_number_stays(tmp_path):
    for number in (10, 20):
        models.save(models.dummy(number), tmp_path / f"release{number}" / "1")
    (tmp_path / "current").symlink_to("release10")
    with serving(tmp_path / "current") as server:
        server.wait_ready()
        assert answering(server) == 10
        swap(tmp_path / "current", "release20")
        until("the second release", lambda: answering(server) == 20)


def test_versions_may_be_links_and_those_that_lead_nowhere_disturb_nobody(tmp_path):
    base = tmp_path / "m"
    base.mkdir()
    for number in (1, 4):
        models.save(models.dummy(number), tmp_path / "store" / str(number))
    (base / "1").symlink_to("../store/1")
    (base / "2").symlink_to("../nowhere")
    (base / "3").symlink_to("3")
    with serving(base) as server:
        server.wait_ready()
        assert answering(server) == 1
        (base / "4").symlink_to("../store/4")
        until("version 4", lambda: answering(server) == 4)


def test_a_directory_that_is_away_while_it_is_exchanged_costs_nothing(tmp_path):
    base = tmp_path / "m"
    models.save(models.dummy(1), base / "1")
    models.save(models.dummy(2), tmp_path / "next" / "1")
    with serving(base) as server:
        server.wait_ready()
        base.rename(tmp_path / "before")
        until(
            "the server to notice", lambda: "cannot be read" in (server.status()["models"][0]["error"] or "")
        )
        assert answering(server) == 1
        (tmp_path / "next").rename(base)
        until("the new directory", lambda: answering(server) == 2)


def test_what_else_lies_in_a_volume_is_no_version(tmp_path):
    base = tmp_path / "m"
    models.save(models.dummy(1), base / "1")
    models.save(models.dummy(123), base / "00000123")  # TensorFlow's exporters write such numbers
    (base / "lost+found").mkdir(mode=0)
    (base / "200").mkdir()
    (base / "300").write_text("no directory")
    os.mkfifo(base / "1" / "pipe")
    os.mkfifo(base / "00000123" / "model.onnx")
    (base / "1" / ".ipynb_checkpoints").mkdir()
    with serving(base) as server:
        server.wait_ready()
        assert answering(server) == 123
        assert [one["version"] for one in server.status()["models"][0]["versions"]] == [123]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda raw: raw[:0], id="empty"),
        pytest.param(lambda raw: raw[: len(raw) // 2], id="half written"),
        pytest.param(lambda raw: raw[:-4096] + bytes(4096), id="its end never reached the disk"),
        pytest.param(lambda raw: b"\x55" * len(raw), id="something else"),
    ],
)
def test_a_spoiled_cache_is_written_again(tmp_path, spoil):
    """A killed container or a full disk leaves such files in a cache that outlives it."""
    cache = tmp_path / "cache"
    models.save(models.dummy(3), tmp_path / "m" / "1")
    with serving(tmp_path / "m", "--cache_dir", str(cache)) as server:
        server.wait_ready()
    (blob, *_) = sorted(cache.iterdir())
    whole = blob.read_bytes()
    blob.write_bytes(spoil(whole))
    with serving(tmp_path / "m", "--cache_dir", str(cache)) as server:
        server.wait_ready()
        assert answering(server) == 3
    assert blob.read_bytes() == whole


def test_a_path_beyond_ascii_is_found_in_the_c_locale(tmp_path):
    base = tmp_path / "modèle 模型"
    models.save(models.dummy(1), base / "1")
    arguments = ("--model_name", "m", "--model_path", str(base))
    with ServerProcess(*arguments, grpc=False, LC_ALL="C", LANG="C") as server:
        server.wait_ready()
        assert answering(server) == 1


# config.json

MODELS = '{"model_config_list":[{"config":{"name":"m","base_path":"/m"}}]}'


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\n", id="blank"),
        pytest.param(b"null", id="null"),
        pytest.param(b"// models\n" + MODELS.encode(), id="a comment"),
        pytest.param(MODELS.replace("}}", "},}").encode(), id="a trailing comma"),
        pytest.param(MODELS.replace('"', "'").encode(), id="single quotes"),
        pytest.param(MODELS.encode("utf-16"), id="UTF-16"),
        pytest.param(MODELS.replace("/m", "/größe").encode("latin-1"), id="Latin-1"),
        pytest.param(MODELS.encode() + b"\0", id="a NUL behind it"),
        pytest.param(MODELS.encode() * 2, id="written twice"),
        pytest.param(MODELS.encode()[:40], id="half written"),
        pytest.param(b"model_config_list:\n- config:\n    name: m\n", id="YAML"),
        pytest.param(b'model_config_list { config { name: "m" } }', id="TensorFlow Serving's own"),
    ],
)
def test_a_file_that_is_not_the_json_it_should_be_is_named(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_bytes(text)
    with pytest.raises(ConfigError, match=str(path)):
        read_configuration(path)


def test_a_directory_where_the_file_should_be_is_told(tmp_path):
    """A mount of a single file that does not exist makes one."""
    with pytest.raises(ConfigError, match="Is a directory"):
        read_configuration(tmp_path)


@pytest.mark.parametrize("shape", ["(1,10)", [1, 10], {"b": [1, 10]}, {"b": "(1,10)"}, '{"b": "(1,10)"}'])
def test_a_shape_may_be_a_list_or_a_text(tmp_path, shape):
    models.save(models.dummy(1, (-1, -1)), tmp_path / "m" / "1")
    path = tmp_path / "config.json"
    entry = {"name": "m", "base_path": "m/", "shape": shape, "nireq": None, "plugin_config": None}
    path.write_text(json.dumps({"model_config_list": [{"config": entry}]}))
    with ServerProcess("--config_path", str(path), grpc=False) as server:
        server.wait_ready()
        assert json.loads(server.get("/v2/models/m")[1])["inputs"][0]["shape"] == [1, 10]
