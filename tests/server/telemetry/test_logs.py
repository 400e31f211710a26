"""Log lines: whatever names they hold, a record becomes one line, and a JSON line is JSON."""

import json
import logging
import os
import struct

import cv2
import numpy as np
import pytest

from modelserver.telemetry.as_json import as_json
from modelserver.telemetry.logs import JsonFormatter, TextFormatter
from tests.support import models
from tests.support.server_process import ServerProcess, free_port, run_to_end
from tests.support.waiting import until

ODD = os.fsdecode(b"caf\xe9")
"""A file name that is not UTF-8, as Python sees it."""
FORGED = "v2\n[2026-01-01][ERROR][modelserver] the disk is lost\x1b[31m"


def record(message, *arguments, **extra):
    made = logging.LogRecord("m", logging.INFO, __file__, 1, message, arguments, None)
    vars(made).update(extra)
    return made


@pytest.mark.parametrize(
    ("value", "want"),
    [(ODD, r"caf\xe9"), ("\ud83d", r"\ud83d"), ("Gruß 😀", "Gruß 😀"), (FORGED, FORGED), (2**70, str(2**70))],
)
def test_a_json_line_is_json_whatever_is_in_it(value, want):
    line = JsonFormatter().format(record("%s", value, fields={"field": value, "list": [value, 1, None]}))
    assert "\n" not in line
    told = json.loads(line.encode())
    assert (told["message"], told["field"], told["list"]) == (str(want), want, [want, 1, None])


def test_an_exception_with_such_a_name_is_in_the_line():
    line = JsonFormatter().format(record("failed", exc_info=(OSError, OSError(ODD), None)))
    assert r"OSError: caf\xe9" in json.loads(line.encode())["exception"]


def test_a_text_line_cannot_be_forged_by_a_name():
    line = TextFormatter().format(record("Got: %s %s", FORGED, ODD))
    assert line.endswith(r"Got: v2\n[2026-01-01][ERROR][modelserver] the disk is lost\x1b[31m caf\xe9")
    assert line.isprintable()


def test_types_that_json_lacks_become_text_and_the_rest_stays():
    document = {"a": frozenset({2, 1}), "b": True, "c": 1.5, "d": {ODD: (ODD, 2**64 - 1)}, 5: None}
    assert json.loads(as_json(document)) == {
        "a": [1, 2], "b": True, "c": 1.5, "d": {r"caf\xe9": [r"caf\xe9", 2**64 - 1]}, "5": None,
    }  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_a_directory_whose_name_is_not_utf_8_is_told_in_json_on_stderr_and_in_the_file(tmp_path, encoding):
    base, path = tmp_path / "größe", tmp_path / "log"
    models.save(models.dummy(), base / "1")
    (base / ODD).mkdir()
    arguments = ("--log_format", "json", "--log_path", str(path))
    asked = ("--model_name", "m", "--model_path", str(base))
    with ServerProcess(*asked, *arguments, PYTHONIOENCODING=encoding) as server:
        server.wait_ready()
        server.terminate()
        assert server.wait() == 0
        for text in (server.log(), path.read_text()):
            messages = [json.loads(line)["message"] for line in text.splitlines()]
            (told,) = [message for message in messages if "in number format" in message]
            assert told.endswith(rf"Got: caf\xe9 (in {base})")


def test_a_broken_model_whose_name_is_not_utf_8_fails_with_its_own_reason(tmp_path):
    (tmp_path / f"{ODD}.xml").write_text("<net")
    text = tmp_path / "log"
    asked = ("--model_name", "m", "--model_path", str(tmp_path), "--rest_port", str(free_port()))
    ended = run_to_end(*asked, "--log_path", str(text))
    assert ended.returncode == 1
    for told in (ended.stderr, text.read_text()):
        assert r"caf\xe9.xml" in told
        assert "Unable to read the model" in told or "OpenVINO's words cannot be decoded" in told
        assert "codec" not in told
        assert "Logging error" not in told


def test_a_base_path_that_is_not_utf_8_is_served_and_told(tmp_path):
    base = tmp_path / ODD
    base.mkdir()
    asked = ("--model_name", "m", "--model_path", str(base))
    with ServerProcess(*asked, "--log_format", "json") as server:
        until("liveness", lambda: server.answers("/v2/health/live"))
        until("the reason", lambda: any(model["error"] for model in server.status()["models"]))
        assert server.status()["models"][0]["error"].endswith(r"caf\xe9")
        assert json.loads(server.get("/v2/models/m")[1])["error"].endswith(r"caf\xe9")
        models.save(models.dummy(), tmp_path / "plain")
        (tmp_path / "plain").rename(base / "1")
        server.wait_ready()
    planned = run_to_end("--dry_run", *asked, "--rest_port", str(free_port()))
    assert json.loads(planned.stdout)["models"][0]["base_path"].endswith(r"caf\xe9")


def test_what_a_library_prints_does_not_break_the_records_around_it(tmp_path):
    """OpenCV's PNG reader writes to stderr on its own."""
    models.save(models.picture(), tmp_path / "m" / "1")
    noise = np.random.default_rng(0).integers(0, 255, (64, 48, 3), np.uint8)
    png = cv2.imencode(".png", noise)[1].tobytes()[:-50]
    tail = struct.pack("<I", len(png)) + png
    size = {"binary_data_size": len(tail)}
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": size}
    head = json.dumps({"inputs": [tensor]}).encode()
    arguments = ("--model_name", "m", "--model_path", str(tmp_path / "m"), "--log_format", "json")
    with ServerProcess(*arguments, "--access_log", grpc=False) as server:
        server.wait_ready()
        length = {"Inference-Header-Content-Length": str(len(head))}
        for _ in range(3):
            assert server.post("/v2/models/m/infer", head + tail, **length)[0] == 400
        request = '"request":"POST /v2/models/m/infer"'
        until("the requests", lambda: server.log().count(request) == 3, timeout=10)
        records = [line for line in server.log().splitlines() if '"message"' in line]
    assert [type(json.loads(line)) for line in records] == [dict] * len(records)
