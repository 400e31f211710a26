"""Weights of an ONNX model in files of their own: they belong to the version, wherever they lie."""

import json
import os
import time

import numpy as np
import pytest

from modelserver.models.repository import LocalStorage
from tests.support import formats
from tests.support.formats import external, message
from tests.support.server_process import ServerProcess
from tests.support.waiting import until

PLACES = {
    "in a sub-folder of the version": ("1/model.onnx", "weights/w.bin", "."),
    "beside a single file": ("alone.onnx", "w.bin", "alone.onnx"),
    "behind a roundabout name": ("1/model.onnx", "./a/../.hidden/w.bin", "."),
}


def files(base):
    """Of the only version, relative to its base: name and size."""
    (version,) = LocalStorage().scan(str(base)).values()
    return {os.path.relpath(name, version.model.parent): size for name, size, _, _ in version.fingerprint}


def fill(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(np.full(formats.WIDTH, value, np.float32).tobytes())


def entry(location):
    return (13, external(location))


@pytest.mark.parametrize("case", PLACES)
def test_a_file_with_weights_is_part_of_the_version_and_of_its_size(tmp_path, case):
    model, location, base = PLACES[case]
    path = formats.onnx_with_weights(tmp_path / model, location)
    assert files(tmp_path / base) == {path.name: path.stat().st_size}
    fill(path.parent / location, 1)
    before = LocalStorage().scan(str(tmp_path / base))
    assert before[1].size == path.stat().st_size + 16
    fill(path.parent / location, 2)
    os.utime(path.parent / location, ns=(1, 1))
    assert LocalStorage().scan(str(tmp_path / base)) != before


def test_what_lies_beside_and_is_not_named_is_no_part(tmp_path):
    formats.onnx_with_weights(tmp_path / "a.onnx", "a.bin")
    formats.onnx_with_weights(tmp_path / "b.onnx", "b.bin")
    for name in ("a.bin", "b.bin", "README"):
        fill(tmp_path / name, 1)
    assert files(tmp_path / "b.onnx").keys() == {"b.onnx", "b.bin"}


@pytest.mark.parametrize(
    "location", ["../w.bin", "/etc/hostname", "a/../../w.bin", ".", "", "a\0b", "x" * 300]
)
def test_a_name_that_openvino_would_not_follow_is_no_part(tmp_path, location):
    fill(tmp_path / "w.bin", 1)
    formats.onnx_with_weights(tmp_path / "1" / "model.onnx", location)
    assert files(tmp_path).keys() == {"model.onnx"}


LARGE = (9, bytes(2 << 20))
"""raw_data that makes every message around it too big to be read as a whole."""


def attribute(*fields):
    return (5, message((1, "value"), *fields))


NESTED = {
    "an initializer": (5, message((8, "w"), entry("w.bin"))),
    "values of a sparse one": (15, message((1, message(entry("w.bin"))))),
    "a constant": (1, message(attribute((5, message(entry("w.bin")))))),
    "one of several": (1, message(attribute((10, message(LARGE)), (10, message(entry("w.bin")))))),
    "a branch": (1, message(attribute((6, message((5, message(LARGE)), (5, message(entry("w.bin")))))))),
    "a branch of many": (1, message(attribute((11, message((5, message(entry("w.bin")))))))),
    "behind other entries": (5, message((13, message((1, "offset"), (2, "0"))), entry("w.bin"))),
    "after fields of every wire type": (5, message((1, 1 << 40), (4, 1.0), entry("w.bin"))),
}


@pytest.mark.parametrize("large", [True, False], ids=["large", "small"])
@pytest.mark.parametrize("case", NESTED)
def test_a_location_is_found_wherever_a_tensor_may_be(tmp_path, case, large):
    around = [(5, message((8, "big"), LARGE))] if large else []
    formats.onnx_of_graph(tmp_path / "model.onnx", *around, NESTED[case], *around)
    fill(tmp_path / "w.bin", 1)
    assert files(tmp_path).keys() == {"model.onnx", "w.bin"}


def test_a_file_cut_anywhere_is_looked_at_without_an_error(tmp_path):
    path = formats.onnx_of_graph(tmp_path / "m.onnx", (5, message((8, "big"), LARGE)), NESTED["a branch"])
    whole = path.read_bytes()
    for size in (*range(64), *range(len(whole) - 64, len(whole), 7)):
        path.write_bytes(whole[:size])
        os.utime(path, ns=(size, size))
        assert files(path).keys() == {"m.onnx"}


def test_gigabytes_of_weights_inside_are_not_read(tmp_path):
    """A sparse file: reading it would take seconds."""
    path = tmp_path / "m.onnx"
    size = (1 << 31) - 1024
    weights = message((8, "big"), (9, b""))[:-1]
    head = bytes([5 << 3 | 2, *varint(len(weights) + 5 + size)]) + weights + bytes(varint(size))
    graph = len(head) + size
    with path.open("wb") as file:
        file.write(bytes([7 << 3 | 2, *varint(graph)]) + head)
        file.truncate(file.tell() + size)
    started = time.process_time()
    assert files(path) == {"m.onnx": path.stat().st_size}
    assert time.process_time() - started < 0.5


def varint(value):
    out = []
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return [*out, value]


def answer(server):
    body = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [0] * 4}]}
    status, raw, _ = server.post("/v2/models/m/infer", body)
    assert status == 200, raw
    return json.loads(raw)["outputs"][0]["data"]


def test_weights_that_are_replaced_alone_are_noticed_at_the_polling_interval(tmp_path):
    fill(tmp_path / "1" / "weights" / "w.bin", 1)
    formats.onnx_with_weights(tmp_path / "1" / "model.onnx", "weights/w.bin")
    with ServerProcess("--model_name", "m", "--model_path", str(tmp_path)) as server:
        server.wait_ready()
        assert answer(server) == [1] * 4
        fill(tmp_path / "1" / "weights" / "w.bin", 2)
        until("the new weights", lambda: answer(server) == [2] * 4, timeout=30)


def test_weights_beside_a_single_file_are_noticed_by_a_reload(tmp_path):
    path = formats.onnx_with_weights(tmp_path / "any.onnx", "w.bin")
    never = ("--file_system_poll_wait_seconds", "0", "--on_load_failure", "wait")
    with ServerProcess("--model_name", "m", "--model_path", str(path), *never) as server:
        until("liveness", lambda: server.answers("/v2/health/live"))
        until("the reason", lambda: any(model["error"] for model in server.status()["models"]))
        fill(tmp_path / "w.bin", 1)
        assert server.post("/v1/config/reload", b"")[0] == 201
        assert answer(server) == [1] * 4
        fill(tmp_path / "w.bin", 2)
        assert server.post("/v1/config/reload", b"")[0] == 201
        assert answer(server) == [2] * 4
        assert server.post("/v1/config/reload", b"")[0] == 200
