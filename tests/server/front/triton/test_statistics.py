"""The statistics and model configuration extensions, with Triton's newest client as it is."""

import json
import time

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from tests.support.rest import one_input
from tests.support.server_process import ServerProcess

PARTS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
GOOD = one_input("b", [1, 10], "FP32", [0] * 10)
BAD = one_input("b", [1, 9], "FP32", [0] * 9)


@pytest.fixture(scope="module")
def counted(repository, config_of, tmp_path_factory):
    """A server of its own: nobody else counts here."""
    path = tmp_path_factory.mktemp("config") / "config.json"
    with ServerProcess("--config_path", str(config_of(path, ["dummy", "two"]))) as server:
        yield server.wait_ready()


def stats(server, path="/v2/models/dummy/stats"):
    code, raw, _ = server.get(path)
    assert code == 200, raw
    return json.loads(raw)["model_stats"]


def test_counts_and_times_grow_with_every_api(counted):
    before, started = stats(counted)[0], time.time()
    for _ in range(3):
        assert counted.post("/v2/models/dummy/infer", GOOD)[0] == 200
    assert counted.post("/v1/models/dummy:predict", {"inputs": [[0] * 10]})[0] == 200
    assert counted.post("/v2/models/dummy/infer", BAD)[0] == 400
    with tritonclient.grpc.InferenceServerClient(counted.grpc) as client:
        given = tritonclient.grpc.InferInput("b", [1, 10], "FP32")
        given.set_data_from_numpy(np.zeros((1, 10), np.float32))
        client.infer("dummy", [given])
        rpc = client.get_inference_statistics("dummy", "1", as_json=True)["model_stats"][0]
    after = stats(counted)[0]

    def grown(part, what):
        return after["inference_stats"][part][what] - before["inference_stats"][part][what]

    assert (after["name"], after["version"]) == ("dummy", "1")
    assert after["inference_count"] - before["inference_count"] == 5
    assert after["execution_count"] == after["inference_count"]
    assert [grown(part, "count") for part in PARTS] == [5, 1, 5, 5, 5, 5]
    assert all(grown(part, "ns") > 0 for part in PARTS)
    parts = sum(grown(part, "ns") for part in PARTS[2:])
    assert abs(grown("success", "ns") - parts) < 1000
    assert started - 1 < after["last_inference"] / 1e3 < time.time() + 1
    assert int(rpc["inference_count"]) == after["inference_count"]
    assert {part: int(one["count"]) for part, one in rpc["inference_stats"].items()} == {
        part: one["count"] for part, one in after["inference_stats"].items()
    }


def test_all_models_one_model_and_one_version(counted):
    with tritonclient.http.InferenceServerClient(counted.rest) as client:
        every = client.get_inference_statistics()["model_stats"]
        one = client.get_inference_statistics("two")["model_stats"]
        version = client.get_inference_statistics("two", "1")["model_stats"]
    assert [told["name"] for told in every] == ["dummy", "two"]
    assert [told["name"] for told in one] == ["two"]
    assert version == one
    with tritonclient.grpc.InferenceServerClient(counted.grpc) as client:
        assert [told.name for told in client.get_inference_statistics().model_stats] == ["dummy", "two"]


def test_a_model_without_an_inference_has_zeros(counted):
    (told,) = stats(counted, "/v2/models/two/versions/1/stats")
    assert told["last_inference"] == 0
    assert told["inference_stats"] == {part: {"count": 0, "ns": 0} for part in PARTS}


@pytest.mark.parametrize("what", ["stats", "config"])
def test_unknown_models_and_versions_are_not_found(counted, what):
    for path in (f"/v2/models/nobody/{what}", f"/v2/models/two/versions/7/{what}"):
        code, raw, _ = counted.get(path)
        assert code == 404
        assert "is not found" in json.loads(raw)["error"]
    code, _, headers = counted.post(f"/v2/models/two/{what}", b"")
    assert (code, headers["allow"]) == (405, "GET")
    with tritonclient.grpc.InferenceServerClient(counted.grpc) as client:
        ask = client.get_inference_statistics if what == "stats" else client.get_model_config
        with pytest.raises(InferenceServerException, match="NOT_FOUND"):
            ask("nobody")


def test_the_model_configuration_tells_inputs_and_outputs(server):
    with tritonclient.http.InferenceServerClient(server.rest) as client:
        told = client.get_model_config("two", "1")
    with tritonclient.grpc.InferenceServerClient(server.grpc) as client:
        assert client.get_model_config("two").config.name == "two"
        rpc = client.get_model_config("two", as_json=True)["config"]
        text = client.get_model_config("bytes", as_json=True)["config"]["input"][0]
    assert told["backend"] == told["platform"] == "openvino"
    assert told["max_batch_size"] == 0
    assert text["data_type"] == "TYPE_STRING"
    assert told["input"] == [
        {"name": "x", "data_type": "TYPE_FP32", "dims": [-1, 2]},
        {"name": "n", "data_type": "TYPE_INT32", "dims": [-1, 2]},
    ]
    assert [one["name"] for one in told["output"]] == ["sum", "copy"]
    assert rpc["input"] == [{**one, "dims": [str(size) for size in one["dims"]]} for one in told["input"]]
    assert rpc["backend"] == "openvino"
