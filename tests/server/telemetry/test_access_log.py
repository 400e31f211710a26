"""The access log and request ids."""

import gzip
import json

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton

from tests.support.server_process import ServerProcess, fetch
from tests.support.waiting import until

BODY = {"inputs": [{"name": "b", "shape": [1, 10], "datatype": "FP32", "data": [0] * 10}]}


@pytest.fixture(scope="module")
def logged(repository):
    model = ("--model_name", "dummy", "--model_path", str(repository / "dummy"))
    with ServerProcess(*model, "--access_log", "true", "--log_format", "json") as running:
        yield running.wait_ready()


def line_of(server, request_id: str) -> dict:
    """The one access line with this id; written by a thread of its own, so it may take a moment."""

    def found() -> list[dict]:
        lines = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
        return [
            line
            for line in lines
            if line["logger"] == "modelserver.access" and line.get("requestId") == request_id
        ]

    (line,) = until(f"a line of {request_id}", found, timeout=30)
    return line


def test_a_rest_request_has_one_line_and_its_id_comes_back(logged):
    _, body, headers = logged.post("/v2/models/dummy/infer", BODY, X_Request_Id="mine-1")
    line = line_of(logged, "mine-1")
    assert headers["x-request-id"] == "mine-1"
    assert (line["request"], line["status"], line["model"]) == ("POST /v2/models/dummy/infer", "200", "dummy")
    assert line["bytesOut"] == len(body)
    assert line["bytesIn"] == len(json.dumps(BODY))
    assert line["milliseconds"] > 0


def test_a_compressed_body_is_told_by_its_bytes_on_the_wire(logged):
    packed = gzip.compress(json.dumps(BODY).encode())
    told = {"Content_Encoding": "gzip", "X_Request_Id": "mine-6"}
    assert logged.post("/v2/models/dummy/infer", packed, **told)[0] == 200
    assert line_of(logged, "mine-6")["bytesIn"] == len(packed)


def test_a_request_without_an_id_gets_one(logged):
    headers = logged.get("/v2/models/nobody")[2]
    assert line_of(logged, headers["x-request-id"])["status"] == "404"


def test_a_grpc_call_has_one_line_and_its_id_comes_back(logged):
    client = triton.InferenceServerClient(logged.grpc)
    tensor = triton.InferInput("b", [1, 10], "FP32")
    tensor.set_data_from_numpy(np.zeros((1, 10), np.float32))
    client.infer("dummy", [tensor], headers={"x-request-id": "mine-2"})
    line = line_of(logged, "mine-2")
    assert (line["request"], line["status"]) == ("/inference.GRPCInferenceService/ModelInfer", "OK")
    assert line["model"] == "dummy"
    with pytest.raises(triton.InferenceServerException):
        client.get_model_metadata("nobody", headers={"x-request-id": "mine-3"})
    assert line_of(logged, "mine-3")["status"] == "NOT_FOUND"
    client.close()


def test_a_grpc_stream_has_one_line(logged):
    with grpc.insecure_channel(logged.grpc) as channel:
        call = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
        assert list(call(iter([]), metadata=(("x-request-id", "mine-4"),), timeout=30)) == []
    assert line_of(logged, "mine-4")["status"] == "OK"


def test_an_endless_id_is_cut(logged):
    assert fetch(logged.url("/v2"), X_Request_Id="x" * 5000)[2]["x-request-id"] == "x" * 128


def test_without_the_log_an_id_still_comes_back(server):
    assert server.get("/v2")[2]["x-request-id"] is None
    assert server.post("/v2/models/dummy/infer", BODY, X_Request_Id="mine-5")[2]["x-request-id"] == "mine-5"
    assert "mine-5" not in server.log()
