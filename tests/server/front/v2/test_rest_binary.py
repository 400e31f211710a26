"""KServe v2's binary extension: raw tensors behind the JSON, both ways."""

import json
import struct

import numpy as np
import pytest

from tests.support.rest import INFER, infer, one_input

HEADER = "Inference-Header-Content-Length"


def binary(head, *tails):
    raw = json.dumps(head).encode()
    return b"".join([raw, *tails]), {HEADER: str(len(raw))}


def split(raw, headers):
    length = int(headers[HEADER])
    return json.loads(raw[:length]), raw[length:]


def test_binary_inputs_mix_with_json_and_binary_outputs_are_chosen_one_by_one(server):
    n = np.array([[1, 2]], np.int32)
    body, headers = binary(
        {
            "inputs": [
                {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0.5, 0.25]},
                {"name": "n", "shape": [1, 2], "datatype": "INT32", "parameters": {"binary_data_size": 8}},
            ],
            "outputs": [{"name": "sum", "parameters": {"binary_data": True}}, {"name": "copy"}],
        },
        n.tobytes(),
    )
    status, raw, answered = server.post(INFER.format("two"), body, **headers)
    assert status == 200, raw
    head, tail = split(raw, answered)
    assert head["outputs"][0]["parameters"] == {"binary_data_size": 8}
    assert head["outputs"][1]["data"] == [1, 2]
    assert np.frombuffer(tail, np.float32).tolist() == [1.5, 2.25]


def test_binary_answers_are_given_without_an_outputs_list_too(server):
    asked = one_input("b", [1, 10], "FP32", [0] * 10, parameters={"binary_data_output": True})
    status, raw, headers = server.post(INFER.format("dummy"), asked)
    assert status == 200
    assert split(raw, headers)[1] == np.ones(10, np.float32).tobytes()


def test_the_size_of_a_binary_input_follows_from_its_shape(server):
    body, headers = binary(
        {"inputs": [{"name": "b", "shape": [1, 10], "datatype": "FP32"}]}, np.zeros(10, np.float32).tobytes()
    )
    assert server.post(INFER.format("dummy"), body, **headers)[0] == 200


@pytest.mark.parametrize(
    ("size", "tail", "length"),
    [
        pytest.param(40, 39, None, id="tail too short"),
        pytest.param(40, 41, None, id="tail too long"),
        pytest.param(39, 39, None, id="size does not fit the shape"),
        pytest.param(-1, 40, None, id="negative"),
        pytest.param("40", 40, None, id="no number"),
        pytest.param(1 << 31, 40, None, id="too big"),
        pytest.param(40, 40, "9999", id="header beyond the body"),
        pytest.param(40, 40, "12", id="header inside the JSON"),
        pytest.param(40, 40, "-5", id="negative header"),
        pytest.param(40, 40, "many", id="header is no number"),
        pytest.param(40, 40, "9" * 5000, id="header beyond all numbers"),
    ],
)
def test_a_wrong_binary_size_is_a_400(server, size, tail, length):
    body, headers = binary(
        {
            "inputs": [
                {"name": "b", "shape": [1, 10], "datatype": "FP32", "parameters": {"binary_data_size": size}}
            ]
        },
        bytes(tail),
    )
    status, raw, _ = server.post(
        INFER.format("dummy"), body, **(headers if length is None else {HEADER: length})
    )
    assert (status, list(json.loads(raw))) == (400, ["error"])


def test_data_and_a_binary_size_together_are_refused(server):
    asked = one_input("b", [1, 10], "FP32", [0] * 10)
    asked["inputs"][0]["parameters"] = {"binary_data_size": 40}
    assert infer(server, "dummy", asked)[0] == 400


@pytest.mark.parametrize("datatype", ["FP32", "INT64", "FP16", "BF16", "BOOL", "BYTES"])
def test_a_binary_input_without_elements_is_served(server, datatype):
    tensor = {"name": "x", "shape": [0], "datatype": datatype, "parameters": {"binary_data_size": 0}}
    body, headers = binary({"inputs": [tensor], "parameters": {"binary_data_output": True}}, b"")
    status, raw, _ = server.post(INFER.format(datatype.lower()), body, **headers)
    output = json.loads(raw)["outputs"][0]
    assert (status, output["shape"], output["parameters"]["binary_data_size"]) == (200, [0], 0)


@pytest.mark.parametrize("prefix", [b"", b"\5\0\0\0"])
def test_one_byte_string_needs_no_size_and_may_have_its_length_in_front(server, prefix):
    body, headers = binary({"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES"}]}, prefix + b"bytes")
    status, raw, _ = server.post(INFER.format("bytes"), body, **headers)
    assert (status, json.loads(raw)["outputs"][0]["data"]) == (200, ["bytes"])


def test_byte_strings_pass_the_binary_extension_exactly(server):
    elements = [b"", b"\x00\xff", b"text"]
    tail = b"".join(struct.pack("<I", len(element)) + element for element in elements)
    body, headers = binary(
        {
            "inputs": [
                {
                    "name": "x",
                    "shape": [3],
                    "datatype": "BYTES",
                    "parameters": {"binary_data_size": len(tail)},
                }
            ],
            "parameters": {"binary_data_output": True},
        },
        tail,
    )
    status, raw, answered = server.post(INFER.format("bytes"), body, **headers)
    assert status == 200, raw
    assert split(raw, answered)[1] == tail
