"""KServe v2's binary extension: raw tensors behind the JSON, both ways."""

import http.client
import json
import struct
from contextlib import closing

import numpy as np
import pytest

from tests.support.models import DTYPES
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


def test_the_length_of_the_json_in_two_lines_is_a_400(server):
    tensor = {"name": "b", "shape": [1, 10], "datatype": "FP32", "parameters": {"binary_data_size": 40}}
    body, headers = binary({"inputs": [tensor]}, bytes(40))
    with closing(http.client.HTTPConnection(server.rest, timeout=30)) as connection:
        connection.putrequest("POST", INFER.format("dummy"))
        for name, value in [*headers.items(), *headers.items(), ("Content-Length", str(len(body)))]:
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        assert (answer.status, "couldn't be parsed" in json.loads(answer.read())["error"]) == (400, True)


@pytest.mark.parametrize("parameters", [{"binary_data_size": 40}, {"binary_data_size": None}, {}, None])
def test_null_is_as_good_as_leaving_a_member_out(server, parameters):
    """Go and Java write it for what is not set: data beside a binary size, and every optional member."""
    nothing = {"id": None, "parameters": None, "outputs": None}
    head = {"name": "b", "shape": [1, 10], "datatype": "FP32", "data": None, "parameters": parameters}
    body, headers = binary(nothing | {"inputs": [head]}, np.ones(10, np.float32).tobytes())
    status, raw, _ = server.post(INFER.format("dummy"), body, **headers)
    assert status == 200, raw
    answer = json.loads(raw)
    assert "id" not in answer
    assert [one["data"] for one in answer["outputs"]] == [[2.0] * 10]


def test_null_in_what_shapes_the_answer_is_as_good_as_leaving_it_out(server):
    more = {
        "parameters": {"binary_data_output": None},
        "outputs": [{"name": "a", "parameters": {"binary_data": None}}],
    }
    status, answer = infer(server, "dummy", one_input("b", [1, 10], "FP32", [1] * 10, **more))
    assert (status, answer["outputs"][0]["data"]) == (200, [2.0] * 10)
    more["outputs"][0]["parameters"] = None
    assert infer(server, "dummy", one_input("b", [1, 10], "FP32", [1] * 10, **more))[0] == 200


@pytest.mark.parametrize("member", ["name", "shape", "datatype"])
def test_null_for_a_member_that_is_required_is_refused_by_its_name(server, member):
    asked = one_input("b", [1, 10], "FP32", [1] * 10)
    asked["inputs"][0][member] = None
    status, answer = infer(server, "dummy", asked)
    assert (status, member in answer["error"]) == (400, True)


@pytest.mark.parametrize("around", ["  {}", "{}  ", "\t{} \t"])
def test_white_space_around_the_length_of_the_json_is_none_of_it(server, around):
    tensor = {"name": "b", "shape": [1, 10], "datatype": "FP32", "parameters": {"binary_data_size": 40}}
    body, headers = binary({"inputs": [tensor]}, bytes(40))
    assert server.post(INFER.format("dummy"), body, **{HEADER: around.format(headers[HEADER])})[0] == 200


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


def refused(server, model, body, **headers):
    status, answer = infer(server, model, body, **headers)
    assert (status, list(answer)) == (400, ["error"]), answer
    return answer["error"]


def binary_request(*tensors, **more):
    """Name, shape, datatype, raw bytes, and whether the size is told."""
    head = {"inputs": [], **more}
    for name, shape, datatype, raw, told in tensors:
        parameters = {"parameters": {"binary_data_size": len(raw)}} if told else {}
        head["inputs"].append({"name": name, "shape": shape, "datatype": datatype, **parameters})
    text = json.dumps(head).encode()
    return text + b"".join(tensor[3] for tensor in tensors), {HEADER: str(len(text))}


@pytest.mark.parametrize("is_told", [True, False])
@pytest.mark.parametrize("datatype", sorted(set(DTYPES) - {"BYTES"}))
def test_binary_inputs_of_every_datatype_pass_with_and_without_their_size(server, datatype, is_told):
    width = 1 if datatype in ("BOOL", "INT8", "UINT8") else int(datatype.lstrip("BUFINTP")) // 8
    raw = bytes(range(2)) * width if datatype != "BOOL" else b"\0\1"
    body, headers = binary_request(
        ("x", [2], datatype, raw, is_told), parameters={"binary_data_output": True}
    )
    status, answer, told = server.post(INFER.format(datatype.lower()), body, **headers)
    assert (status, answer[int(told[HEADER]) :]) == (200, raw)


@pytest.mark.parametrize("is_told", [True, False])
def test_a_binary_scalar_is_one_element(server, is_told):
    body, headers = binary_request(("x", [], "FP32", struct.pack("<f", 2.5), is_told))
    assert infer(server, "scalar", body, **headers)[1]["outputs"][0]["data"] == [2.5]


def test_two_inputs_without_their_sizes_follow_each_other(server):
    x, n = np.array([0.5, 0.25], "<f4").tobytes(), np.array([1, 2], "<i4").tobytes()
    body, headers = binary_request(("x", [1, 2], "FP32", x, False), ("n", [1, 2], "INT32", n, False))
    status, answer = infer(server, "two", body, **headers)
    assert (status, [one["data"] for one in answer["outputs"]]) == (200, [[1.5, 2.25], [1, 2]])


def test_two_byte_strings_need_their_size(server):
    raw = b"\1\0\0\0a\1\0\0\0b"
    body, headers = _two(raw, told=False)
    assert "binary_data_size" in refused(server, "bytes", body, **headers)
    body, headers = _two(raw, told=True)
    assert infer(server, "bytes", body, **headers)[0] == 200


def _two(raw, *, told):
    return binary_request(("x", [2], "BYTES", raw, told))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\1\0", "length prefix"),
        (b"\xff\xff\xff\xffa", "announced"),
        (b"\1\0\0\0a\1\0\0\0b", "Expected: 1; Actual: more"),
        (bytes(40_000_000), "Expected: 1; Actual: more"),
        (b"", "Expected: 1"),
    ],
)
def test_byte_strings_whose_lengths_do_not_fit_are_refused(server, raw, message):
    body, headers = binary_request(("x", [1], "BYTES", raw, True))
    assert message in refused(server, "bytes", body, **headers)


def test_more_strings_than_four_million_are_refused_before_they_are_read(server):
    many = 1 << 23
    body, headers = binary_request(("x", [many], "BYTES", bytes(4 * many), True))
    assert f"{many} strings" in refused(server, "bytes", body, **headers)
    text = b'{"inputs":[{"name":"x","shape":[%d],"datatype":"BYTES","data":["a"]}]}' % many
    assert f"{many} strings" in refused(server, "bytes", text)


@pytest.mark.parametrize("size", [1.5, True, None, [4], 10**30, "4"])
def test_a_size_that_is_no_number_of_bytes_is_refused_or_left_out(server, size):
    head = {
        "inputs": [
            {"name": "b", "shape": [1, 1], "datatype": "FP32", "parameters": {"binary_data_size": size}}
        ]
    }
    text = json.dumps(head).encode()
    status, raw, _ = server.post(INFER.format("dynamic"), text + bytes(4), **{HEADER: str(len(text))})
    assert status == (200 if size is None else 400), raw


@pytest.mark.parametrize(
    ("outputs", "default", "raw"),
    [
        pytest.param([("sum", None), ("copy", None)], True, ["sum", "copy"], id="default for all"),
        pytest.param([("sum", False), ("copy", None)], True, ["copy"], id="one takes itself out"),
        pytest.param([("copy", True), ("sum", True)], False, ["copy", "sum"], id="both by name"),
        pytest.param([("copy", True), ("sum", False)], None, ["copy"], id="the first only"),
        pytest.param([("sum", False), ("copy", True)], None, ["copy"], id="the second only"),
        pytest.param([], True, ["sum", "copy"], id="no list"),
    ],
)
def test_each_output_is_binary_or_json_as_asked(server, outputs, default, raw):
    asked = {
        "inputs": [
            {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0.5, 0.25]},
            {"name": "n", "shape": [1, 2], "datatype": "INT32", "data": [1, 2]},
        ],
        "outputs": [
            {"name": name} if flag is None else {"name": name, "parameters": {"binary_data": flag}}
            for name, flag in outputs
        ],
        "parameters": {} if default is None else {"binary_data_output": default},
    }
    status, body, headers = server.post(INFER.format("two"), asked)
    assert status == 200, body
    length = int(headers[HEADER])
    told = json.loads(body[:length])["outputs"]
    assert [one["name"] for one in told if "data" not in one] == raw
    assert [one["name"] for one in told] == ([name for name, _ in outputs] or ["sum", "copy"])
    bits = {"sum": np.array([1.5, 2.25], "<f4").tobytes(), "copy": np.array([1, 2], "<i4").tobytes()}
    assert body[length:] == b"".join(bits[name] for name in raw)


def test_numbers_json_has_no_word_for_leave_as_strings_in_valid_json(server):
    raw = np.array([np.nan, np.inf, -np.inf, -0.0, 1.5], "<f4").tobytes()
    body, headers = binary_request(("x", [5], "FP32", raw, True))
    text = server.post(INFER.format("fp32"), body, **headers)[1]
    told = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert told["outputs"][0]["data"] == ["NaN", "Infinity", "-Infinity", -0.0, 1.5]
