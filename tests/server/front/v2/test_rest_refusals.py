"""KServe v2 over REST as a hostile client sees it: every wrong body is a 400 that names the fault."""

import json
import socket

import pytest

from tests.support.rest import infer, one_input
from tests.support.server_process import ServerProcess

TEN = one_input("b", [1, 10], "FP32", [0] * 10)
VALID = TEN["inputs"][0]
DEEP = b"[" * 101 + b"]" * 101


def spliced(member: bytes, body=TEN) -> bytes:
    """The body with one more member, written by hand."""
    return json.dumps(body).encode()[:-1] + b"," + member + b"}"


def with_data(data: bytes, model="dynamic", name="b", datatype="FP32", shape=(1, 1)) -> bytes:
    """One input whose data is written by hand."""
    head = {"name": name, "shape": list(shape), "datatype": datatype}
    return b'{"inputs":[' + json.dumps(head).encode()[:-1] + b',"data":' + data + b"}]}"


def refused(server, model, body, **headers):
    status, answer = infer(server, model, body, **headers)
    assert (status, list(answer), type(answer["error"])) == (400, ["error"], str), answer
    return answer["error"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(with_data(b"[" * 98 + b"1" + b"]" * 98), id="data"),
        pytest.param(with_data(b"[1," + DEEP + b"]"), id="data that is no array"),
        pytest.param(with_data(b'{"a":' * 101 + b"1" + b"}" * 101), id="data that is an object"),
        pytest.param(spliced(b'"parameters":{"a":' + DEEP + b"}"), id="parameters"),
        pytest.param(spliced(b'"unknown":' + DEEP), id="a member that nobody knows"),
        pytest.param(spliced(b'"unknown":' + b"[" * 100_000 + b"]" * 100_000), id="a bomb"),
        pytest.param(spliced(b'"unknown":"\\"' + b"[" * 7 + b'","x":' + DEEP), id="behind a string"),
        pytest.param(b"[" * 1_000_000, id="brackets alone"),
        pytest.param(b'{"a":' * 1_000_000, id="braces alone"),
    ],
)
def test_json_deeper_than_100_levels_is_refused_wherever_it_is(server, body):
    assert "depth" in refused(server, "dynamic", body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(spliced(b'"id":"' + b"[{" * 500 + b'"'), id="brackets in a string"),
        pytest.param(spliced(b'"id":"\\"' + b"[{" * 500 + b'"'), id="behind an escaped quote"),
        pytest.param(spliced(b'"unknown":[' + b"[],{}," * 500 + b"1]"), id="many, but flat"),
        pytest.param(with_data(b"[" * 97 + b"0," * 9 + b"0" + b"]" * 97, shape=(1, 10)), id="100 levels"),
    ],
)
def test_brackets_that_are_not_nested_are_no_depth(server, body):
    assert infer(server, "dynamic", body)[0] == 200


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        pytest.param("dummy", b"", "empty", id="no body"),
        pytest.param("dummy", b" ", "not valid json", id="a blank"),
        pytest.param("dummy", b"[]", "should be JSON object", id="an array"),
        pytest.param("dummy", b"7", "should be JSON object", id="a number"),
        pytest.param("dummy", json.dumps(TEN).encode() + b"x", "not valid json", id="something behind"),
        pytest.param("dummy", b"\xef\xbb\xbf{}", "valid json: it begins with a byte order mark", id="BOM"),
        pytest.param("dummy", "{}".encode("utf-16"), "not valid json: it is UTF-16; send UTF-8", id="UTF-16"),
        pytest.param("dummy", {"inputs": None}, "inputs", id="inputs null"),
        pytest.param("dummy", {"inputs": {}}, "inputs", id="inputs an object"),
        pytest.param("dummy", {"inputs": [7]}, "inputs[0]", id="an input that is a number"),
        pytest.param("dummy", {"inputs": TEN["inputs"] * 2}, "number of inputs", id="an input twice"),
        pytest.param(
            "two",
            {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}] * 2},
            "Required input: n",
            id="an input twice instead of another",
        ),
        *(
            pytest.param("dummy", {"inputs": [{k: VALID[k] for k in VALID if k != key}]}, key, id=f"no {key}")
            for key in ("name", "shape", "datatype")
        ),
        pytest.param("dummy", one_input("b", [1] * 65, "FP32", [1]), "shape dimensions", id="65 dimensions"),
        pytest.param("bytes", one_input("x", [1] * 65, "BYTES", ["a"]), "shape dimensions", id="of strings"),
        pytest.param("dummy", one_input("b", [10**40], "FP32", []), "too big", id="an endless size"),
        pytest.param("dummy", one_input("b", [1.0, 10], "FP32", [0] * 10), "shape[0]", id="a size as float"),
        pytest.param("dummy", one_input("b", [True, 10], "FP32", [0] * 10), "shape[0]", id="a size as bool"),
        pytest.param("dummy", one_input("b", 10, "FP32", [0] * 10), "shape", id="shape a number"),
        pytest.param("dummy", one_input("b", [1, 10], "fp32", [0] * 10), "precision", id="small letters"),
        pytest.param("dummy", one_input("b", [1, 10], "FP32", None), "No data", id="data null"),
        pytest.param("dummy", one_input("b", [1, 10], "FP32", "AAAA"), "ndarray", id="data a string"),
        pytest.param("dynamic", with_data(b"[1e39]"), "overflow", id="beyond FP32"),
        pytest.param("dynamic", with_data(b"[1e400]"), "infinity", id="beyond all floats"),
        pytest.param("dynamic", with_data(b"[" + b"9" * 5000 + b"]"), "infinity", id="an overlong integer"),
        pytest.param("dynamic", with_data(b"[NaN]"), "not valid json", id="NaN bare"),
        pytest.param("dynamic", with_data(b'["nan"]'), "not a number", id="nan in small letters"),
        pytest.param("dynamic", with_data(b"[true]"), "does not fit", id="a boolean for FP32"),
        pytest.param("dynamic", with_data(b"[null]"), "does not fit", id="null for FP32"),
        pytest.param("fp16", one_input("x", [1], "FP16", [70000]), "overflow", id="beyond FP16"),
        pytest.param("bf16", one_input("x", [1], "BF16", [1e39]), "overflow", id="beyond BF16"),
        pytest.param("int64", one_input("x", [1], "INT64", [1.0]), "does not fit", id="a float for INT64"),
        pytest.param("uint64", one_input("x", [1], "UINT64", [2**64]), "does not fit", id="beyond UINT64"),
        pytest.param("uint32", one_input("x", [1], "UINT32", [-1]), "does not fit", id="negative for UINT32"),
        pytest.param("uint32", one_input("x", [1], "UINT32", ["1"]), "does not fit", id="text for UINT32"),
        pytest.param("bytes", one_input("x", [1], "BYTES", [None]), "strings", id="null for BYTES"),
        pytest.param(
            "bytes",
            b'{"inputs":[{"name":"x","shape":[1],"datatype":"BYTES","data":["\xff\xfe"]}]}',
            "UTF-8",
            id="a string that is no UTF-8",
        ),
        pytest.param("dummy", spliced(b'"id":"\\ud800"'), "not valid json", id="half a surrogate pair"),
        pytest.param("dummy", spliced(b'"id":7'), "$.id", id="id a number"),
        pytest.param("dummy", spliced(b'"parameters":[1]'), "parameters", id="parameters an array"),
        pytest.param("dummy", spliced(b'"outputs":["a"]'), "outputs[0]", id="an output as a string"),
        pytest.param("dummy", TEN | {"outputs": [{"name": "z"}]}, "Unknown output z", id="unknown output"),
    ],
)  # fmt: skip
def test_a_wrong_body_is_a_400_naming_the_fault(server, model, body, message):
    assert message in refused(server, model, body)


def test_thousands_of_inputs_are_refused_before_they_are_looked_at(server):
    assert "number of inputs" in refused(server, "dummy", {"inputs": [VALID] * 5000})


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (["copy", "sum", "copy"], "Output copy is named twice"),
        (["sum"] * 2, "Output sum is named twice"),
        (["sum", "copy", "none"], "Unknown output none"),
        (["sum"] * 4097, "at most 4096"),
        (["sum"] * 1_000_000, "at most 4096"),
    ],
)
def test_an_output_is_named_once(server, outputs, message):
    """Otherwise a few bytes would ask for an answer of any size."""
    inputs = [
        {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0]},
        {"name": "n", "shape": [1, 2], "datatype": "INT32", "data": [1, 2]},
    ]
    body = {"inputs": inputs, "outputs": [{"name": name} for name in outputs]}
    assert message in refused(server, "two", body)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"classification": 3}, "classification is not offered"),
        ({"shared_memory_region": "r", "shared_memory_byte_size": 40}, "shared_memory_region is not offered"),
    ],
)
def test_an_output_is_refused_rather_than_given_in_another_form_than_asked(server, parameters, message):
    """Triton's client would read numbers as texts, or an old answer from its shared memory."""
    outputs = [{"name": "a", "parameters": parameters}]
    assert message in refused(server, "dummy", TEN | {"outputs": outputs})


def test_an_input_in_shared_memory_is_told_that_there_is_none(server):
    place = {"shared_memory_region": "r", "shared_memory_byte_size": 40}
    tensor = {key: VALID[key] for key in ("name", "shape", "datatype")} | {"parameters": place}
    assert "shared_memory_region is not offered" in refused(server, "dummy", {"inputs": [tensor]})


def test_an_input_is_named_once(server):
    one = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0]}
    assert "Missing input" in refused(server, "two", {"inputs": [one, one]})


def test_an_error_that_repeats_a_long_name_stays_short(server):
    assert len(refused(server, "dummy", one_input("n" * 100_000, [1, 10], "FP32", [0] * 10))) < 3000


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        ("dummy", one_input("c", [1, 10], "FP32", [0] * 10), "Missing input with specific name"),
        ("dummy", {"inputs": []}, "Invalid number of inputs - Expected: 1; Actual: 0"),
        ("dummy", {}, "missing inputs"),
        ("dummy", [], "Request body should be JSON object"),
        ("dummy", one_input("b", [1, 10], "INT64", [0] * 10), "Expected: FP32; Actual: INT64"),
        ("dummy", one_input("b", [10], "FP32", [0] * 10), "Invalid number of shape dimensions"),
        ("dummy", one_input("b", [1, 9], "FP32", [0] * 9), "Invalid input shape - Expected: (1,10)"),
        (
            "dummy",
            one_input("b", [2, 10], "FP32", [0] * 20),
            "Invalid input batch size - Expected: 1; Actual: 2",
        ),
        ("dummy", one_input("b", [1, 10], "FP32", [0] * 9), "Invalid number of values"),
        ("dummy", one_input("b", [1, -10], "FP32", []), "negative dimension"),
        ("dummy", one_input("b", [1 << 40, 1 << 40], "FP32", []), "too big"),
        ("dummy", one_input("b", [1, 10], "FP31", [0] * 10), "FP31"),
        ("dummy", one_input("b", [1, 10], "FP32", ["a"] * 10), "not a number"),
        ("dummy", one_input("b", [1, 10], "FP32", [[0], 1] * 5), "Not valid ndarray"),
        ("dummy", one_input("b", [1, 10], "FP32", 5), "Not valid ndarray"),
        ("dummy", one_input("b", [1, 10], "FP32", [0] * 10, outputs=[{"name": "z"}]), "Unknown output z"),
        ("bytes", {"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES"}]}, "No data is given"),
        ("fp32", {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32"}]}, "No data is given"),
        ("uint8", one_input("x", [1], "BYTES", ["text"]), "Invalid input precision"),
        ("bool", one_input("x", [2], "BOOL", [0, 1]), "does not fit"),
        ("uint8", one_input("x", [1], "UINT8", [256]), "does not fit"),
        ("int32", one_input("x", [1], "INT32", [1.5]), "does not fit"),
        ("int64", one_input("x", [1], "INT64", [2**63]), "does not fit"),
        ("bytes", one_input("x", [1], "BYTES", [1]), "strings"),
    ],
)
def test_a_wrong_request_is_a_400_that_says_why(server, model, body, message):
    status, answer = infer(server, model, body)
    assert (status, message in answer["error"]) == (400, True), answer


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nonsense", b"[" * 5000, b"\xff\xfe", b'{"inputs":[],"id":"\xff"}']
)
def test_a_body_that_is_no_json_is_a_400(server, body):
    assert infer(server, "dummy", body)[0] == 400


def test_a_body_that_announces_too_much_is_a_413_before_it_is_read(server):
    with socket.create_connection(("127.0.0.1", server.rest_port), 60) as caller:
        caller.sendall(
            b"POST /v2/models/dummy/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 2147483648\r\n\r\n"
        )
        answer = b"".join(iter(lambda: caller.recv(4096), b""))  # to the end: the connection is closed
        assert answer.startswith(b"HTTP/1.1 413")


def of_batches(x, n):
    inputs = [
        {"name": "x", "shape": [x, 2], "datatype": "FP32", "data": [1] * 2 * x},
        {"name": "n", "shape": [n, 2], "datatype": "INT32", "data": [1] * 2 * n},
    ]
    return {"inputs": inputs}


def test_different_batches_are_a_400_where_the_model_cannot_take_them_and_only_there(repository):
    """On a server of its own: OpenVINO may not forget such a failure soon."""
    path = str(repository / "two")
    columns = {"inputs": {"x": [[1, 2]] * 2, "n": [[1, 2]] * 3}}
    with ServerProcess("--model_name", "two", "--model_path", path) as server:
        server.wait_ready()
        for sizes in ((2, 2), (2, 1), (1, 3)):  # one is for all: the model repeats it
            assert infer(server, "two", of_batches(*sizes))[0] == 200
        message = refused(server, "two", of_batches(2, 3))
        assert message.startswith(
            "The inputs have different batch sizes (x 2, n 3). Internal inference error"
        )
        status, raw, _ = server.post("/v1/models/two:predict", columns)
        assert (status, "different batch sizes (x 2, n 3)" in json.loads(raw)["error"]) == (400, True)
