"""Start, readiness, drain and stop of real processes."""

import http.client
import json
import os
import shutil
import signal
import socket
import threading

import grpc
import numpy as np
import pytest

from modelserver import proto
from tests.support.server_process import ServerProcess, fetch, free_port, run_to_end
from tests.support.waiting import until

SLOW = np.zeros((64, 1024), np.float32)


def dummy(repository, *arguments, **options):
    path = str(repository / "dummy")
    return ServerProcess("--model_name", "dummy", "--model_path", path, *arguments, **options)


def slow_request():
    request = proto.ModelInferRequest(model_name="slow")
    request.inputs.add(name="x", datatype="FP32", shape=SLOW.shape)
    request.raw_input_contents.append(SLOW.tobytes())
    return request.SerializeToString()


def test_what_is_in_flight_at_sigterm_is_answered_and_the_exit_code_is_0(repository):
    path = str(repository / "slow")
    with ServerProcess("--model_name", "slow", "--model_path", path, "--metrics_enable") as server:
        server.wait_ready()
        with grpc.insecure_channel(server.grpc) as channel:
            rpc = channel.unary_unary(f"/{proto.SERVICE}/ModelInfer")
            futures = []

            def are_all_inside():
                if all(future.done() for future in futures):  # answered before anybody looked: once more
                    futures[:] = [rpc.future(slow_request(), timeout=60) for _ in range(12)]
                return metrics_line(server, b"ovms_current_requests").endswith(b" 12")

            until("all inside", are_all_inside, timeout=60)
            server.terminate()
            answers = [proto.ModelInferResponse.FromString(future.result()) for future in futures]
        assert [list(answer.outputs[0].shape) for answer in answers] == [[64, 1024]] * 12
        assert server.wait() == 0
        assert "everything in flight was answered" in server.log()


def metrics_line(server, name):
    return next((line for line in server.get("/metrics")[1].splitlines() if line.startswith(name)), b"")


def test_rest_requests_in_flight_at_sigterm_are_answered_too(repository):
    path = str(repository / "slow")
    with ServerProcess("--model_name", "slow", "--model_path", path, "--metrics_enable") as server:
        server.wait_ready()
        body = {"inputs": [{"name": "x", "shape": [64, 1024], "datatype": "FP32", "data": [0] * SLOW.size}]}
        raw, seen = json.dumps(body).encode(), []

        def ask():
            seen.append(server.post("/v2/models/slow/infer", raw)[0])

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        until("work", lambda: not metrics_line(server, b"ovms_current_requests").endswith(b" 0"), timeout=10)
        server.terminate()
        for thread in threads:
            thread.join(60)
        assert server.wait() == 0
    assert set(seen) == {200}


def test_a_configuration_that_is_invalid_at_start_ends_the_process_with_1(tmp_path):
    path = tmp_path / "config.json"
    for text, message in (
        (None, "cannot be read"),
        ("{", "not valid JSON"),
        ("{}", "model_config_list is missing"),
    ):
        if text is not None:
            path.write_text(text)
        ended = run_to_end("--config_path", str(path), "--rest_port", str(free_port()))
        assert (ended.returncode, message in ended.stderr, "Traceback" in ended.stderr) == (1, True, False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_server_stops_at_once_with_exit_code_0(repository, number):
    with dummy(repository) as server:
        server.wait_ready()
        server.process.send_signal(number)
        assert server.wait(15) == 0


def test_sigterm_while_a_model_is_loading_ends_at_once_with_exit_code_0(repository, tmp_path):
    version = tmp_path / "stuck" / "1"
    version.mkdir(parents=True)
    shutil.copy(repository / "slow" / "1" / "model.xml", version)
    os.mkfifo(version / "model.bin")  # reading the weights blocks for ever
    with ServerProcess("--model_name", "m", "--model_path", str(tmp_path / "stuck")) as server:
        until("liveness", lambda: server.answers("/v2/health/live"), timeout=30)
        until("the load", lambda: any(model["versions"] for model in server.status()["models"]), timeout=10)
        assert server.status()["models"][0]["versions"][0]["state"] == "LOADING"
        server.terminate()
        assert server.wait(15) == 0


def connection_of(server, path, body):
    """Status and Connection header of an answer to a caller that would keep its connection."""
    caller = http.client.HTTPConnection(server.rest, timeout=30)
    try:
        caller.request("POST", path, body)
        answer = caller.getresponse()
        return answer.status, answer.headers["connection"]
    finally:
        caller.close()


def test_while_draining_it_is_not_ready_but_answers(repository):
    with dummy(repository, "--drain_seconds", "4", "--status_port", str(port := free_port())) as server:
        server.wait_ready()
        server.terminate()
        ready = f"http://127.0.0.1:{port}/v2/health/ready"
        until("not ready at once", lambda: fetch(ready)[0] == 503, timeout=3)
        document = json.loads(fetch(f"http://127.0.0.1:{port}/status")[1])
        assert (document["draining"], document["ready"]) == (True, False)
        body = {"inputs": [{"name": "b", "shape": [1, 10], "datatype": "FP32", "data": [0] * 10}]}
        for path, want in (
            ("/v2/models/dummy/infer", 200),
            ("/v2/models/nobody/infer", 404),
            ("/v2/repository/index", 200),
            ("/v2", 405),
            ("/nothing", 404),
        ):
            assert connection_of(server, path, json.dumps(body)) == (want, "close")
        assert fetch(f"http://127.0.0.1:{port}/v2/health/live")[0] == 200
        assert server.wait(10) == 0


def test_it_is_live_but_not_ready_while_a_model_of_the_configuration_is_missing(
    repository, config_of, tmp_path
):
    path = config_of(tmp_path / "config.json", ["dummy", "late"])
    with ServerProcess("--config_path", str(path)) as server:
        until("the model that is there", lambda: server.answers("/v2/models/dummy/ready"), timeout=20)
        assert server.get("/v2/health/live")[0] == 200
        assert server.get("/v2/health/ready")[0] == 503
        assert server.get("/v2/models/late/ready")[0] == 503
        late = next(model for model in server.status()["models"] if model["name"] == "late")
        assert "cannot be read" in late["error"]


def test_a_separate_status_port_has_probes_metrics_and_status_and_the_rest_port_no_status(repository):
    with dummy(repository, "--status_port", str(port := free_port())) as server:
        server.wait_ready()
        for path in ("/v2/health/live", "/v2/health/ready", "/metrics", "/status"):
            assert fetch(f"http://127.0.0.1:{port}{path}")[0] == 200
        assert fetch(f"http://127.0.0.1:{port}/v2/models/dummy")[0] == 404
        assert [server.get(path)[0] for path in ("/metrics", "/status")] == [404, 404]


def test_grpc_alone_needs_no_http_port(repository):
    with dummy(repository, rest=False) as server:
        with grpc.insecure_channel(server.grpc) as channel:
            ready = channel.unary_unary(f"/{proto.SERVICE}/ServerReady")
            until(
                "ready",
                lambda: proto.ServerReadyResponse.FromString(ready(b"", wait_for_ready=True)).ready,
                timeout=20,
            )
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", server.rest_port), 2)
        server.terminate()
        assert server.wait(10) == 0


def test_rest_alone_needs_no_grpc_port(repository):
    with dummy(repository, grpc=False) as server:
        server.wait_ready()


def test_a_taken_port_ends_the_process_with_1_naming_it(repository):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        for flag in ("--port", "--rest_port"):
            ended = run_to_end("--model_name", "d", "--model_path", str(repository / "dummy"), flag, port)
            assert (ended.returncode, port in ended.stderr, "Traceback" in ended.stderr) == (1, True, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model_path", "{missing}"], "cannot be read"),
        (["--model_path", "{broken}"], "model.xml"),
        (["--model_path", "{dummy}", "--target_device", "GPU"], "Device GPU is not available"),
        (["--model_path", "{dummy}", "--target_device", "AUTO:GPU,CPU"], "has CPU"),
        (["--model_path", "{dummy}", "--target_device", "AUTO:NPU"], "NPU not found"),
        (["--model_path", "{dummy}", "--target_device", "MULTI:NPU,CPU"], "NPU not found"),
        (
            ["--model_path", "{dummy}", "--plugin_config", '{"NOT_A_PROPERTY": "1"}'],
            "Plugin config contains unsupported keys: NotFound: Unsupported property NOT_A_PROPERTY",
        ),
        (
            ["--model_path", "{dummy}", "--target_device", "AUTO:CPU", "--plugin_config", '{"NO_SUCH": "1"}'],
            "Plugin config contains unsupported keys: NO_SUCH for AUTO:CPU",
        ),
        (
            [
                "--model_path",
                "{dummy}",
                "--target_device",
                "HETERO:CPU",
                "--plugin_config",
                '{"DEVICE_PROPERTIES": {"CPU": {"NO_SUCH": "1"}}}',
            ],
            "Plugin config contains unsupported keys: NO_SUCH for HETERO:CPU",
        ),
        (["--model_path", "{dummy}", "--mean", '{"z": "1"}'], "mean: the model has no z; it has b"),
        (["--model_path", "{dummy}", "--layout", "NHWC:NCHW"], "model.xml"),
    ],
)
def test_a_single_model_that_cannot_be_loaded_ends_the_process_with_1(
    repository, tmp_path, arguments, message
):
    broken = tmp_path / "broken" / "1"
    broken.mkdir(parents=True)
    (broken / "model.xml").write_text("<net")
    places = {"missing": tmp_path / "none", "broken": tmp_path / "broken", "dummy": repository / "dummy"}
    given = [str(places.get(argument.strip("{}"), argument)) for argument in arguments]
    ended = run_to_end("--model_name", "d", "--rest_port", str(free_port()), *given)
    assert (ended.returncode, message in ended.stderr, "Traceback" in ended.stderr) == (1, True, False), (
        ended.stderr
    )


def test_any_user_with_a_read_only_working_directory_and_no_home_can_run_it(repository):
    prefix = ("setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups")
    world_readable(repository)
    with dummy(repository, prefix=prefix, HOME="/nonexistent") as server:
        server.wait_ready()
        assert "Traceback" not in server.log()


def world_readable(directory):
    for path in (directory, *directory.parents):
        if path.stat().st_uid == 0 and len(path.parts) > 2:
            path.chmod(path.stat().st_mode | 0o055)


def test_a_full_queue_refuses_with_429_and_the_gauges_return_to_zero(repository):
    path = str(repository / "slow")
    arguments = ("--nireq", "1", "--streams", "1", "--queue_size", "1", "--metrics_enable")
    with ServerProcess("--model_name", "slow", "--model_path", path, *arguments) as server:
        server.wait_ready()
        body = {"inputs": [{"name": "x", "shape": [64, 1024], "datatype": "FP32", "data": [0] * SLOW.size}]}
        raw, seen = json.dumps(body).encode(), []
        threads = [
            threading.Thread(target=lambda: seen.append(server.post("/v2/models/slow/infer", raw)))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        codes = [status for status, _, _ in seen]
        assert set(codes) <= {200, 429}
        assert len(codes) == 8
        refused = [headers["Retry-After"] for status, _, headers in seen if status == 429]
        assert all(refused)
        assert metrics_line(server, b"ovms_current_requests").endswith(b" 0")
        assert metrics_line(server, b"ovms_infer_req_active").endswith(b" 0")


def test_a_rest_caller_that_hangs_up_leaves_the_queue(repository):
    path = str(repository / "slow")
    arguments = ("--nireq", "1", "--streams", "1", "--metrics_enable")
    body = json.dumps(
        {"inputs": [{"name": "x", "shape": [64, 1024], "datatype": "FP32", "data": [0] * SLOW.size}]}
    ).encode()
    head = f"POST /v2/models/slow/infer HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
    with ServerProcess("--model_name", "slow", "--model_path", path, *arguments) as server:
        server.wait_ready()
        callers = [socket.create_connection(("127.0.0.1", server.rest_port)) for _ in range(40)]
        for caller in callers:
            caller.sendall(head.encode() + body)
        until(
            "a queue",
            lambda: not metrics_line(server, b"modelserver_queue_waiting").endswith(b" 0"),
            timeout=10,
        )
        for caller in callers:
            caller.close()
        until(
            "an empty server",
            lambda: metrics_line(server, b"ovms_current_requests").endswith(b" 0"),
            timeout=20,
        )
        done = metrics_line(server, b"ovms_inference_time_us_count").split()[-1]
        assert int(done) < len(callers)
        assert server.post("/v2/models/slow/infer", body)[0] == 200


def test_a_cancelled_or_late_call_leaves_the_queue(repository):
    path = str(repository / "slow")
    arguments = ("--nireq", "1", "--streams", "1", "--metrics_enable")
    with ServerProcess("--model_name", "slow", "--model_path", path, *arguments) as server:
        server.wait_ready()
        with grpc.insecure_channel(server.grpc) as channel:
            rpc = channel.unary_unary(f"/{proto.SERVICE}/ModelInfer")
            futures = [rpc.future(slow_request(), timeout=0.3) for _ in range(40)]
            codes = {future.code() for future in futures}
            assert grpc.StatusCode.DEADLINE_EXCEEDED in codes
            until(
                "an empty server",
                lambda: metrics_line(server, b"ovms_current_requests").endswith(b" 0"),
                timeout=30,
            )
            until(
                "idle requests",
                lambda: metrics_line(server, b"ovms_infer_req_active").endswith(b" 0"),
                timeout=30,
            )
            assert metrics_line(server, b"modelserver_queue_waiting").endswith(b" 0")
            assert rpc(slow_request(), timeout=30)
