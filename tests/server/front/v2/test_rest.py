"""KServe v2 over REST on a real socket, with a bare client and with Triton's."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
import tritonclient.http as triton
from tritonclient.utils import triton_to_np_dtype

from tests.support import models
from tests.support.rest import infer, one_input
from tests.support.server_process import ServerProcess

TEN = one_input("b", [1, 10], "FP32", [0] * 10)
ONES = [1.0] * 10


def test_flat_and_nested_data_give_the_same_answer_and_the_id_comes_back(server):
    flat = one_input("b", [1, 10], "FP32", list(range(10)), id="seven")
    nested = one_input("b", [1, 10], "FP32", [list(range(10))], id="seven")
    status, answer = infer(server, "dummy", flat)
    assert status == 200
    assert answer == infer(server, "dummy", nested)[1]
    assert answer["id"] == "seven"
    assert answer["model_version"] == "1"
    assert answer["outputs"] == [
        {"name": "a", "shape": [1, 10], "datatype": "FP32", "data": [float(n + 1) for n in range(10)]}
    ]


def test_an_answer_without_a_request_id_has_none(server):
    assert "id" not in infer(server, "dummy", one_input("b", [1, 10], "FP32", [0] * 10))[1]


@pytest.mark.parametrize("shape", [[0, 10], [1, 0], [2, 3]])
def test_zero_and_free_dimensions_are_served(server, shape):
    count = shape[0] * shape[1]
    answer = infer(server, "dynamic", one_input("b", shape, "FP32", [1.5] * count))[1]
    assert answer["outputs"][0]["shape"] == shape
    assert answer["outputs"][0]["data"] == [2.5] * count


def test_a_scalar_has_no_dimensions(server):
    assert infer(server, "scalar", one_input("x", [], "FP32", [3.5]))[1]["outputs"][0]["data"] == [3.5]


@pytest.mark.parametrize(
    ("model", "datatype", "values"),
    [
        ("int64", "INT64", [2**53 + 1, -(2**63), 2**63 - 1]),
        ("uint64", "UINT64", [2**64 - 1, 2**53 + 1, 0]),
        ("fp64", "FP64", [1 / 3, 1e300, -0.0]),
        ("bool", "BOOL", [True, False]),
        ("fp16", "FP16", [0.5, -2.0]),
        ("bf16", "BF16", [0.5, -2.0, 3.140625]),
        ("bytes", "BYTES", ["", "größer", "nul\x00inside"]),
        ("int8", "INT8", [-128, 127]),
        ("fp32", "FP32", ["NaN", "Infinity", "-Infinity", 1.0]),
    ],
)
def test_values_pass_json_exactly(server, model, datatype, values):
    status, answer = infer(server, model, one_input("x", [len(values)], datatype, values))
    assert status == 200, answer
    assert answer["outputs"][0]["data"] == values


def test_metadata_tells_names_types_and_free_dimensions(server):
    for path in ("/v2/models/dynamic", "/v2/models/dynamic/", "/v2/models/dynamic/versions/1"):
        status, raw, _ = server.get(path)
        assert status == 200
        assert json.loads(raw) == {
            "name": "dynamic",
            "versions": ["1"],
            "platform": "OpenVINO",
            "inputs": [{"name": "b", "datatype": "FP32", "shape": [-1, -1]}],
            "outputs": [{"name": "a", "datatype": "FP32", "shape": [-1, -1]}],
        }


def test_outputs_are_filtered_in_the_order_asked(server):
    body = {
        "inputs": [
            {"name": "n", "shape": [1, 2], "datatype": "INT32", "data": [1, 2]},
            {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0.5, 0.25]},
        ]
    }
    everything = infer(server, "two", body)[1]["outputs"]
    assert [output["name"] for output in everything] == ["sum", "copy"]
    swapped = infer(server, "two", body | {"outputs": [{"name": "copy"}, {"name": "sum"}]})[1]["outputs"]
    assert swapped == everything[::-1]
    assert infer(server, "two", body | {"outputs": [{"name": "sum"}]})[1]["outputs"] == everything[:1]


@pytest.mark.parametrize("strings", [[], [""], ["", ""]])
def test_no_and_empty_byte_strings_come_back(server, strings):
    status, answer = infer(server, "bytes", one_input("x", [len(strings)], "BYTES", strings))
    assert (status, answer["outputs"][0]["data"]) == (200, strings)


def test_one_long_string_among_many_takes_no_more_room_than_its_own(server):
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    strings = ["x" * 2_000_000, *[""] * 1000]
    status, answer = infer(server, "bytes", one_input("x", [len(strings)], "BYTES", strings))
    assert (status, answer["outputs"][0]["data"]) == (200, strings)
    assert process.memory_info().rss - before < 200 << 20


def test_a_string_may_end_with_nul(server):
    strings = ["a\0", "\0", "", "\0\0b\0\0"]
    status, answer = infer(server, "bytes", one_input("x", [4], "BYTES", strings))
    assert (status, answer["outputs"][0]["data"]) == (200, strings)


@pytest.mark.parametrize("path", ["/v1/config", "/v2/health/live", "/v2/health/ready", "/metrics", "/v2"])
def test_a_slash_at_the_end_changes_nothing(server, path):
    assert server.get(path)[0] == server.get(path + "/")[0] == 200


@pytest.mark.parametrize("model", ["int8", "uint16", "int64", "fp16", "fp64", "bool"])
def test_tritons_client_round_trips_every_kind_of_number(server, model):
    dtype = triton_to_np_dtype(model.upper())
    data = np.array([0, 1, 1, 0, 1], dtype)
    with triton.InferenceServerClient(server.rest) as client:
        assert client.is_server_live()
        assert client.is_model_ready(model)
        for is_binary in (True, False):
            if model == "fp16" and not is_binary:
                continue  # Triton's client itself refuses FP16 in JSON
            given = triton.InferInput("x", list(data.shape), model.upper())
            given.set_data_from_numpy(data, binary_data=is_binary)
            wanted = triton.InferRequestedOutput("x", binary_data=is_binary)
            assert np.array_equal(client.infer(model, [given], outputs=[wanted]).as_numpy("x"), data)


def test_a_failing_inference_is_a_500_and_the_server_goes_on(server):
    bad = one_input("x", [5], "FP32", [0] * 5)
    good = one_input("x", [6], "FP32", [0] * 6)
    for _ in range(3):
        status, answer = infer(server, "reshaped", bad)
        assert (status, "Internal inference error" in answer["error"]) == (500, True)
        assert infer(server, "reshaped", good)[0] == 200


def test_a_name_is_percent_decoded(server):
    assert server.get("/v2/models/d%75mmy")[0] == 200


def test_the_server_tells_its_name_and_extensions(server):
    told = json.loads(server.get("/v2")[1])
    assert told["name"]
    assert told["version"]
    assert "binary_tensor_data" in told["extensions"]


def test_the_state_of_every_model_is_under_v1_config(server):
    told = json.loads(server.get("/v1/config")[1])["dummy"]["model_version_status"]
    assert told == [
        {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": "OK"}}
    ]


def test_fifty_megabytes_go_both_ways(server):
    data = np.arange(13_000_000, dtype=np.float32).reshape(1, -1)
    with triton.InferenceServerClient(server.rest, network_timeout=60) as client:
        given = triton.InferInput("b", list(data.shape), "FP32")
        given.set_data_from_numpy(data)
        assert np.array_equal(client.infer("dynamic", [given]).as_numpy("a"), data + 1)


def test_an_output_with_two_names_is_given_once(tmp_path):
    """Its names are aliases of one output: no request makes an answer bigger than all the model's outputs."""
    network = models.dummy()
    network.output(0).set_names({"a", "also"})
    models.save(network, tmp_path / "m" / "1")
    with ServerProcess("--model_name", "m", "--model_path", str(tmp_path / "m"), grpc=False) as server:
        server.wait_ready()
        for names, want in [(["also"], 200), (["a", "also"], 400), (["a", "a"], 400)]:
            outputs = [{"name": name} for name in names]
            status, answer = infer(server, "m", one_input("b", [1, 10], "FP32", [0] * 10, outputs=outputs))
            assert status == want
        assert answer["error"] == "Output a is named twice"


@pytest.mark.parametrize(
    "more",
    [
        {"id": None, "parameters": None, "outputs": None},
        {"outputs": []},
        {
            "parameters": {
                "text": "a",
                "whole": 1,
                "real": 1.5,
                "flag": True,
                "none": None,
                "list": [1],
                "map": {},
            }
        },
        {"parameters": {"binary_data_output": "true"}},
        {"outputs": [{"name": "a", "parameters": {"binary_data": 1, "classification": 0}}]},
        {"unknown": {"member": []}},
    ],
)
def test_what_does_not_matter_is_accepted(server, more):
    status, answer = infer(server, "dummy", TEN | more)
    assert (status, answer["outputs"][0]["data"]) == (200, ONES)
    assert "id" not in answer


@pytest.mark.parametrize(
    "kind", ["application/json", "application/xml", "application/octet-stream", "text/plain"]
)
def test_any_content_type_is_accepted_where_the_body_is_clear(server, kind):
    assert infer(server, "dummy", TEN, Content_Type=kind)[0] == 200


def test_metadata_of_a_scalar_has_empty_shapes(server):
    told = json.loads(server.get("/v2/models/scalar")[1])
    assert [one["shape"] for one in told["inputs"] + told["outputs"]] == [[], []]


def test_nested_strings_and_every_unicode_character_pass(server):
    strings = ["", "a", "größe", "\U0001f600", 'quote " and \\', "nul \0 inside", "\u2028", "\x7f\x1f"]
    for data in (strings, [[text] for text in strings], [strings]):
        answer = infer(server, "bytes", one_input("x", [len(strings)], "BYTES", data))[1]
        assert answer["outputs"][0]["data"] == strings


def test_64_callers_at_a_time_get_each_their_own_answer(server):
    together = threading.Barrier(64)

    def ask(number):
        together.wait(30)
        return [
            infer(server, "dummy", one_input("b", [1, 10], "FP32", [number] * 10))[1]["outputs"][0]["data"][0]
            for _ in range(5)
        ]

    with ThreadPoolExecutor(64) as pool:
        assert list(pool.map(ask, range(64))) == [[number + 1.0] * 5 for number in range(64)]


@pytest.mark.parametrize(
    ("option", "sizes"), [("batch_size", [(1, 10), (6, 10), (3, 10)]), ("shape", [(2, 3), (10, 1), (1, 10)])]
)
def test_auto_serves_every_size_one_after_the_other(repository, option, sizes):
    path = str(repository / "dummy")
    with ServerProcess(
        "--model_name", "m", "--model_path", path, f"--{option}", "auto", grpc=False
    ) as running:
        running.wait_ready()
        for shape in sizes:
            status, answer = infer(running, "m", one_input("b", shape, "FP32", [0] * (shape[0] * shape[1])))
            assert (status, answer["outputs"][0]["shape"]) == (200, list(shape))
