"""Triton's model repository extension, with its newest client as it is, over REST and gRPC."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import grpc
import jsonschema
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from modelserver import proto
from tests.contract.test_status_of_server import SCHEMA
from tests.support import models
from tests.support.hot import Load
from tests.support.server_process import ServerProcess
from tests.support.waiting import until

CLIENTS = {"REST": tritonclient.http, "gRPC": tritonclient.grpc}


@pytest.fixture
def served(tmp_path):
    """A server with two models that looks at its files every second."""
    bases = {name: tmp_path / name for name in ("dummy", "other")}
    for base in bases.values():
        models.save(models.dummy(1), base / "1")
    path = tmp_path / "config.json"

    def configure(**changed):
        entries = [
            {"config": {"name": name, "base_path": str(base), **changed.get(name, {})}}
            for name, base in bases.items()
        ]
        path.write_text(json.dumps({"model_config_list": entries}))

    configure()
    with ServerProcess("--config_path", str(path)) as server:
        server.wait_ready()
        yield SimpleNamespace(server=server, bases=bases, configure=configure)


@pytest.fixture(params=CLIENTS)
def client(request, served):
    address = served.server.rest if request.param == "REST" else served.server.grpc
    with CLIENTS[request.param].InferenceServerClient(address) as client:
        yield client


def index(client):
    """State and reason by name and version, from either client."""
    told = client.get_model_repository_index()
    if not isinstance(told, list):
        told = [
            {"name": one.name, "version": one.version, "state": one.state, "reason": one.reason}
            for one in told.models
        ]
    return {(one["name"], one["version"]): (one["state"], one["reason"]) for one in told}


def state(served, name="dummy"):
    return next(model for model in served.server.status()["models"] if model["name"] == name)


def is_retired(served):
    return [one["state"] for one in state(served)["versions"]] == ["END"]


def test_an_unloaded_model_is_gone_until_it_is_loaded_again(served, client):
    assert index(client) == {("dummy", "1"): ("READY", ""), ("other", "1"): ("READY", "")}
    client.unload_model("dummy")
    assert not client.is_model_ready("dummy")
    assert client.is_model_ready("other")
    assert client.is_server_ready()
    until("the end of the model", lambda: is_retired(served), timeout=30)
    found, reason = index(client)["dummy", "1"]
    assert found == "UNAVAILABLE"
    assert "unloaded by request" in reason
    client.load_model("dummy")
    assert client.is_model_ready("dummy")
    assert index(client)["dummy", "1"] == ("READY", "")


def test_an_unloaded_model_is_told_truthfully_and_polling_leaves_it_alone(served, client):
    client.unload_model("dummy")
    models.save(models.dummy(2), served.bases["dummy"] / "2")
    models.save(models.dummy(2), served.bases["other"] / "2")
    until(
        "the other model's new version",
        lambda: served.server.answers("/v2/models/other/versions/2/ready"),
        timeout=30,
    )
    told = state(served)
    jsonschema.validate(served.server.status(), SCHEMA, cls=jsonschema.Draft202012Validator)
    assert not any(one["wanted"] for one in told["versions"])
    assert "unloaded by request" in told["error"]
    assert not client.is_model_ready("dummy")
    code, raw, _ = served.server.post("/v2/models/dummy/infer", {"inputs": []})
    assert code == 503
    assert "unloaded by request" in json.loads(raw)["error"]


def test_loading_looks_at_the_files_as_they_are_now(served, client):
    client.unload_model("dummy")
    models.save(models.dummy(2), served.bases["dummy"] / "2")
    client.load_model("dummy")
    assert client.is_model_ready("dummy", "2")


def test_new_settings_bring_an_unloaded_model_back(served, client):
    client.unload_model("dummy")
    served.configure(dummy={"nireq": 2})
    until("the model with its new settings", lambda: client.is_model_ready("dummy"), timeout=30)


def test_a_server_whose_models_are_all_unloaded_stays_ready_to_load_them(served, client):
    for name in served.bases:
        client.unload_model(name)
    assert client.is_server_ready()
    assert client.is_server_live()


def test_unloading_twice_and_loading_twice_change_nothing(served, client):
    for _ in range(2):
        client.unload_model("dummy", unload_dependents=True)
    for _ in range(2):
        client.load_model("dummy")
    assert client.is_model_ready("dummy")


def test_no_request_fails_on_the_other_model(served, client):
    with Load(served.server, path="/v2/models/other/infer") as load:
        for _ in range(5):
            client.unload_model("dummy")
            client.load_model("dummy")
    assert load.count > 0
    assert load.failures == []


def test_a_model_that_cannot_be_loaded_says_why(served, client):
    client.unload_model("dummy")
    (served.bases["dummy"] / "1" / "model.xml").write_text("<net")
    with pytest.raises(InferenceServerException, match="Model dummy cannot be loaded: ") as refused:
        client.load_model("dummy")
    assert refused.value.status() in ("400", "StatusCode.FAILED_PRECONDITION")
    found, reason = index(client)["dummy", "1"]
    assert found == "UNAVAILABLE"
    assert reason


def test_what_is_asked_for_and_not_offered_is_refused(served, client):
    with pytest.raises(InferenceServerException, match="config is not supported"):
        client.load_model("dummy", config='{"backend": "onnxruntime"}')
    with pytest.raises(InferenceServerException, match="not supported"):
        client.load_model("dummy", config="{}", files={"file:1/model.onnx": b"x"})
    for order in (client.load_model, client.unload_model):
        with pytest.raises(InferenceServerException, match="name is not found") as refused:
            order("nobody")
        assert refused.value.status() in ("404", "StatusCode.NOT_FOUND")
    assert client.is_model_ready("dummy")


def test_in_flight_requests_finish_when_their_model_is_unloaded(repository):
    model = ("--model_name", "slow", "--model_path", str(repository / "slow"), "--metrics_enable")
    body = {"name": "x", "shape": [64, 1024], "datatype": "FP32", "data": [0] * (64 * 1024)}
    with ServerProcess(*model) as server, ThreadPoolExecutor(8) as callers:
        server.wait_ready()

        def inside():
            page = server.get("/metrics")[1].decode()
            return float(re.search(r"^ovms_current_requests\{.*\} (\S+)$", page, re.MULTILINE)[1]) > 0

        def infer():
            return server.post("/v2/models/slow/infer", {"inputs": [body]})[0]

        waiting = [callers.submit(infer) for _ in range(64)]
        until("requests inside the model", inside, timeout=60)
        assert server.post("/v2/repository/models/slow/unload", b"")[0] == 200
        codes = {request.result() for request in waiting}
        assert codes <= {200, 503}
        assert 200 in codes
        assert infer() == 503


def test_the_index_can_be_limited_to_what_answers(served):
    served.server.post("/v2/repository/models/dummy/unload", b"")
    code, raw, _ = served.server.post("/v2/repository/index", {"ready": True})
    assert (code, json.loads(raw)) == (
        200,
        [{"name": "other", "version": "1", "state": "READY", "reason": ""}],
    )
    with grpc.insecure_channel(served.server.grpc) as channel:
        rpc = channel.unary_unary(
            f"/{proto.SERVICE}/RepositoryIndex",
            lambda message: message.SerializeToString(),
            service_pb2.RepositoryIndexResponse.FromString,
        )
        told = rpc(service_pb2.RepositoryIndexRequest(ready=True), timeout=30)
        assert [one.name for one in told.models] == ["other"]
        with pytest.raises(grpc.RpcError) as refused:
            rpc(service_pb2.RepositoryIndexRequest(repository_name="mine"), timeout=30)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        pytest.param("/v2/repository/index", b"[]", 400, id="index-list"),
        pytest.param("/v2/repository/index", b"{", 400, id="index-no-json"),
        pytest.param("/v2/repository/index", b'{"ready": 1}', 400, id="index-ready-number"),
        pytest.param("/v2/repository/models/dummy/load", b'{"parameters": 1}', 400, id="parameters-number"),
        pytest.param("/v2/repository/models/dummy/load", b'{"parameters": {"x": 1}}', 200, id="harmless"),
        pytest.param("/v2/repository/models/dummy/load", b'{"parameters": null}', 200, id="parameters-null"),
        pytest.param("/v2/repository/index", b'{"ready": null}', 200, id="ready-null"),
        pytest.param("/v2/repository/index", b"\xef\xbb\xbf{}", 400, id="byte-order-mark"),
        pytest.param("/v2/repository/models/dummy/load/", b" ", 200, id="slash-and-blank"),
        pytest.param("/v2/repository/models/dummy/explode", b"", 404, id="no-such-order"),
        pytest.param("/v2/repository/models/a%2Fb/load", b"", 404, id="name-with-slash"),
    ],
)
def test_bodies_and_paths(server, path, body, code):
    found, raw, _ = server.post(path, body)
    assert found == code, raw
    assert code == 200 or list(json.loads(raw)) == ["error"]


def test_a_server_may_forbid_it_and_says_which_option_does(repository):
    model = ("--model_name", "m", "--model_path", str(repository / "dummy"), "--model_control_mode", "none")
    with ServerProcess(*model) as server:
        server.wait_ready()
        for module, address, status in (
            (tritonclient.http, server.rest, "403"),
            (tritonclient.grpc, server.grpc, "StatusCode.PERMISSION_DENIED"),
        ):
            with module.InferenceServerClient(address) as client:
                for order in (client.load_model, client.unload_model):
                    with pytest.raises(InferenceServerException, match="model_control_mode") as refused:
                        order("m")
                    assert refused.value.status() == status
                assert index(client) == {("m", "1"): ("READY", "")}
                assert client.is_model_ready("m")


def test_the_extensions_are_named(server):
    want = {"binary_tensor_data", "model_repository", "statistics", "model_configuration"}
    with tritonclient.http.InferenceServerClient(server.rest) as client:
        assert want <= set(client.get_server_metadata()["extensions"])
    with tritonclient.grpc.InferenceServerClient(server.grpc) as client:
        assert want <= set(client.get_server_metadata().extensions)
