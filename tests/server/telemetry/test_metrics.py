"""OVMS's dashboards find what they query: families, labels, buckets and counts."""

import json
import re

import grpc
import pytest

from modelserver import proto
from modelserver.proto import tfs
from tests.support.rest import infer, one_input
from tests.support.server_process import ServerProcess
from tests.support.waiting import until

TEN = one_input("b", [1, 10], "FP32", [0] * 10)
REQUEST = {"api", "interface", "method", "name", "version"}
MODEL = {"name", "version"}
OVMS = {
    "ovms_requests_success": ("counter", REQUEST),
    "ovms_requests_fail": ("counter", REQUEST),
    "ovms_request_time_us": ("histogram", MODEL | {"interface"}),
    "ovms_inference_time_us": ("histogram", MODEL),
    "ovms_wait_for_infer_req_time_us": ("histogram", MODEL),
    "ovms_streams": ("gauge", MODEL),
    "ovms_current_requests": ("gauge", MODEL),
    "ovms_infer_req_queue_size": ("gauge", MODEL),
    "ovms_infer_req_active": ("gauge", MODEL),
}
LINE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")


def serving(repository, *arguments):
    path = str(repository / "dummy")
    return ServerProcess("--model_name", "dummy", "--model_path", path, *arguments)


@pytest.fixture(scope="module")
def measured(repository):
    with serving(repository, "--metrics_enable") as running:
        yield running.wait_ready()


def samples(server):
    """Value by name and labels, as a scraper reads the page."""
    found = {}
    for line in server.get("/metrics")[1].decode().splitlines():
        if match := LINE.fullmatch(line):
            labels = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or "")
            found[match[1], frozenset(labels)] = float(match[3])
    return found


def counted(server, family, **labels):
    return samples(server).get((family, frozenset(labels.items())), 0)


def test_the_page_is_prometheus_text_with_help_and_type_of_every_family(measured):
    status, raw, headers = measured.get("/metrics")
    assert (status, headers["Content-Type"].partition(";")[0]) == (200, "text/plain")
    page = raw.decode()
    for name, (kind, _) in OVMS.items():
        assert f"# TYPE {name} {kind}\n" in page
        assert re.search(rf"# HELP {name} \S", page)


def test_every_series_has_ovms_labels_and_is_there_before_the_first_request(repository):
    with serving(repository, "--metrics_enable") as server:
        server.wait_ready()
        found = samples(server)
    for name, (kind, labels) in OVMS.items():
        series = f"{name}_count" if kind == "histogram" else name
        keys = [{key for key, _ in told} for family, told in found if family == series]
        assert keys, name
        assert all(one in (labels, labels - {"version"}) for one in keys), name
    for interface in ("REST", "gRPC"):
        for method in ("ModelInfer", "ModelMetadata"):
            told = {
                "api": "KServe",
                "interface": interface,
                "method": method,
                "name": "dummy",
                "version": "1",
            }
            assert found["ovms_requests_success", frozenset(told.items())] == 0
        ready = {"api": "KServe", "interface": interface, "method": "ModelReady", "name": "dummy"}
        assert found["ovms_requests_success", frozenset(ready.items())] == 0


def test_buckets_grow_by_1_8_from_10_microseconds(measured):
    told = {"name": "dummy", "version": "1"}.items()
    bounds = [
        dict(labels)["le"]
        for name, labels in samples(measured)
        if name == "ovms_inference_time_us_bucket" and told <= labels
    ]
    finite = [int(float(bound)) for bound in bounds if bound != "+Inf"]
    assert finite == [int(10 * 1.8**index) for index in range(33)]
    assert "+Inf" in bounds


@pytest.fixture(scope="module")
def channel(measured):
    with grpc.insecure_channel(measured.grpc) as channel:
        yield channel


def call(channel, method, request):
    try:
        channel.unary_unary(method)(request.SerializeToString(), timeout=30)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def v2_infer(model="dummy", size=40):
    request = proto.ModelInferRequest(model_name=model, raw_input_contents=[bytes(size)])
    request.inputs.add(name="b", datatype="FP32", shape=[1, 10])
    return request


def predict():
    request = tfs.PredictRequest()
    request.model_spec.name = "dummy"
    return request


V2 = f"/{proto.SERVICE}"
GOOD_AND_BAD = [  # api, interface, method, how many right and how many wrong requests
    pytest.param(("KServe", "REST", "ModelInfer", 3, 2), id="infer over REST"),
    pytest.param(("KServe", "gRPC", "ModelInfer", 2, 3), id="infer over gRPC"),
    pytest.param(("KServe", "REST", "ModelMetadata", 1, 0), id="metadata over REST"),
    pytest.param(("KServe", "gRPC", "ModelMetadata", 1, 0), id="metadata over gRPC"),
    pytest.param(("KServe", "REST", "ModelReady", 2, 0), id="readiness over REST"),
    pytest.param(("KServe", "gRPC", "ModelReady", 1, 0), id="readiness over gRPC"),
    pytest.param(("TensorFlowServing", "REST", "Predict", 1, 1), id="predict over REST"),
    pytest.param(("TensorFlowServing", "gRPC", "Predict", 0, 1), id="predict over gRPC"),
]


def ask(server, channel, interface, method, *, is_good):
    """One request of a kind, right or wrong."""
    if interface == "REST":
        body = TEN if is_good else {"inputs": []}
        asks = {
            "ModelInfer": lambda: infer(server, "dummy", body),
            "ModelMetadata": lambda: server.get("/v2/models/dummy"),
            "ModelReady": lambda: server.get("/v2/models/dummy/ready"),
            "Predict": lambda: server.post(
                "/v1/models/dummy:predict", {"instances": [[0] * 10]} if is_good else b"{"
            ),
        }
        asks[method]()
        return
    requests = {
        "ModelInfer": (f"{V2}/ModelInfer", v2_infer(size=40 if is_good else 39)),
        "ModelMetadata": (f"{V2}/ModelMetadata", proto.ModelMetadataRequest(name="dummy")),
        "ModelReady": (f"{V2}/ModelReady", proto.ModelReadyRequest(name="dummy")),
        "Predict": ("/tensorflow.serving.PredictionService/Predict", predict()),
    }
    call(channel, *requests[method])


@pytest.mark.parametrize("case", GOOD_AND_BAD)
def test_each_request_is_counted_once_under_its_own_labels(measured, channel, case):
    api, interface, method, good, bad = case
    before = samples(measured)
    for _ in range(good):
        ask(measured, channel, interface, method, is_good=True)
    for _ in range(bad):
        ask(measured, channel, interface, method, is_good=False)
    told = {"api": api, "interface": interface, "method": method, "name": "dummy"}
    told |= {} if method == "ModelReady" else {"version": "1"}
    after = samples(measured)
    changed = {
        key: after[key] - before.get(key, 0)
        for key in after
        if key[0] in ("ovms_requests_success", "ovms_requests_fail") and after[key] != before.get(key, 0)
    }
    want = {
        (f"ovms_requests_{outcome}", frozenset(told.items())): count
        for outcome, count in (("success", good), ("fail", bad))
        if count
    }
    assert changed == want


def test_times_are_observed_for_successes_only(measured, channel):
    before = counted(measured, "ovms_request_time_us_count", interface="gRPC", name="dummy", version="1")
    assert call(channel, f"{V2}/ModelInfer", v2_infer()) == grpc.StatusCode.OK
    assert call(channel, f"{V2}/ModelInfer", v2_infer(size=1)) == grpc.StatusCode.INVALID_ARGUMENT
    after = counted(measured, "ovms_request_time_us_count", interface="gRPC", name="dummy", version="1")
    assert after - before == 1


def unknown(server):
    family = "modelserver_requests_unknown_model"
    return [counted(server, family, interface=interface) for interface in ("REST", "gRPC")]


def test_an_unknown_model_makes_no_series_but_is_counted(measured, channel):
    before = unknown(measured)
    infer(measured, "nobody", TEN)
    assert call(channel, f"{V2}/ModelInfer", v2_infer("nobody")) == grpc.StatusCode.NOT_FOUND
    assert unknown(measured) == [count + 1 for count in before]
    assert "nobody" not in measured.get("/metrics")[1].decode()


def test_without_metrics_enable_there_is_nothing_at_metrics(repository):
    with serving(repository) as server:
        server.wait_ready()
        status, raw, _ = server.get("/metrics")
        assert (status, list(json.loads(raw))) == (404, ["error"])


def test_metrics_list_replaces_ovms_families_exactly(repository):
    chosen = "ovms_infer_req_active,ovms_requests_success"
    with serving(repository, "--metrics_enable", "--metrics_list", chosen) as server:
        server.wait_ready()
        assert {name for name, _ in samples(server) if name.startswith("ovms_")} == set(chosen.split(","))


def test_a_models_name_is_escaped_in_labels(repository, tmp_path):
    name = 'quo"te\\back'
    path = tmp_path / "config.json"
    entry = {"name": name, "base_path": str(repository / "dummy")}
    path.write_text(json.dumps({"model_config_list": [{"config": entry}]}))
    with ServerProcess("--config_path", str(path), "--metrics_enable") as server:
        server.wait_ready()
        until("the escaped name", lambda: b'name="quo\\"te\\\\back"' in server.get("/metrics")[1], timeout=30)
