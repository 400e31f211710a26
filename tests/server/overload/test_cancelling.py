"""A call that is cancelled, wherever it is, gives its infer request back once: to one next caller."""

import asyncio
import http.client
import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import grpc
import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from modelserver import proto
from modelserver.admission import LiveLimits
from modelserver.engine import LoadedModel, Source, loading
from modelserver.engine.devices import Devices
from modelserver.errors import DeadlineExceeded, InferenceFailed
from modelserver.settings.config_file import Shaping
from modelserver.settings.limits import Limits
from modelserver.tuning.plan import Plan
from tests.support import models
from tests.support.server_process import ServerProcess
from tests.support.waiting import until, until_async

WIDTH = 256


def repeating(layers: int = 24) -> ov.Model:
    """x -> the mean of each row of x, in every place of it: what comes back shows who asked."""
    x = ops.parameter([-1, WIDTH], np.float32, name="x")
    x.output(0).set_names({"x"})
    mean = ops.constant(np.full((WIDTH, WIDTH), 1 / WIDTH, np.float32))
    node = x
    for _ in range(layers):
        node = ops.matmul(node, mean, transpose_a=False, transpose_b=False)
    node.output(0).set_names({"y"})
    return ov.Model([ops.result(node)], [x], "repeating")


def load(directory, network) -> LoadedModel:
    """With one infer request."""
    path = models.save(network, directory) / "model.xml"
    plan = Plan(
        device="CPU",
        properties={"NUM_STREAMS": 1},
        hint="THROUGHPUT",
        nireq=1,
        pinning=False,
        pinning_reason="",
    )
    return loading.load(Devices(None), Source(path, Shaping(), plan), LiveLimits(Limits()))


@pytest.fixture
def model(tmp_path):
    loaded = load(tmp_path / "repeating", repeating())
    yield loaded
    loaded.close()


@pytest.fixture
def failing(tmp_path):
    loaded = load(tmp_path / "reshaped", models.reshaped())
    yield loaded
    loaded.close()


async def inferred(model: LoadedModel, array, read, **passage):
    """What `read` makes of the output, as a front does it: nothing is awaited before the lease is left."""
    lease = await model.infer([array], **passage)
    try:
        return read(lease.outputs[0])
    finally:
        lease.leave()


def call(model: LoadedModel, value: float = 1.0, rows: int = 64, **passage):
    """One inference as a task; its result is the set of values in its outputs."""
    array = np.full((rows, WIDTH), value, np.float32)
    return asyncio.ensure_future(
        inferred(model, array, lambda output: set(output.ravel().tolist()), **passage)
    )


async def turns(count: int = 1) -> None:
    """Lets everything run that is due on the loop."""
    for _ in range(count):
        await asyncio.sleep(0)


def let_it_end(model: LoadedModel) -> None:
    """The loop stands still until OpenVINO has called back: the news of it waits for the loop's next turn."""
    model._slots[0].request.wait()


async def assert_one_place(model: LoadedModel) -> None:
    """One request works at a time, and each caller gets its own answer."""
    await until_async("nothing at work", lambda: (model.active, model.waiting) == (0, 0))
    calls = [call(model, value) for value in (1, 2, 3)]
    await turns()
    assert (model.active, model.waiting) == (1, 2)
    assert await asyncio.gather(*calls) == [{1.0}, {2.0}, {3.0}]
    assert (model.active, model.waiting) == (0, 0)


async def cancelled(task) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelled_in_the_turn_in_which_the_inference_ends(model):
    task = call(model)
    await turns()
    let_it_end(model)
    await cancelled(task)
    await assert_one_place(model)


async def test_cancelled_in_the_turn_after_the_inference_has_ended(model):
    task = call(model)
    await turns()
    let_it_end(model)
    asyncio.get_running_loop().call_soon(task.cancel)  # behind the news of the end, before the task goes on
    with pytest.raises(asyncio.CancelledError):
        await task
    await assert_one_place(model)


async def test_cancelled_during_the_inference(model):
    task = call(model, rows=4096)
    await turns()
    assert model.active == 1
    await cancelled(task)
    assert model.active == 1 or model._slots[0].request.wait_for(0)  # OpenVINO still reads and writes
    await assert_one_place(model)


async def test_cancelled_during_the_inference_with_somebody_in_the_queue(model):
    first, second = call(model, 1, rows=4096), call(model, 2)
    await turns()
    await cancelled(first)
    assert await second == {2.0}
    await assert_one_place(model)


async def test_cancelled_in_the_queue(model):
    place = await model.infer([np.ones((1, WIDTH), np.float32)])  # kept until it is left, however fast
    second, third = call(model, 2), call(model, 3)
    await turns()
    assert model.waiting == 2
    await cancelled(second)
    assert model.waiting == 1
    place.leave()
    assert await third == {3.0}
    await assert_one_place(model)


async def test_cancelled_before_it_begins(model):
    await cancelled(call(model))
    await assert_one_place(model)


@pytest.mark.parametrize("is_last", [True, False], ids=["the last one", "somebody behind it"])
async def test_cancelled_when_a_place_has_just_been_handed_over(model, is_last):
    first, second = call(model, 1), call(model, 2)
    rest = [] if is_last else [call(model, 3)]
    await turns()
    first.add_done_callback(lambda _: second.cancel())  # in the turn in which the second one has the place
    results = await asyncio.gather(first, second, *rest, return_exceptions=True)
    assert [result for result in results if isinstance(result, set)] == [{1.0}] + [{3.0}] * len(rest)
    await assert_one_place(model)


async def test_the_deadline_passes_when_a_place_has_just_been_handed_over(model):
    first = call(model, 1, rows=4096)
    late = call(model, 2, deadline=asyncio.get_running_loop().time() + 0.01)
    await turns()
    let_it_end(model)  # the place and the end of the time allowed come in one turn
    time.sleep(0.02)  # noqa: ASYNC251 - the loop stands still
    results = await asyncio.gather(first, late, return_exceptions=True)
    assert results[0] == {1.0}
    assert results[1] == {2.0} or isinstance(results[1], DeadlineExceeded)
    await assert_one_place(model)


async def test_the_caller_hangs_up_when_a_place_has_just_been_handed_over(model):
    hung_up = asyncio.Event()

    async def gone() -> None:
        await hung_up.wait()

    first, second = call(model, 1), call(model, 2, gone=gone)
    await turns()
    first.add_done_callback(lambda _: hung_up.set())
    assert (await asyncio.gather(first, second, return_exceptions=True))[0] == {1.0}
    await assert_one_place(model)


def shape(loaded: LoadedModel, size: int):
    array = np.zeros(size, np.float32)
    return asyncio.ensure_future(inferred(loaded, array, lambda output: output.shape))


@pytest.mark.parametrize("turns_later", range(4))
async def test_cancelled_while_its_failure_is_found(failing, turns_later):
    """Failures are found by a look at all requests, which may come before or after the cancelling."""
    task = shape(failing, 5)
    await turns()
    with suppress(RuntimeError):
        let_it_end(failing)
    if turns_later:
        failing._look_for_failures()
        await turns(turns_later - 1)
    task.cancel()
    (result,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(result, asyncio.CancelledError | InferenceFailed)
    await until_async("nothing at work", lambda: failing.active == 0)
    first, second = shape(failing, 6), shape(failing, 6)
    await turns()
    assert (failing.active, failing.waiting) == (1, 1)
    assert await asyncio.gather(first, second) == [(2, 3), (2, 3)]
    assert failing.active == 0


async def test_a_model_whose_callers_have_all_gone_is_drained(model):
    model.enter()
    tasks = [call(model, rows=1024) for _ in range(4)]
    await turns()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    model.leave(None)
    async with asyncio.timeout(30):
        await model.drained()
    assert model.active == 0


async def test_cancelled_at_any_moment_over_and_over(model):
    """Whatever the moment: everybody who stays gets its own answer, and nothing is lost."""
    random = np.random.default_rng(3)
    for _ in range(200):
        tasks = [call(model, value, rows=int(random.integers(1, 65))) for value in range(4)]
        for task in tasks[::2]:
            asyncio.get_running_loop().call_later(float(random.uniform(0, 0.02)), task.cancel)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(
            isinstance(result, asyncio.CancelledError) or result == {float(value)}
            for value, result in enumerate(results)
        )
        assert [results[1], results[3]] == [{1.0}, {3.0}]
    await assert_one_place(model)


SECONDS = 10.0
HASTY, PATIENT = 5, 4


@pytest.fixture
def serving(tmp_path):
    models.save(repeating(), tmp_path / "repeating" / "1")
    arguments = ("--model_name", "repeating", "--model_path", str(tmp_path / "repeating"))
    with ServerProcess(*arguments, "--metrics_enable") as server:
        yield server.wait_ready()


def hurry(server, number: int, end: threading.Event) -> Counter[str]:
    """Calls over gRPC with deadlines that end in the queue, in the inference and after it."""
    rows = np.full((64, WIDTH), number, np.float32)
    request = proto.ModelInferRequest(model_name="repeating", raw_input_contents=[rows.tobytes()])
    request.inputs.add(name="x", datatype="FP32", shape=rows.shape)
    message, seen = request.SerializeToString(), Counter()
    random = np.random.default_rng(number)
    with grpc.insecure_channel(server.grpc) as channel:
        rpc = channel.unary_unary(f"/{proto.SERVICE}/ModelInfer", None, proto.ModelInferResponse.FromString)
        while not end.is_set():
            try:
                answer = rpc(message, timeout=float(random.uniform(0.001, 0.021)))
                assert (
                    np.frombuffer(answer.raw_output_contents[0], np.float32).tolist() == rows.ravel().tolist()
                )
                seen["OK"] += 1
            except grpc.RpcError as error:
                seen[error.code().name] += 1
    return seen


def stay(server, number: int, end: threading.Event) -> Counter[str]:
    """Calls over REST that never hang up: 200 with the caller's own number, or what came instead."""
    tensor = {"name": "x", "shape": [number, WIDTH], "datatype": "FP32", "data": [number] * number * WIDTH}
    body, seen = json.dumps({"inputs": [tensor]}), Counter()
    with closing(http.client.HTTPConnection(server.rest, timeout=20)) as connection:
        while not end.is_set():
            connection.request("POST", "/v2/models/repeating/infer", body)
            answer = connection.getresponse()
            text = answer.read()
            is_own = answer.status == 200 and json.loads(text)["outputs"][0]["data"] == tensor["data"]
            seen["own" if is_own else f"{answer.status} {text[:200]!r}"] += 1
    return seen


def gauge(server, name: str) -> float:
    page = server.get("/metrics")[1].decode()
    return next(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(name + "{"))


def test_callers_with_deadlines_take_nothing_from_callers_without(serving):
    end = threading.Event()
    with ThreadPoolExecutor(HASTY + PATIENT) as pool:
        hasty = [pool.submit(hurry, serving, number, end) for number in range(11, 11 + HASTY)]
        patient = [pool.submit(stay, serving, number, end) for number in range(1, 1 + PATIENT)]
        end.wait(SECONDS)
        end.set()
        late = sum((one.result(60) for one in hasty), Counter())
        answers = sum((one.result(60) for one in patient), Counter())
    assert set(answers) == {"own"}, answers
    assert late["DEADLINE_EXCEEDED"] > 100
    # The server's word may come first: it cancels what its caller's deadline has passed.
    assert set(late) <= {"OK", "DEADLINE_EXCEEDED", "CANCELLED"}, late
    for name in ("ovms_current_requests", "ovms_infer_req_active", "modelserver_queue_waiting"):
        until(f"{name} 0", lambda name=name: gauge(serving, name) == 0, timeout=30)
    assert serving.post("/v2/repository/models/repeating/unload", b"")[0] == 200
    until("the end of the unloading", lambda: is_unloaded(serving), timeout=30)


def is_unloaded(server) -> bool:
    (version,) = json.loads(server.post("/v2/repository/index", b"")[1])
    return version["state"] == "UNAVAILABLE"
