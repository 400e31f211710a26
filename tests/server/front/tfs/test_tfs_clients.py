"""The clients that people have run unchanged: ovmsclient (REST, gRPC) and tensorflow-serving-api's stubs."""

import base64
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support import client_environment

SCRIPT = Path(__file__).resolve().parents[3] / "support" / "tfs_clients.py"
RNG = np.random.default_rng(17)
KINDS = ("http", "grpc", "stubs")


@pytest.fixture(params=KINDS)
def ask(request, server):
    """Sends calls through one of the clients; all answers at once."""
    address = server.rest if request.param == "http" else server.grpc

    def made(*calls):
        return client_environment.run(SCRIPT, request.param, address, calls=calls)

    made.kind = request.param
    return made


def told(array):
    if array.dtype == object:
        values = [base64.b64encode(one).decode() for one in array.ravel().tolist()]
        return {"dtype": "bytes", "shape": array.shape, "values": values}
    return {
        "dtype": array.dtype.name,
        "shape": array.shape,
        "values": base64.b64encode(array.tobytes()).decode(),
    }


def array(answer, dtype):
    """JSON names no datatypes, so what came over REST has numpy's default ones."""
    if answer["dtype"] == "bytes":
        return np.array([base64.b64decode(one) for one in answer["values"]], object)
    raw = np.frombuffer(base64.b64decode(answer["values"]), answer["dtype"])
    return raw.reshape(answer["shape"]).astype(dtype)


def predict(model, version=None, **inputs):
    given = {name: told(one) for name, one in inputs.items()}
    asked = {} if version is None else {"model_version": version}
    return {"method": "predict", "model_name": model, "inputs": given, **asked}


def test_predictions_equal_bare_numpy(ask):
    ten, many = RNG.random((1, 10), np.float32), RNG.random((7, 300), np.float32)
    x, n = RNG.random((3, 2), np.float32), RNG.integers(-(2**31), 2**31, (3, 2), np.int32)
    whole = np.array([2**53 + 1, -(2**63), 2**63 - 1])
    half, double = np.array([0.5, -2.0], np.float16), np.array([1 / 3, 1e300])
    answers = ask(
        predict("dummy", b=ten),
        predict("dummy", 1, b=ten),
        predict("dynamic", b=many),
        predict("int64", x=whole),
        predict("fp16", x=half),
        predict("fp64", x=double),
        predict("two", x=x, n=n),
    )
    *single, two = answers
    assert not [answer for answer in answers if "error" in answer], answers
    wanted = [ten + 1, ten + 1, many + 1, whole, half, double]
    for answer, want in zip(single, wanted, strict=True):
        (output,) = answer.values()
        assert np.array_equal(array(output, want.dtype), want)
    assert np.array_equal(array(two["sum"], np.float32), x + n.astype(np.float32))
    assert np.array_equal(array(two["copy"], np.int32), n)


def test_images_and_strings_come_as_bytes(ask):
    pixels = RNG.integers(0, 256, (8, 6, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", pixels)[1].tobytes()
    images = {"png": cv2.imencode(".png", pixels)[1].tobytes(), "jpeg": jpeg}
    lossy = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED)
    answers = ask(
        *[predict("picture", image=np.array([raw], object)) for raw in images.values()],
        predict("bytes", x=np.array([b"one", b"and another"], object)),
    )
    for answer, want in zip(answers, (pixels, lossy), strict=False):
        (output,) = answer.values()
        assert np.array_equal(array(output, np.uint8)[0], want)


def test_status_and_metadata_are_understood(ask):
    asked = {"model_name": "two"}
    status, metadata, versioned = ask(
        {"method": "status", **asked},
        {"method": "metadata", **asked},
        {"method": "metadata", **asked, "model_version": 1},
    )
    assert status == {"1": {"state": "AVAILABLE", "error_code": 0, "error_message": "OK"}}
    assert metadata == versioned
    assert metadata == {
        "model_version": 1,
        "inputs": {
            "x": {"shape": [-1, 2], "dtype": "DT_FLOAT"},
            "n": {"shape": [-1, 2], "dtype": "DT_INT32"},
        },
        "outputs": {
            "sum": {"shape": [-1, 2], "dtype": "DT_FLOAT"},
            "copy": {"shape": [-1, 2], "dtype": "DT_INT32"},
        },
    }


def test_errors_become_the_clients_own(ask):
    ten = np.zeros((1, 10), np.float32)
    answers = ask(
        predict("none", b=ten),
        predict("dummy", 7, b=ten),
        predict("dummy", b=ten[:, :9]),
        {"method": "status", "model_name": "none"},
        {"method": "metadata", "model_name": "dummy", "model_version": 7},
    )
    not_found, wrong = "ModelNotFoundError", "InvalidInputError"
    if ask.kind == "stubs":
        not_found, wrong = "NOT_FOUND", "INVALID_ARGUMENT"
    assert [answer["error"] for answer in answers] == [not_found, not_found, wrong, not_found, not_found]
    assert "Invalid input shape - Expected: (1,10); Actual: (1,9)" in answers[2]["message"]


def test_the_stubs_reload_the_configuration(server):
    assert client_environment.run(SCRIPT, "stubs", server.grpc, calls=[{"method": "reload"}]) == [0]
