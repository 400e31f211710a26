"""TensorFlow Serving over REST on a real socket."""

import base64
import json

import cv2
import numpy as np
import pytest

from tests.support.server_process import fetch

RNG = np.random.default_rng(11)
TEN = list(range(10))
MORE = [n + 1.0 for n in TEN]
DEEP = json.loads("[" * 101 + "1" + "]" * 101)


def predict(server, model, body, version=""):
    status, raw, _ = server.post(f"/v1/models/{model}{version}:predict", body)
    return status, json.loads(raw)


def b64(raw):
    return {"b64": base64.b64encode(raw).decode()}


@pytest.mark.parametrize(
    ("model", "body", "want"),
    [
        pytest.param("dummy", {"instances": [TEN]}, {"predictions": [MORE]}, id="row, no name"),
        pytest.param("dummy", {"instances": [{"b": TEN}]}, {"predictions": [MORE]}, id="row, named"),
        pytest.param("dummy", {"inputs": [TEN]}, {"outputs": [MORE]}, id="column, no name"),
        pytest.param("dummy", {"inputs": {"b": [TEN]}}, {"outputs": [MORE]}, id="column, named"),
        pytest.param(
            "dummy",
            {"signature_name": "serving_default", "inputs": [TEN]},
            {"outputs": [MORE]},
            id="the signature",
        ),
        pytest.param(
            "dummy", {"signature_name": "", "inputs": [TEN]}, {"outputs": [MORE]}, id="no signature"
        ),
        pytest.param(
            "dummy", {"inputs": None, "instances": [TEN]}, {"predictions": [MORE]}, id="the other null"
        ),
        pytest.param(
            "dummy",
            {"signature_name": None, "inputs": [TEN], "instances": None},
            {"outputs": [MORE]},
            id="null for what is left out",
        ),
        pytest.param("scalar", {"inputs": 3.5}, {"outputs": 3.5}, id="scalar column, no name"),
        pytest.param("scalar", {"inputs": {"x": 0.1}}, {"outputs": 0.1}, id="scalar column, named"),
        pytest.param("fp32", {"instances": [1, 2.5]}, {"predictions": [1.0, 2.5]}, id="scalars as rows"),
        pytest.param(
            "fp32", {"instances": [{"x": 1}, {"x": 2}]}, {"predictions": [1, 2]}, id="named scalars"
        ),
        pytest.param("fp32", {"inputs": []}, {"outputs": []}, id="nothing"),
        pytest.param("dynamic", {"inputs": [[], []]}, {"outputs": [[], []]}, id="a dimension of zero"),
        pytest.param(
            "dynamic", {"instances": [[1, 2], [3, 4]]}, {"predictions": [[2, 3], [4, 5]]}, id="batch"
        ),
        pytest.param(
            "two",
            {"instances": [{"x": [1, 2], "n": [3, 4]}, {"n": [7, 8], "x": [5, 6.5]}]},
            {"predictions": [{"sum": [4, 6], "copy": [3, 4]}, {"sum": [12, 14.5], "copy": [7, 8]}]},
            id="two outputs by row",
        ),
        pytest.param(
            "two",
            {"inputs": {"x": [[1, 2]], "n": [[3, 4]]}},
            {"outputs": {"sum": [[4, 6]], "copy": [[3, 4]]}},
            id="two outputs by column",
        ),
        pytest.param(
            "fp32",
            {"instances": ["NaN", "Infinity", 0.1, "-Infinity"]},
            {"predictions": ["NaN", "Infinity", pytest.approx(0.1), "-Infinity"]},
            id="what JSON has no number for",
        ),
        pytest.param(
            "int32", {"instances": [1.0, 2]}, {"predictions": [1, 2]}, id="whole floats as integers"
        ),
        pytest.param(
            "bytes",
            {"instances": ["größer", b64(b"text"), "", "nul\0inside"]},
            {"predictions": ["größer", "text", "", "nul\0inside"]},
            id="strings and b64",
        ),
        pytest.param("bytes", {"inputs": b64(b"one")}, {"outputs": ["one"]}, id="one b64"),
        pytest.param("bytes", {"inputs": {"x": b64(b"one")}}, {"outputs": ["one"]}, id="one b64, named"),
        pytest.param("bytes", {"inputs": "one"}, {"outputs": ["one"]}, id="one string"),
        pytest.param(
            "bytes",
            {"instances": [b64(b"\x00\xff"), {"b64": "YQ"}]},
            {"predictions": [b64(b"\x00\xff"), b64(b"a")]},
            id="bytes that are no text",
        ),
    ],
)
def test_every_form_of_a_predict_request_is_answered_in_kind(server, model, body, want):
    assert predict(server, model, body) == (200, want)


@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        ("INT64", [2**53 + 1, -(2**63), 2**63 - 1]),
        ("UINT64", [2**64 - 1, 0]),
        ("UINT32", [2**32 - 1]),
        ("INT8", [-128, 127]),
        ("UINT16", [65535]),
        ("FP64", [1 / 3, 1e300, -0.0]),
        ("FP16", [0.5, -2.0]),
        ("BF16", [0.5, 3.140625]),
        ("BOOL", [True, False]),
    ],
)
def test_the_models_datatype_decides_how_values_are_read(server, datatype, values):
    assert predict(server, datatype.lower(), {"instances": values}) == (200, {"predictions": values})


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        pytest.param("dummy", b"", "The request body is empty", id="no body"),
        pytest.param("dummy", b"{", "The file is not valid json", id="half a body"),
        pytest.param("dummy", b'{"inputs":"\xff"}', "The file is not valid json", id="no UTF-8"),
        pytest.param("dummy", b"\xef\xbb\xbf{}", "json: it begins with a byte order mark (BOM)", id="BOM"),
        pytest.param("dummy", "{}".encode("utf-16"), "json: it is UTF-16; send UTF-8", id="UTF-16"),
        pytest.param("dummy", {"inputs": None, "instances": None}, "row or column format", id="null both"),
        pytest.param("dummy", [TEN], "Request body should be JSON object", id="a list"),
        pytest.param("dummy", {}, "Could not detect row or column format", id="neither"),
        pytest.param("dummy", {"inputs": [], "instances": []}, "row or column format", id="both"),
        pytest.param("dummy", {"instances": TEN[0]}, "Nonamed instance is not an array.", id="no array"),
        pytest.param("dummy", {"instances": {"b": TEN}}, "instance is not an array.", id="an object"),
        pytest.param("dummy", {"instances": []}, "Missing instances in row format", id="no instances"),
        pytest.param("dummy", {"instances": [None]}, "neither named or nonamed format", id="null row"),
        pytest.param("dummy", {"inputs": None}, "neither named or nonamed format", id="null column"),
        pytest.param(
            "dummy", {"instances": [{"b": TEN}, TEN]}, "named instances is not a JSON object", id="mix"
        ),
        pytest.param(
            "dummy", {"signature_name": "other", "inputs": [TEN]}, "Invalid signature name", id="name"
        ),
        pytest.param("dummy", {"signature_name": 5, "inputs": [TEN]}, "Invalid signature name", id="no name"),
        pytest.param("dummy", {"inputs": {}}, "Expected: 1; Actual: 0", id="no input"),
        pytest.param("dummy", {"inputs": {"c": [TEN]}}, "Required input: b", id="another input"),
        pytest.param(
            "dummy", {"inputs": {"b": [TEN], "c": 1}}, "Expected: 1; Actual: 2", id="too many inputs"
        ),
        pytest.param("two", {"instances": [[1, 2]]}, "Invalid number of inputs - Expected: 2", id="no names"),
        pytest.param("two", {"inputs": {"x": [[1, 2]]}}, "Expected: 2; Actual: 1", id="too few inputs"),
        pytest.param(
            "two",
            {"instances": [{"x": [1, 2], "n": [1, 2]}, {"x": [1, 2]}]},
            "Request inputs have different batch sizes",
            id="an input missing in a row",
        ),
        pytest.param("dummy", {"inputs": [TEN[:9]]}, "Invalid input shape - Expected: (1,10)", id="shape"),
        pytest.param("dummy", {"inputs": [TEN, TEN]}, "Invalid input batch size - Expected: 1", id="batch"),
        pytest.param("dummy", {"inputs": TEN}, "Invalid number of shape dimensions", id="rank"),
        pytest.param("dummy", {"instances": DEEP}, "nesting depth", id="deep"),
        pytest.param("dummy", {"instances": [TEN], "more": DEEP}, "nesting depth", id="deep elsewhere"),
        pytest.param("uint8", {"instances": [256]}, "does not fit", id="too big"),
        pytest.param("uint8", {"instances": [-1]}, "does not fit", id="negative"),
        pytest.param("int32", {"instances": [1.5]}, "does not fit", id="half an integer"),
        pytest.param("int64", {"instances": [2**63]}, "does not fit", id="beyond 64 bits"),
        pytest.param("int64", {"instances": [-(2**63) - 1]}, "does not fit", id="below 64 bits"),
        pytest.param("bool", {"instances": [0, 1]}, "does not fit", id="numbers for bool"),
        pytest.param("fp32", {"instances": [True]}, "does not fit", id="bool for numbers"),
        pytest.param("bytes", {"instances": [1]}, "bytes are expected", id="numbers for bytes"),
        pytest.param("bytes", {"instances": [{"b64": "*"}]}, "Decode Base64 to string error", id="no base64"),
        pytest.param("bytes", {"instances": [{"b64": "YW*\n"}]}, "Base64 to string", id="lines, no base64"),
        pytest.param(
            "bytes", {"instances": [{"b64": "YWJj\u2028"}]}, "Base64 to string", id="no ASCII space"
        ),
        pytest.param(
            "bytes", {"instances": [{"b64": "YWJjZ\n"}]}, "Base64 to string", id="a letter too much"
        ),
        pytest.param("bytes", {"instances": [{"b64": 5}]}, "bytes are expected", id="a number as base64"),
        pytest.param("bytes", {"instances": [{"b64": "é"}]}, "Decode Base64 to string error", id="no ASCII"),
        pytest.param(
            "fp32", {"instances": [b64(b"x")]}, "Expected: FP32; Actual: BYTES", id="bytes for numbers"
        ),
        pytest.param("scalar", {"instances": [1]}, "Invalid number of shape dimensions", id="scalar by row"),
    ],
)
def test_a_wrong_predict_request_is_a_400_that_says_why(server, model, body, message):
    status, answer = predict(server, model, body)
    assert (status, message in answer.get("error", "")) == (400, True), answer


@pytest.mark.parametrize(
    "value",
    [
        [[1, 2], 3],
        [3, [1, 2]],
        [[1, 2], [3]],
        [[1], [2, 3]],
        [[[1], [2]], [[3], 4]],
        [[1, "a"]],
        [[1, None]],
        [[1, {"c": 1}]],
        [[], [1]],
    ],
    ids=str,
)
@pytest.mark.parametrize("form", ["row", "named row", "column", "named column"])
def test_what_is_no_array_is_told_so(server, form, value):
    body = {
        "row": {"instances": value},
        "named row": {"instances": [{"b": one} for one in value]},
        "column": {"inputs": value},
        "named column": {"inputs": {"b": value}},
    }[form]
    status, answer = predict(server, "dynamic", body)
    part = "instance" if "row" in form else "input"
    assert status == 400
    assert answer["error"].startswith(f"Could not parse {part} content. Not valid ndarray detected")


def test_an_output_without_a_row_per_instance_is_refused_with_the_way_out(server):
    status, answer = predict(server, "reshaped", {"instances": [0, 1, 2, 3, 4, 5]})
    assert (status, "Send inputs (columns)" in answer["error"]) == (400, True)
    assert predict(server, "reshaped", {"inputs": [0, 1, 2, 3, 4, 5]})[1] == {
        "outputs": [[0, 1, 2], [3, 4, 5]]
    }


def image():
    pixels = RNG.integers(0, 256, (8, 6, 3), np.uint8)
    return pixels, cv2.imencode(".png", pixels)[1].tobytes()


@pytest.mark.parametrize(
    ("wrapped", "key"),
    [
        (lambda raw: {"instances": [b64(raw)]}, "predictions"),
        (lambda raw: {"instances": [{"image": b64(raw)}]}, "predictions"),
        (lambda raw: {"inputs": b64(raw)}, "outputs"),
        (lambda raw: {"inputs": [b64(raw)]}, "outputs"),
        (lambda raw: {"inputs": {"image": b64(raw)}}, "outputs"),
        (lambda raw: {"inputs": {"image": [b64(raw)]}}, "outputs"),
    ],
)
@pytest.mark.parametrize("model", ["picture", "planar"])
def test_images_come_as_b64_in_every_form(server, model, wrapped, key):
    pixels, raw = image()
    status, answer = predict(server, model, wrapped(raw))
    assert status == 200, answer
    want = pixels if model == "picture" else pixels.transpose(2, 0, 1)
    assert np.array_equal(np.array(answer[key], np.uint8)[0], want)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\n\t", " \n\v\f"])
@pytest.mark.parametrize("padding", ["=", ""])
@pytest.mark.parametrize("length", [200, 201, 202])
def test_base64_may_be_broken_into_lines_as_mime_does(server, end, padding, length):
    raw = RNG.integers(0, 256, length, np.uint8).tobytes()
    text = base64.encodebytes(raw).decode().replace("\n", end).replace("=", padding)
    assert predict(server, "bytes", {"instances": [{"b64": text}]}) == (200, {"predictions": [b64(raw)]})


def test_a_wrong_image_is_a_400(server):
    for body in ({"instances": [b64(b"no image")]}, {"instances": [b64(b"")]}, {"inputs": "text"}):
        status, answer = predict(server, "picture", body)
        assert (status, list(answer)) == (400, ["error"])


@pytest.mark.parametrize("version", ["", "/versions/1", "/versions/0", "/versions/001"])
def test_a_version_is_named_or_is_the_default(server, version):
    assert predict(server, "dummy", {"instances": [TEN]}, version) == (200, {"predictions": [MORE]})
    assert server.get(f"/v1/models/dummy{version}")[0] == 200
    assert server.get(f"/v1/models/dummy{version}/metadata")[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "want", "message"),
    [
        ("POST", "/v1/models/none:predict", 404, "Model with requested name is not found"),
        ("POST", "/v1/models/dummy/versions/7:predict", 404, "Model with requested version is not found"),
        ("POST", "/v1/models/dummy/versions/99999999999999999999:predict", 404, "version is not found"),
        ("POST", "/v1/models/dummy/versions/abc:predict", 400, "Could not parse model version"),
        ("POST", "/v1/models/dummy/versions/-1:predict", 400, "Could not parse model version"),
        ("POST", "/v1/models/dummy/labels/stable:predict", 400, "/versions/N"),
        ("POST", "/v1/models/dummy:classify", 501, "use predict"),
        ("POST", "/v1/models/dummy/versions/1:regress", 501, "use predict"),
        ("GET", "/v1/models/none", 404, "Model with requested name is not found"),
        ("GET", "/v1/models/a%2Fb/metadata", 404, "Model with requested name is not found"),
        ("POST", "/v1/models/a%2Fb:predict", 404, "Model with requested name is not found"),
        ("GET", "/v1/models", 404, "There is nothing at"),
        ("GET", "/v1/models/dummy/versions/7", 404, "Model with requested version is not found"),
        ("GET", "/v1/models/dummy/versions/abc", 400, "Could not parse model version"),
        ("GET", "/v1/models/dummy/labels/stable", 400, "/versions/N"),
        ("GET", "/v1/models/dummy/labels/stable/metadata", 400, "/versions/N"),
        ("GET", "/v1/models/none/metadata", 404, "Model with requested name is not found"),
        ("GET", "/v1/models/dummy/elsewhere", 404, "There is nothing at"),
        ("GET", "/v1/models/dummy:predict", 405, "POST"),
        ("PUT", "/v1/models/dummy:predict", 405, "POST"),
        ("POST", "/v1/models/dummy", 405, ""),
        ("DELETE", "/v1/models/dummy/metadata", 405, ""),
    ],
)
def test_what_is_not_there_is_said_in_ovmss_words(server, method, path, want, message):
    body = json.dumps({"instances": [TEN]}).encode() if method != "GET" else None
    status, raw, headers = fetch(server.url(path), body, method)
    answer = json.loads(raw)
    assert (status, list(answer)) == (want, ["error"])
    assert message in answer["error"]
    assert want != 405 or headers["Allow"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/models/dummy:predict/", 200),
        ("/v1/models/dummy%3Apredict", 200),
        ("/v1/models/dummy%3apredict/", 200),
        ("/v1/models/dummy/versions/1%3Apredict", 200),
        ("/v1/models/a%2Fb%3Apredict", 404),
        ("/v1/models/dummy%3Aclassify", 501),
        ("/v1/models/dummy:classify/", 501),
        ("/v1/models/dummy/labels/stable%3Apredict", 400),
        ("/v1/models/dummy%3Aguess", 405),
        ("/v1/models/dummy%253Apredict", 405),
    ],
)
def test_the_colon_may_be_percent_encoded_and_a_slash_may_follow(server, path, status):
    """RFC 3986, section 2.2, leaves the former open; many clients encode all that is not a letter."""
    told, raw, _ = fetch(server.url(path), json.dumps({"instances": [TEN]}).encode())
    assert told == status, raw
    assert status != 200 or json.loads(raw) == {"predictions": [MORE]}


def test_the_status_is_laid_out_as_by_tensorflow_serving(server):
    status, raw, headers = server.get("/v1/models/dummy")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert raw.decode() == (
        '{\n "model_version_status": [\n  {\n   "version": "1",\n   "state": "AVAILABLE",\n   "status": {\n'
        '    "error_code": "OK",\n    "error_message": "OK"\n   }\n  }\n ]\n}\n'
    )


def test_the_metadata_is_the_signature(server):
    status, raw, _ = server.get("/v1/models/two/versions/1/metadata")
    assert status == 200
    told = json.loads(raw)
    assert told["modelSpec"] == {"name": "two", "signatureName": "", "version": "1"}
    map_of = told["metadata"]["signature_def"]
    assert map_of["@type"] == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    signature = map_of["signatureDef"]["serving_default"]
    free = {"dim": [{"size": "-1", "name": ""}, {"size": "2", "name": ""}], "unknownRank": False}
    assert signature == {
        "inputs": {
            "x": {"dtype": "DT_FLOAT", "tensorShape": free, "name": "x"},
            "n": {"dtype": "DT_INT32", "tensorShape": free, "name": "n"},
        },
        "outputs": {
            "sum": {"dtype": "DT_FLOAT", "tensorShape": free, "name": "sum"},
            "copy": {"dtype": "DT_INT32", "tensorShape": free, "name": "copy"},
        },
        "methodName": "",
    }
    scalar = json.loads(server.get("/v1/models/scalar/metadata")[1])["metadata"]["signature_def"]
    assert scalar["signatureDef"]["serving_default"]["inputs"]["x"]["tensorShape"]["dim"] == []


def test_a_name_is_percent_decoded(server):
    assert predict(server, "d%75mmy", {"instances": [TEN]})[0] == 200
    assert server.get("/v1/models/d%75mmy/metadata")[0] == 200


def test_any_content_type_is_taken(server):
    body = json.dumps({"instances": [TEN]}).encode()
    for media in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-8"):
        assert fetch(server.url("/v1/models/dummy:predict"), body, **{"Content-Type": media})[0] == 200
