"""KServe v2 over REST as a hostile client sees it: the checklist's K rows that the other tests leave open."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.rest import infer, one_input
from tests.support.server_process import ServerProcess, fetch

HEADER = "Inference-Header-Content-Length"
TEN = one_input("b", [1, 10], "FP32", [0] * 10)
ONES = [1.0] * 10
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
        pytest.param("dummy", b"\xef\xbb\xbf{}", "not valid json", id="byte order mark"),
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
        pytest.param("dummy", one_input("b", [1, 10], "FP32", None), "ndarray", id="data null"),
        pytest.param("dummy", one_input("b", [1, 10], "FP32", "AAAA"), "ndarray", id="data a string"),
        pytest.param("dynamic", with_data(b"[1e39]"), "overflow", id="beyond FP32"),
        pytest.param("dynamic", with_data(b"[1e400]"), "infinity", id="beyond all floats"),
        pytest.param("dynamic", with_data(b"[" + b"9" * 5000 + b"]"), "infinity", id="an overlong integer"),
        pytest.param("dynamic", with_data(b"[NaN]"), "not valid json", id="NaN bare"),
        pytest.param("dynamic", with_data(b'["nan"]'), "no number", id="nan in small letters"),
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


def test_an_input_is_named_once(server):
    one = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0]}
    assert "Missing input" in refused(server, "two", {"inputs": [one, one]})


def test_an_error_that_repeats_a_long_name_stays_short(server):
    assert len(refused(server, "dummy", one_input("n" * 100_000, [1, 10], "FP32", [0] * 10))) < 3000


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


@pytest.mark.parametrize("version", ["0", "2", "9223372036854775807", "9223372036854775808", "9" * 400])
def test_a_version_that_is_not_there_is_a_404(server, version):
    for path, body in (
        (f"/v2/models/dummy/versions/{version}", None),
        (f"/v2/models/dummy/versions/{version}/infer", b"{}"),
    ):
        assert fetch(server.url(path), body)[0] == 404


@pytest.mark.parametrize("version", ["-1", "1.0", "+1", "0x1", "%31%00", "a"])
def test_a_version_that_is_no_number_is_a_400(server, version):
    for path, body in (
        (f"/v2/models/dummy/versions/{version}", None),
        (f"/v2/models/dummy/versions/{version}/infer", b"{}"),
    ):
        assert fetch(server.url(path), body)[0] == 400


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/dummy/infer/more",
        "/v2/models/dummy/generate",
        "/v2/models//infer",
        "/v2/models/dummy/versions//infer",
        "/v2/models/two/words/infer",
        "/v3/models",
        "//v2/models/dummy/infer",
        "/v2/models/../models/dummy/infer",
    ],
)
def test_an_unknown_path_is_a_404_for_post_too(server, path):
    status, raw, _ = fetch(server.url(path), b"{}", "POST")
    assert (status, list(json.loads(raw))) == (404, ["error"])


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
