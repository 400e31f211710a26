"""Far more than a model can take: the checklist's S06 and S07, M03 and K38, on one slow model."""

import asyncio
import http.client
import json
import statistics
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import grpc
import numpy as np
import psutil
import pytest

from modelserver import proto
from tests.support import models
from tests.support.server_process import ServerProcess, fetch, free_port
from tests.support.waiting import until

QUEUE = 4
CALLERS = 60
"""One works and four wait: more than ten times what is taken."""
ZEROS = np.zeros((64, 1024), np.float32).tobytes()


def rest_body(model="slow"):
    tensor = {
        "name": "x",
        "shape": [64, 1024],
        "datatype": "FP32",
        "parameters": {"binary_data_size": len(ZEROS)},
    }
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return head + ZEROS, {"Inference-Header-Content-Length": str(len(head))}


def rpc_body():
    request = proto.ModelInferRequest(model_name="slow", raw_input_contents=[ZEROS])
    request.inputs.add(name="x", datatype="FP32", shape=[64, 1024])
    return request.SerializeToString()


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """A model of a tenth of a second with one infer request and four places in its queue."""
    root = tmp_path_factory.mktemp("crowded")
    models.save(models.slow(1024, 64), root / "slow" / "1")
    arguments = ("--model_name", "slow", "--model_path", str(root / "slow"), "--metrics_enable")
    limits = ("--nireq", "1", "--streams", "1", "--queue_size", str(QUEUE))
    with ServerProcess(*arguments, *limits, "--status_port", str(free_port())) as running:
        running.status_port = int(running.process.args[running.process.args.index("--status_port") + 1])
        until("readiness", lambda: answers(running, "/v2/health/ready"), timeout=60)
        yield running


def answers(server, path):
    try:
        return fetch(f"http://127.0.0.1:{server.status_port}{path}")[0] == 200
    except OSError:
        return False


def gauge(server, name):
    page = fetch(f"http://127.0.0.1:{server.status_port}/metrics")[1].decode()
    return next(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(name + "{"))


def ask(server):
    body, headers = rest_body()
    with closing(http.client.HTTPConnection(server.rest, timeout=120)) as connection:
        connection.request("POST", "/v2/models/slow/infer", body, headers)
        answer = connection.getresponse()
        raw = answer.read()
        return answer.status, raw if answer.status != 200 else b"", answer.headers.get("retry-after")


@contextmanager
def pressure(server):
    """Callers that ask again as soon as they are answered; gives what they were told."""
    seen, end = [], threading.Event()

    def call():
        while not end.is_set():
            seen.append(ask(server))

    with ThreadPoolExecutor(CALLERS) as pool:
        callers = [pool.submit(call) for _ in range(CALLERS)]
        try:
            until("a refusal", lambda: any(status == 429 for status, *_ in list(seen)), timeout=60)
            yield seen
        finally:
            end.set()
            for caller in callers:
                caller.result(120)


def test_what_is_too_much_is_refused_at_once_and_the_rest_is_answered(crowded):
    with pressure(crowded) as seen:
        until("ten answers", lambda: sum(status == 200 for status, *_ in list(seen)) >= 10, timeout=120)
    codes = Counter(status for status, *_ in seen)
    assert set(codes) == {200, 429}
    refused = [(raw, advice) for status, raw, advice in seen if status == 429]
    assert all(list(json.loads(raw)) == ["error"] and int(advice) >= 1 for raw, advice in refused)


def test_probes_and_metrics_answer_soon_at_ten_times_the_capacity(crowded):
    took = []
    with pressure(crowded):
        for _ in range(10):
            for port, path in (
                (crowded.status_port, "/v2/health/ready"),
                (crowded.status_port, "/v2/health/live"),
                (crowded.status_port, "/metrics"),
                (crowded.status_port, "/status"),
                (crowded.rest_port, "/v2/health/ready"),
                (crowded.rest_port, "/v2/models/slow/ready"),
            ):
                started = time.monotonic()
                assert fetch(f"http://127.0.0.1:{port}{path}")[0] == 200
                took.append(time.monotonic() - started)
    assert statistics.median(took) < 5  # a fraction of a second on a machine of one's own


def test_the_waiting_are_bounded_and_so_is_their_memory(crowded):
    process = psutil.Process(crowded.process.pid)
    with pressure(crowded) as seen:
        before, most = process.memory_info().rss, 0
        target = len(seen) + 500
        while len(seen) < target:
            most = max(most, process.memory_info().rss)
            assert gauge(crowded, "modelserver_queue_waiting") <= QUEUE
    assert most - before < 200 << 20


def test_gauges_return_to_zero_after_the_rush(crowded):
    with pressure(crowded):
        until("requests inside", lambda: gauge(crowded, "ovms_current_requests") > 0, timeout=60)
    for name in ("ovms_current_requests", "ovms_infer_req_active", "modelserver_queue_waiting"):
        until(f"{name} 0", lambda name=name: gauge(crowded, name) == 0, timeout=60)
    assert gauge(crowded, "modelserver_requests_shed") > 0


async def test_grpc_refuses_with_resource_exhausted_and_two_hundred_cancelled_calls_leave_nothing(crowded):
    async with grpc.aio.insecure_channel(crowded.grpc) as channel:
        rpc = channel.unary_unary(f"/{proto.SERVICE}/ModelInfer")
        calls = [rpc(rpc_body(), timeout=120) for _ in range(CALLERS)]
        codes = Counter([(await call.code()).name for call in calls])
        assert set(codes) == {"OK", "RESOURCE_EXHAUSTED"}
        assert codes["OK"] >= QUEUE
        for _ in range(20):
            calls = [rpc(rpc_body(), timeout=120) for _ in range(10)]
            await asyncio.sleep(0)
            for call in calls:
                call.cancel()
    for name in ("ovms_current_requests", "ovms_infer_req_active", "modelserver_queue_waiting"):
        await asyncio.to_thread(until, f"{name} 0", lambda name=name: gauge(crowded, name) == 0, 60)


async def test_a_deadline_ends_the_waiting_and_not_only_the_call(crowded):
    before = gauge(crowded, "ovms_inference_time_us_count")
    async with grpc.aio.insecure_channel(crowded.grpc) as channel:
        rpc = channel.unary_unary(f"/{proto.SERVICE}/ModelInfer")
        first = rpc(rpc_body(), timeout=120)
        await asyncio.to_thread(until, "work", lambda: gauge(crowded, "ovms_infer_req_active") == 1, 60)
        late = [rpc(rpc_body(), timeout=0.001) for _ in range(QUEUE)]
        assert {(await call.code()).name for call in late} == {"DEADLINE_EXCEEDED"}
        assert (await first.code()).name == "OK"
    await asyncio.to_thread(until, "an end", lambda: gauge(crowded, "ovms_current_requests") == 0, 60)
    assert gauge(crowded, "ovms_inference_time_us_count") - before <= 2
