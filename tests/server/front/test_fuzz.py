"""Whatever a caller sends, the server answers in its own words and goes on."""

import http.client
import json
from contextlib import closing

import grpc
import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error, response_schema_conformance, status_code_conformance

from modelserver import proto
from modelserver.proto import tfs
from tests.support.rest import one_input
from tests.support.server_process import ServerProcess

MODELS = ("dummy", "dynamic", "two", "bytes", "int64", "fp16", "bool", "scalar", "picture")
INFER = [f"/v2/models/{name}/infer" for name in MODELS]
PREDICT = [f"/v1/models/{name}:predict" for name in MODELS]
steady = settings(
    max_examples=300,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


@pytest.fixture(scope="module")
def victim(config_of, tmp_path_factory):
    """A server of its own: whoever asks at random may reload, load and unload."""
    path = config_of(tmp_path_factory.mktemp("victim") / "config.json", MODELS)
    with ServerProcess("--config_path", str(path), "--metrics_enable") as running:
        yield running.wait_ready()
        assert running.process.poll() is None
        assert "Traceback" not in running.log()
        assert "unexpected error" not in running.log()


def post(server, path, body, headers):
    with closing(http.client.HTTPConnection(server.rest, timeout=30)) as connection:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def assert_told(status, raw):
    """An answer, or an error in the one shape; never a server error."""
    assert status < 500, raw
    if status >= 400:
        document = json.loads(raw)
        assert list(document) == ["error"]
        assert isinstance(document["error"], str)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
SHAPES = st.lists(st.integers(-2, 12) | st.sampled_from([2**31, 2**63, 10**30]), max_size=4)
DATATYPES = st.sampled_from(["FP32", "INT64", "BYTES", "FP16", "BF16", "BOOL", "UINT8", "FP64"])
SIZES = st.fixed_dictionaries({}, optional={"binary_data_size": st.integers(-1, 40) | VALUES})


def mostly(usual):
    """What is expected, and now and then anything at all."""
    return st.integers(0, 4).flatmap(lambda dice: usual if dice else VALUES)


TENSORS = st.fixed_dictionaries(
    {
        "name": mostly(st.sampled_from(["b", "x", "n", "image"])),
        "shape": mostly(SHAPES),
        "datatype": mostly(DATATYPES),
    },
    optional={"data": mostly(st.lists(VALUES, max_size=10)), "parameters": mostly(SIZES)},
)
OUTPUTS = st.fixed_dictionaries(
    {"name": mostly(st.sampled_from("abx"))},
    optional={"parameters": mostly(st.fixed_dictionaries({"binary_data": VALUES}))},
)
REQUESTS = st.fixed_dictionaries(
    {"inputs": mostly(st.lists(mostly(TENSORS), max_size=3))},
    optional={
        "id": mostly(st.text(max_size=4)),
        "parameters": mostly(st.fixed_dictionaries({"binary_data_output": VALUES})),
        "outputs": mostly(st.lists(mostly(OUTPUTS), max_size=2)),
        "instances": mostly(st.lists(VALUES, max_size=3)),
        "signature_name": mostly(st.sampled_from(["", "serving_default", "other"])),
    },
)
SEEDS = [
    one_input("b", [1, 10], "FP32", [0.5] * 10, id="a", outputs=[{"name": "a"}]),
    one_input("x", [2], "BYTES", ["a", "b"], parameters={"binary_data_output": True}),
    one_input("x", [], "FP32", [1]),
    {"instances": [{"b": [1] * 10}, {"b": [2] * 10}]},
    {"instances": [{"b64": "aGVsbG8="}]},
    {"inputs": {"x": [[1, 2]], "n": [[1, 2]]}},
]
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.binary(max_size=3) | st.sampled_from([b"[", b"{", b'"', b"1e999"])),
    max_size=4,
)
LENGTHS = st.none() | st.integers(0, 300).map(str) | st.sampled_from(["", "-1", "1e3", "\u00b2", "9" * 40])


def edited(text, edits):
    """The text with bytes overwritten here and there; nothing given cuts it."""
    for place, new in edits:
        position = int(place * len(text))
        text = text[:position] + (new + text[position + len(new) :] if new else b"")
    return text


BODIES = st.one_of(
    st.binary(max_size=80),
    VALUES.map(lambda value: json.dumps(value).encode()),
    REQUESTS.map(lambda request: json.dumps(request).encode()),
    st.tuples(REQUESTS, st.binary(max_size=60)).map(lambda both: json.dumps(both[0]).encode() + both[1]),
    st.tuples(st.sampled_from(SEEDS), EDITS).map(lambda both: edited(json.dumps(both[0]).encode(), both[1])),
)


def search(victim, paths, how):
    @how
    @given(st.sampled_from(paths), BODIES, LENGTHS)
    def law(path, body, length):
        headers = {} if length is None else {"Inference-Header-Content-Length": length.encode("latin-1")}
        assert_told(*post(victim, path, body, headers))

    law()


@pytest.mark.parametrize("paths", [INFER, PREDICT], ids=["infer", "predict"])
def test_no_body_and_no_header_breaks_an_inference_route(victim, paths):
    search(victim, paths, steady)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("paths", [INFER, PREDICT], ids=["infer", "predict"])
def test_no_body_and_no_header_breaks_an_inference_route_in_a_long_search(victim, paths):
    search(victim, paths, settings(steady, max_examples=20_000, derandomize=False))


def v2_request():
    request = proto.ModelInferRequest(model_name="dummy", id="a")
    request.inputs.add(name="b", datatype="FP32", shape=[1, 10])
    request.raw_input_contents.append(bytes(40))
    return request.SerializeToString()


def v2_typed_request():
    request = proto.ModelInferRequest(model_name="int64")
    request.inputs.add(name="x", datatype="INT64", shape=[2]).contents.int64_contents.extend([1, 2])
    return request.SerializeToString()


def tfs_request():
    request = tfs.PredictRequest()
    request.model_spec.name = "dummy"
    tensor = request.inputs["b"]
    tensor.dtype = 1
    for size in (1, 10):
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = np.zeros(10, np.float32).tobytes()
    return request.SerializeToString()


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (f"/{proto.SERVICE}/ModelInfer", v2_request()),
        (f"/{proto.SERVICE}/ModelInfer", v2_typed_request()),
        ("/tensorflow.serving.PredictionService/Predict", tfs_request()),
    ],
    ids=["raw", "typed", "predict"],
)
def test_no_message_breaks_an_inference_method(victim, method, message):
    with grpc.insecure_channel(victim.grpc) as channel:
        rpc = channel.unary_unary(method)

        @steady
        @given(st.binary(max_size=60) | EDITS.map(lambda edits: edited(message, edits)))
        def law(sent):
            try:
                rpc(sent, timeout=30)
            except grpc.RpcError as error:
                assert error.code().name in ("INVALID_ARGUMENT", "NOT_FOUND", "UNAVAILABLE"), error  # noqa: PT017

        law()


CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]


def test_the_server_answers_what_its_openapi_document_says(victim):
    schema = schemathesis.openapi.from_url(victim.url("/openapi.json"))
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 20
    for operation in operations:

        @settings(steady, max_examples=15)
        @given(operation.as_strategy(), st.sampled_from(MODELS), st.booleans())
        def law(case, model, is_known):
            if is_known and "model" in (case.path_parameters or {}):
                case.path_parameters["model"] = model
            answer = case.call()
            case.validate_response(answer, checks=CHECKS)
            assert_told(answer.status_code, answer.content)

        law()
        if operation.path.endswith("/unload"):
            for name in MODELS:
                assert post(victim, f"/v2/repository/models/{name}/load", b"", {})[0] == 200
