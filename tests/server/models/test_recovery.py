"""A wrong request costs nobody else an answer: the version is asked, compiled again and swapped."""

import json
import threading

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from tests.support import models
from tests.support.hot import model_status
from tests.support.rest import infer, one_input
from tests.support.server_process import ServerProcess
from tests.support.waiting import until

RECOMPILATIONS = 'modelserver_model_recompilations{name="m",version="1"}'


def free(name, rank):
    node = ops.parameter(ov.PartialShape([-1] * rank), np.float32, name=name)
    node.output(0).set_names({name})
    return node


def named(node, name):
    node.output(0).set_names({name})
    return node


def dense():
    """x [n, 16] -> y [n, 4], though both sizes are declared free."""
    x = free("x", 2)
    weights = ops.constant(np.ones((16, 4), np.float32))
    return ov.Model([named(ops.matmul(x, weights, False, False), "y")], [x], "dense")


def product():
    x, z = free("x", 2), free("z", 2)
    return ov.Model([named(ops.matmul(x, z, False, False), "y")], [x, z], "product")


def convolution():
    x = free("x", 4)
    kernel = ops.constant(np.ones((4, 3, 3, 3), np.float32))
    return ov.Model([named(ops.convolution(x, kernel, [1, 1], [0, 0], [0, 0], [1, 1]), "y")], [x], "c")


MODELS = {
    "dense": (dense, {"x": (2, 16)}, {"x": (2, 15)}),
    "product": (product, {"x": (2, 3), "z": (3, 4)}, {"x": (2, 3), "z": (4, 4)}),
    "convolution": (convolution, {"x": (1, 3, 8, 8)}, {"x": (1, 2, 8, 8)}),
}
TUNING = {"one stream": ["--nireq", "1", "--streams", "1"], "as it comes": []}


def picky():
    """x [n, 8] -> y, x as rows of two times as many as its first number says: zeros are never right."""
    x = ops.parameter(ov.PartialShape([-1, 8]), np.float32, name="x")
    x.output(0).set_names({"x"})
    flat = ops.reshape(x, ops.constant(np.array([-1], np.int64)), special_zero=False)
    first = ops.gather(flat, ops.constant(np.array([0], np.int64)), ops.constant(np.int64(0)))
    rows = ops.concat([ops.convert(first, np.int64), ops.constant(np.array([8], np.int64))], 0)
    return ov.Model([named(ops.reshape(flat, rows, special_zero=False), "y")], [x], "picky")


def body(shapes):
    inputs = [
        one_input(name, list(shape), "FP32", [1.0] * int(np.prod(shape)))["inputs"][0]
        for name, shape in shapes.items()
    ]
    return {"inputs": inputs}


@pytest.fixture
def served(tmp_path, request):
    build, right, wrong = MODELS[request.param[0]]
    models.save(build(), tmp_path / "1")
    arguments = ("--model_name", "m", "--model_path", str(tmp_path), "--metrics_enable")
    with ServerProcess(*arguments, *TUNING[request.param[1]]) as server:
        yield server.wait_ready(), json.dumps(body(right)).encode(), json.dumps(body(wrong)).encode()


def ask(server, raw):
    return infer(server, "m", raw)


each = pytest.mark.parametrize(
    "served", [(model, tuning) for model in MODELS for tuning in TUNING], indirect=True, ids=str
)


@each
def test_after_a_wrong_shape_right_ones_are_answered_within_seconds_and_never_with_500(served):
    server, right, wrong = served
    want = ask(server, right)
    assert want[0] == 200
    assert ask(server, wrong)[0] in (400, 500, 503)
    seen = []

    def is_answered():
        seen.append(ask(server, right))
        return seen[-1][0] == 200

    until("the right answer", is_answered, timeout=20)
    assert {status for status, _ in seen} <= {200, 503}
    assert seen[-1][1]["outputs"] == want[1]["outputs"]
    for status, told in seen:
        assert status == 200 or told["error"].startswith("model m version 1 ")
    until("an end of the fault", lambda: model_status(server, "m")["error"] is None, timeout=20)
    assert server.get("/v2/models/m/ready")[0] == 200
    assert server.get("/v2/health/live")[0] == 200


@pytest.mark.parametrize("served", [("dense", "one stream")], indirect=True)
def test_wrong_requests_without_end_compile_it_again_once_a_minute_and_leave_it_live(served):
    server, right, wrong = served
    assert ask(server, right)[0] == 200
    statuses = [ask(server, wrong)[0] for _ in range(5)]
    assert set(statuses) <= {500, 503}
    until("a recompilation", lambda: f"{RECOMPILATIONS} 1" in page(server), timeout=20)
    until("the right answer", lambda: ask(server, right)[0] == 200, timeout=20)
    for _ in range(3):
        ask(server, wrong)
        assert ask(server, right)[0] in (200, 503)
        assert server.get("/v2/health/live")[0] == 200
    assert f"{RECOMPILATIONS} 1" in page(server)
    told = model_status(server, "m")
    assert told["versions"][0]["state"] == "AVAILABLE"


def test_a_model_for_which_zeros_are_wrong_is_not_suspected_for_wrong_requests(tmp_path):
    models.save(picky(), tmp_path / "1")
    right = one_input("x", [1, 8], "FP32", [1.0] * 8)
    wrong = one_input("x", [1, 8], "FP32", [3.0] * 8)
    arguments = ("--model_name", "m", "--model_path", str(tmp_path), "--metrics_enable")
    with ServerProcess(*arguments, *TUNING["one stream"]) as server:
        server.wait_ready()
        statuses = [ask(server, json.dumps(one).encode())[0] for one in (right, wrong, right, wrong, right)]
        assert statuses == [200, 500, 200, 500, 200]
        assert f"{RECOMPILATIONS} 1" not in page(server)
        assert server.get("/v2/models/m/ready")[0] == 200


def test_a_wrong_request_sent_again_is_not_answered_in_the_shape_of_an_earlier_one(tmp_path):
    """OpenVINO takes the second one for unchanged, and would answer it from what it kept."""
    models.save(picky(), tmp_path / "1")
    right = json.dumps(one_input("x", [1, 8], "FP32", [1.0] * 8)).encode()
    wrong = json.dumps(one_input("x", [1, 8], "FP32", [3.0] * 8)).encode()
    arguments = ("--model_name", "m", "--model_path", str(tmp_path))
    with ServerProcess(*arguments, *TUNING["one stream"]) as server:
        server.wait_ready()
        assert ask(server, right)[0] == 200
        assert [ask(server, wrong)[0] for _ in range(20)] == [500] * 20
        assert ask(server, right)[0] == 200


def page(server):
    return server.get("/metrics")[1].decode()


@pytest.mark.parametrize("served", [("dense", "one stream")], indirect=True)
def test_while_it_is_broken_its_own_readiness_and_its_status_give_the_reason(served):
    server, right, wrong = served
    assert ask(server, right)[0] == 200
    ask(server, wrong)
    until("the first recompilation", lambda: f"{RECOMPILATIONS} 1" in page(server), timeout=20)
    until("the right answer", lambda: ask(server, right)[0] == 200, timeout=20)
    ask(server, wrong)  # now a minute has to pass
    until("the verdict", lambda: server.get("/v2/models/m/ready")[0] == 503, timeout=20)
    assert "inferences fail" in model_status(server, "m")["error"]
    assert "inferences fail" in model_status(server, "m")["versions"][0]["error"]
    status, told = ask(server, right)
    assert status == 503
    assert "compiled again because inferences fail" in told["error"]
    other = json.dumps(body({"x": (3, 16)})).encode()
    assert ask(server, other)[0] == 200
    until("recovery by other shapes", lambda: server.get("/v2/models/m/ready")[0] == 200, timeout=20)
    assert ask(server, right)[0] == 200


@pytest.mark.parametrize("served", [("dense", "one stream")], indirect=True)
def test_two_shapes_that_were_right_mend_it_without_compiling(served):
    server, right, wrong = served
    other = json.dumps(body({"x": (3, 16)})).encode()
    assert [ask(server, one)[0] for one in (other, right, wrong, right)] == [200, 200, 500, 200]
    assert f"{RECOMPILATIONS} 1" not in page(server)


@pytest.mark.parametrize("served", [("dense", "as it comes")], indirect=True)
def test_callers_beside_a_wrong_one_get_their_answers_or_503(served):
    server, right, wrong = served
    assert ask(server, right)[0] == 200
    seen, end = [], threading.Event()

    def call():
        while not end.is_set():
            seen.append(ask(server, right)[0])

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for _ in range(5):
        ask(server, wrong)
    end.set()
    for caller in callers:
        caller.join(30)
    assert len(seen) > 20
    assert set(seen) <= {200, 503}
