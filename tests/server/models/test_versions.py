"""Versions, states and readiness of models whose directories change."""

import json
import shutil
import threading

import grpc
import numpy as np
import openvino as ov
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from modelserver import proto
from modelserver.proto import tfs
from tests.support import models
from tests.support.rest import infer, one_input
from tests.support.server_process import ServerProcess
from tests.support.waiting import until

TEN = one_input("b", [1, 10], "FP32", [0] * 10)
SOON = 60


def add(base, number):
    """Version `number` adds its own number."""
    return models.save(models.dummy(number), base / str(number))


def states(server, name="m"):
    listed = json.loads(server.get("/v1/config")[1])[name]["model_version_status"]
    return {int(one["version"]): one["state"] for one in listed}


def answering(server):
    """The version that answers without being named, by what it adds."""
    status, answer = infer(server, "m", TEN)
    return int(answer["outputs"][0]["data"][0]) if status == 200 else status


def wait_for(server, want):
    until(f"{want}", lambda: states(server) == want, timeout=SOON)


def serving(base, *arguments):
    return ServerProcess("--model_name", "m", "--model_path", str(base), *arguments)


POLICIES = [
    (None, {5}),
    ({"latest": {"num_versions": 2}}, {4, 5}),
    ({"latest": {"num_versions": 10}}, {1, 4, 5}),
    ({"specific": {"versions": [4, 1]}}, {1, 4}),
    ({"specific": {"versions": [1, 8]}}, {1}),
    ({"all": {}}, {1, 4, 5}),
]


def test_a_policy_chooses_what_is_served_and_the_highest_answers(tmp_path):
    for number in (1, 4, 5):
        add(tmp_path / "m", number)
    entries = [
        {"name": f"p{index}", "base_path": "m"} | ({"model_version_policy": policy} if policy else {})
        for index, (policy, _) in enumerate(POLICIES)
    ]
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_config_list": [{"config": entry} for entry in entries]}))
    with ServerProcess("--config_path", str(path)) as server:
        until("liveness", lambda: server.answers("/v2/health/live"), timeout=SOON)
        for index, (_, want) in enumerate(POLICIES):
            name, served = f"p{index}", [str(number) for number in sorted(want)]
            until(
                f"{name} {served}",
                lambda name=name, served=served: versions(server, name) == served,
                timeout=SOON,
            )
            assert infer(server, name, TEN)[1]["model_version"] == served[-1]
            for number in want:
                status, answer = infer(server, f"{name}/versions/{number}", TEN)
                assert (status, answer["outputs"][0]["data"][0]) == (200, number)


def versions(server, name):
    status, raw, _ = server.get(f"/v2/models/{name}")
    return json.loads(raw)["versions"] if status == 200 else None


def test_named_versions_come_go_and_come_back(tmp_path):
    aside = tmp_path / "aside"
    base = tmp_path / "m"
    add(base, 1), add(base, 4)
    with serving(base, "--model_version_policy", '{"specific": {"versions": [1, 3, 4]}}') as server:
        until("version 4", lambda: server.answers("/v2/models/m/versions/4/ready"), timeout=SOON)
        shutil.move(base / "4", aside)
        add(base, 3)
        wait_for(server, {1: "AVAILABLE", 3: "AVAILABLE", 4: "END"})
        assert answering(server) == 3
        shutil.move(aside, base / "4")
        wait_for(server, {1: "AVAILABLE", 3: "AVAILABLE", 4: "AVAILABLE"})
        assert answering(server) == 4


BIG = (1_750_000_000_123_456_789, 2**63 - 1)


@pytest.mark.parametrize(
    "policy", [{"all": {}}, {"specific": {"versions": [5, *BIG]}}], ids=["all", "specific"]
)
def test_a_version_of_nineteen_digits_is_served_and_named_exactly_in_every_api(tmp_path, policy):
    for number in (5, *BIG):
        models.save(models.dummy(number % 1000), tmp_path / str(number))
    with serving(tmp_path, "--model_version_policy", json.dumps(policy)) as server:
        server.wait_ready()
        wait_for(server, dict.fromkeys((5, *BIG), "AVAILABLE"))
        assert answering(server) == BIG[-1] % 1000
        told = server.status()["models"][0]["versions"]
        assert [one["version"] for one in told] == [5, *BIG]
        with grpc.insecure_channel(server.grpc) as channel:
            for number in BIG:
                assert_exact(server, channel, number)
        for none in (2**63, 10**19, 10**30):
            assert infer(server, f"m/versions/{none}", TEN)[0] == 404


def assert_exact(server, channel, number):
    """Over REST and gRPC, KServe's and TensorFlow Serving's."""
    status, told = infer(server, f"m/versions/{number}", TEN)
    assert (status, told["model_version"]) == (200, str(number))
    assert told["outputs"][0]["data"][0] == number % 1000
    body = json.dumps({"instances": [[0] * 10]}).encode()
    status, raw, _ = server.post(f"/v1/models/m/versions/{number}:predict", body)
    assert (status, json.loads(raw)["predictions"][0][0]) == (200, number % 1000)
    stats = json.loads(server.get(f"/v2/models/m/versions/{number}/stats")[1])["model_stats"]
    assert [one["version"] for one in stats] == [str(number)]
    call = channel.unary_unary(f"/{proto.SERVICE}/ModelInfer")
    tensor = proto.ModelInferRequest.InferInputTensor(name="b", datatype="FP32", shape=[1, 10])
    request = proto.ModelInferRequest(
        model_name="m", model_version=str(number), inputs=[tensor], raw_input_contents=[bytes(40)]
    )
    answer = proto.ModelInferResponse.FromString(call(request.SerializeToString(), timeout=30))
    assert answer.model_version == str(number)
    request = tfs.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name, request.model_spec.version.value = "m", number
    call = channel.unary_unary("/tensorflow.serving.PredictionService/GetModelMetadata")
    answer = tfs.GetModelMetadataResponse.FromString(call(request.SerializeToString(), timeout=30))
    assert answer.model_spec.version.value == number


def test_readiness_tells_available_loading_retired_and_unknown_apart_over_rest_and_grpc(tmp_path):
    add(tmp_path, 1), add(tmp_path, 2)
    with serving(tmp_path, "--model_version_policy", '{"latest": {"num_versions": 2}}') as server:
        server.wait_ready()
        (tmp_path / "3").mkdir()
        (tmp_path / "3" / "model.xml").write_text("<net")
        until("the broken version", lambda: 3 in states(server), timeout=SOON)
        add(tmp_path, 4)
        wait_for(server, {1: "END", 2: "AVAILABLE", 3: "LOADING", 4: "AVAILABLE"})
        told = [server.get(f"/v2/models/m/versions/{number}/ready")[0] for number in (4, 3, 1, 9)]
        assert told == [200, 503, 404, 404]
        with grpc.insecure_channel(server.grpc) as channel:
            rpc = channel.unary_unary(f"/{proto.SERVICE}/ModelReady")
            assert [is_ready(rpc, version) for version in ("", "4", "3", "1", "9")] == [
                True, True, False, "NOT_FOUND", "NOT_FOUND",
            ]  # fmt: skip


def is_ready(rpc, version):
    message = proto.ModelReadyRequest(name="m", version=version).SerializeToString()
    try:
        return proto.ModelReadyResponse.FromString(rpc(message, timeout=30)).ready
    except grpc.RpcError as error:
        return error.code().name


def test_a_broken_version_is_told_with_the_real_reason_and_the_one_before_serves_on(tmp_path):
    add(tmp_path, 1)
    with serving(tmp_path) as server:
        server.wait_ready()
        (tmp_path / "2").mkdir()
        (tmp_path / "2" / "model.xml").write_text("<net")
        until("the reason", lambda: status_of(server, 2)["error_code"] == "UNKNOWN", timeout=SOON)
        assert states(server) == {1: "AVAILABLE", 2: "LOADING"}
        assert "model.xml" in status_of(server, 2)["error_message"]
        assert answering(server) == 1


def status_of(server, number):
    listed = json.loads(server.get("/v1/config")[1])["m"]["model_version_status"]
    return next((one["status"] for one in listed if one["version"] == str(number)), {"error_code": None})


def test_a_version_copied_piece_by_piece_never_disturbs_the_one_that_serves(tmp_path):
    base, finished = tmp_path / "m", tmp_path / "finished"
    models.save(heavy(1), base / "1")
    models.save(heavy(2), finished)
    with serving(base) as server:
        server.wait_ready()
        (base / "2").mkdir()
        shutil.copy(finished / "model.xml", base / "2")
        weights = (finished / "model.bin").read_bytes()
        with (base / "2" / "model.bin").open("wb") as copy:
            for start in range(0, len(weights), len(weights) // 20):
                copy.write(weights[start : start + len(weights) // 20])
                copy.flush()
                assert answering(server) == 1
        until("the whole version", lambda: answering(server) == 2, timeout=SOON)


def heavy(plus):
    """As the dummy, with weights that take a while to copy."""
    b = models._parameter([1, 10], np.float32, "b")
    ones = ov.opset13.constant(np.full((1_000_000, 10), plus, np.float32))
    mean = ov.opset13.reduce_mean(ones, ov.opset13.constant(np.int64(0)), keep_dims=True)
    return ov.Model([models._result(ov.opset13.add(b, mean), "a")], [b], "heavy")


def test_a_request_inside_a_deleted_version_is_finished(tmp_path):
    models.save(models.slow(1024, 64), tmp_path / "1")
    body = one_input("x", [64, 1024], "FP32", [0.5] * 64 * 1024)
    with serving(tmp_path, "--nireq", "1", "--streams", "1") as server:
        server.wait_ready()
        raw, seen = json.dumps(body).encode(), []
        callers = [threading.Thread(target=lambda: seen.append(infer(server, "m", raw)[0])) for _ in range(6)]
        for caller in callers:
            caller.start()
        until("the model", lambda: server.status()["models"][0]["versions"], timeout=SOON)
        shutil.rmtree(tmp_path / "1")
        for caller in callers:
            caller.join(SOON)
        wait_for(server, {1: "END"})
        assert 200 in seen
        assert set(seen) <= {200, 503}


def test_what_is_no_version_is_ignored_with_a_warning(tmp_path):
    add(tmp_path, 1)
    for name in ("0", "-1", "01x", "latest", "1.5"):
        (tmp_path / name).mkdir()
    (tmp_path / "README.md").write_text("")
    with serving(tmp_path) as server:
        server.wait_ready()
        assert states(server) == {1: "AVAILABLE"}
        assert "latest" in server.log()


@pytest.mark.parametrize("is_file", [True, False], ids=["file", "directory"])
def test_a_model_without_a_version_directory_is_version_1(tmp_path, is_file):
    models.save(models.dummy(), tmp_path)
    with serving(tmp_path / "model.xml" if is_file else tmp_path) as server:
        server.wait_ready()
        assert (states(server), answering(server)) == ({1: "AVAILABLE"}, 1)


def test_grpcs_health_watch_follows_a_model_through_its_life(tmp_path):
    add(tmp_path / "m", 1)
    with serving(tmp_path / "m") as server, grpc.insecure_channel(server.grpc) as channel:
        server.wait_ready()
        stub, known = health_pb2_grpc.HealthStub(channel), health_pb2.HealthCheckResponse
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="m"), timeout=SOON)
        assert next(watch).status == known.SERVING
        shutil.move(tmp_path / "m" / "1", tmp_path / "aside")
        assert next(watch).status == known.NOT_SERVING
        shutil.move(tmp_path / "aside", tmp_path / "m" / "1")
        assert next(watch).status == known.SERVING
        watch.cancel()
