"""What TensorFlow Serving's clients see of versions that come, fail and go, and what is counted."""

import json
import shutil

import grpc
import pytest

from modelserver.proto import tfs
from tests.support import models
from tests.support.server_process import ServerProcess
from tests.support.waiting import until

TEN = list(range(10))


@pytest.fixture
def base(tmp_path):
    """Versions 1 and 2, and a 3 that is no model."""
    base = tmp_path / "m"
    for number in (1, 2):
        models.save(models.dummy(plus=number), base / str(number))
    (base / "3").mkdir()
    (base / "3" / "model.xml").write_text("no model")
    (base / "3" / "model.bin").write_text("")
    return base


@pytest.fixture
def server(base):
    policy = ("--model_version_policy", '{"all": {}}')
    model = ("--model_name", "m", "--model_path", str(base))
    with ServerProcess(*model, *policy, "--metrics_enable") as running:
        until("version 2", lambda: running.answers("/v2/models/m/versions/2/ready"), timeout=60)
        yield running


def states(server, version=""):
    told = json.loads(server.get(f"/v1/models/m{version}")[1])["model_version_status"]
    return {one["version"]: (one["state"], one["status"]) for one in told}


def predicted(server, version=""):
    status, raw, _ = server.post(f"/v1/models/m{version}:predict", {"instances": [TEN]})
    return status, json.loads(raw)


def rpc(server, path, request, answer):
    with grpc.insecure_channel(server.grpc) as channel:
        method = channel.unary_unary(path, lambda one: one.SerializeToString(), answer.FromString)
        return method(request, timeout=20)


def grpc_states(server, version=0):
    request = tfs.GetModelStatusRequest()
    request.model_spec.name, request.model_spec.version.value = "m", version
    answer = rpc(server, f"/{tfs.MODEL_SERVICE}/GetModelStatus", request, tfs.GetModelStatusResponse)
    return {one.version: (one.state, one.status.error_code) for one in answer.model_version_status}


def grpc_predict_error(server, version):
    request = tfs.PredictRequest()
    request.model_spec.name, request.model_spec.version.value = "m", version
    with pytest.raises(grpc.RpcError) as raised:
        rpc(server, f"/{tfs.PREDICTION_SERVICE}/Predict", request, tfs.PredictResponse)
    return raised.value.code().name, raised.value.details()


def test_versions_are_told_with_their_states_and_errors(server, base):
    until("the failure of version 3", lambda: states(server)["3"][1]["error_code"] == "UNKNOWN", timeout=60)
    told = states(server)
    fine = {"error_code": "OK", "error_message": "OK"}
    assert told["1"] == told["2"] == ("AVAILABLE", fine)
    assert told["3"][0] == "LOADING"
    assert "model.xml" in told["3"][1]["error_message"]
    assert states(server, "/versions/2") == {"2": told["2"]}
    assert grpc_states(server) == {1: (30, 0), 2: (30, 0), 3: (20, 2)}
    assert grpc_states(server, 3) == {3: (20, 2)}
    not_yet = "Model with requested version is not loaded yet"
    assert predicted(server, "/versions/3") == (503, {"error": not_yet})
    assert grpc_predict_error(server, 3) == ("UNAVAILABLE", not_yet)

    assert predicted(server) == (200, {"predictions": [[n + 2 for n in TEN]]})
    assert predicted(server, "/versions/1") == (200, {"predictions": [[n + 1 for n in TEN]]})
    shutil.rmtree(base / "2")
    until("the end of version 2", lambda: states(server)["2"][0] == "END", timeout=60)
    assert grpc_states(server, 2) == {2: (50, 0)}
    retired = "Model with requested version is retired"
    assert predicted(server, "/versions/2") == (404, {"error": retired})
    assert grpc_predict_error(server, 2) == ("NOT_FOUND", retired)
    assert predicted(server) == (200, {"predictions": [[n + 1 for n in TEN]]})


def counted(server, result, interface, method, **version):
    labels = {"api": "TensorFlowServing", "interface": interface, "method": method, "name": "m", **version}
    line = (
        f"ovms_requests_{result}{{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "} "
    )
    page = server.get("/metrics")[1].decode().splitlines()
    (found,) = [one for one in page if one.startswith(line)]
    return int(found.removeprefix(line))


def test_requests_are_counted_under_their_api_from_zero_on(server):
    for interface in ("REST", "gRPC"):
        for result in ("success", "fail"):
            for method in ("Predict", "GetModelMetadata"):
                assert counted(server, result, interface, method, version="2") == 0
            assert counted(server, result, interface, "GetModelStatus") == 0
    predicted(server)
    server.post("/v1/models/m:predict", b"{")
    states(server)
    server.get("/v1/models/m/metadata")
    grpc_states(server)
    assert counted(server, "success", "REST", "Predict", version="2") == 1
    assert counted(server, "fail", "REST", "Predict", version="2") == 1
    assert counted(server, "success", "REST", "GetModelMetadata", version="2") == 1
    assert counted(server, "success", "REST", "GetModelStatus") == 1
    assert counted(server, "success", "gRPC", "GetModelStatus") == 1
    assert counted(server, "success", "gRPC", "Predict", version="2") == 0
