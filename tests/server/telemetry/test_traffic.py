"""Answers by interface and code, bytes of inferences, and where metrics are not offered."""

import gzip
import json
import re

import grpc
import numpy as np
import pytest
import tritonclient.grpc
from tritonclient.utils import InferenceServerException

from modelserver import proto
from tests.support.rest import one_input
from tests.support.server_process import ServerProcess

GOOD = json.dumps(one_input("b", [1, 10], "FP32", [0] * 10)).encode()


@pytest.fixture(scope="module")
def counted(repository):
    """A server of its own: nobody else counts here."""
    model = ("--model_name", "dummy", "--model_path", str(repository / "dummy"), "--metrics_enable")
    with ServerProcess(*model) as server:
        yield server.wait_ready()


def count(server, family, **labels):
    told = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
    page = server.get("/metrics")[1].decode()
    found = re.search(rf"^{family}\{{{told}\}} (\S+)$", page, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_rest_answers_are_counted_by_code_and_inferences_by_bytes(counted):
    def codes():
        return [count(counted, "modelserver_responses", interface="REST", code=n) for n in (400, 404, 405)]

    def passed():
        names = ("modelserver_request_bytes", "modelserver_response_bytes")
        return [count(counted, name, interface="REST") for name in names]

    before, bytes_before = codes(), passed()
    _, answer, _ = counted.post("/v2/models/dummy/infer", GOOD)
    counted.post("/v2/models/dummy/infer", b"{")
    counted.post("/v2/models/nobody/infer", GOOD)
    counted.get("/v1/nothing")
    counted.get("/v2/models/dummy/infer")
    counted.post("/status", b"")
    assert [now - then for now, then in zip(codes(), before, strict=True)] == [1, 2, 2]
    grown = [now - then for now, then in zip(passed(), bytes_before, strict=True)]
    assert grown == [len(GOOD), len(answer)]


def test_a_compressed_body_counts_as_much_as_the_same_one_uncompressed(counted):
    before = count(counted, "modelserver_request_bytes", interface="REST")
    for body, coding in [(gzip.compress(GOOD), "gzip"), (GOOD, "identity")]:
        assert counted.post("/v2/models/dummy/infer", body, Content_Encoding=coding)[0] == 200
    assert count(counted, "modelserver_request_bytes", interface="REST") - before == 2 * len(GOOD)


def test_grpc_answers_are_counted_by_code_and_inferences_by_bytes(counted):
    def answers():
        names = ("OK", "INVALID_ARGUMENT", "NOT_FOUND")
        return [count(counted, "modelserver_responses", interface="gRPC", code=name) for name in names]

    before = answers()
    received = count(counted, "modelserver_request_bytes", interface="gRPC")
    sent = count(counted, "modelserver_response_bytes", interface="gRPC")
    request = proto.ModelInferRequest(model_name="dummy", raw_input_contents=[bytes(40)])
    request.inputs.add(name="b", datatype="FP32", shape=[1, 10])
    with grpc.insecure_channel(counted.grpc) as channel:
        infer = channel.unary_unary(f"/{proto.SERVICE}/ModelInfer")
        answer = infer(request.SerializeToString(), timeout=30)
        for wrong in (b"\xff", proto.ModelInferRequest(model_name="nobody").SerializeToString()):
            with pytest.raises(grpc.RpcError):
                infer(wrong, timeout=30)
    with tritonclient.grpc.InferenceServerClient(counted.grpc) as client:
        assert client.is_server_live()
        with pytest.raises(InferenceServerException):
            client.get_model_metadata("nobody")
    assert [now - then for now, then in zip(answers(), before, strict=True)] == [2, 1, 2]
    grown = count(counted, "modelserver_request_bytes", interface="gRPC") - received
    assert grown == request.ByteSize()
    assert count(counted, "modelserver_response_bytes", interface="gRPC") - sent == len(answer)


def test_the_answers_of_a_stream_are_counted_one_by_one(counted):
    before = count(counted, "modelserver_responses", interface="gRPC", code="OK")
    refused = count(counted, "modelserver_responses", interface="gRPC", code="NOT_FOUND")
    given = tritonclient.grpc.InferInput("b", [1, 10], "FP32")
    given.set_data_from_numpy(np.zeros((1, 10), np.float32))
    told = []
    with tritonclient.grpc.InferenceServerClient(counted.grpc) as client:
        client.start_stream(lambda result, error: told.append((result, error)))
        for name in ("dummy", "dummy", "nobody"):
            client.async_stream_infer(name, [given])
        client.stop_stream()
    assert [error is None for _, error in told] == [True, True, False]
    assert count(counted, "modelserver_responses", interface="gRPC", code="OK") == before + 2
    assert count(counted, "modelserver_responses", interface="gRPC", code="NOT_FOUND") == refused + 1


def test_a_port_without_metrics_says_how_to_get_them(repository):
    with ServerProcess("--model_name", "dummy", "--model_path", str(repository / "dummy")) as server:
        server.wait_ready()
        for path in ("/metrics", "/metrics/", "/metrics?name=x"):
            code, raw, _ = server.get(path)
            assert code == 404
            assert "--metrics_enable" in json.loads(raw)["error"]
            assert "--status_port" in json.loads(raw)["error"]


def test_a_request_to_a_version_that_is_not_served_is_a_failed_one(counted):
    told = {"api": "KServe", "interface": "REST", "method": "ModelInfer", "name": "dummy", "version": "1"}
    before = count(counted, "ovms_requests_fail", **told)
    assert counted.post("/v2/repository/models/dummy/unload", b"")[0] == 200
    try:
        assert counted.post("/v2/models/dummy/versions/1/infer", GOOD)[0] == 503
        assert count(counted, "ovms_requests_fail", **told) == before + 1
    finally:
        assert counted.post("/v2/repository/models/dummy/load", b"")[0] == 200
