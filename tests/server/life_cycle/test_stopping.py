"""What must not hold the end of a process up, and how a process that cannot start ends."""

import socket
import threading
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from modelserver import proto
from tests.support import models
from tests.support.closing import SUBSETS, without
from tests.support.server_process import ServerProcess, environment, free_port, run_to_end
from tests.support.waiting import until


def dummy(repository, *arguments):
    path = str(repository / "dummy")
    return ServerProcess("--model_name", "dummy", "--model_path", path, *arguments)


def test_streams_that_nobody_ends_do_not_hold_the_stop_up(repository):
    with dummy(repository) as server, grpc.insecure_channel(server.grpc) as channel:
        server.wait_ready()
        hold = threading.Event()

        def one(message):
            yield message
            hold.wait(60)

        listing = reflection_pb2.ServerReflectionRequest(list_services="")
        streams = [
            health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()),
            reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(one(listing)),
            channel.stream_stream(f"/{proto.SERVICE}/ModelStreamInfer")(one(b"")),
        ]
        for stream in streams:
            next(stream)
        server.terminate()
        assert server.wait(15) == 0
        for stream in streams:
            with pytest.raises(grpc.RpcError) as end:
                list(stream)
            assert end.value.code() == grpc.StatusCode.UNAVAILABLE
        hold.set()


def test_a_second_signal_ends_the_drain(repository):
    with dummy(repository, "--drain_seconds", "60") as server:
        server.wait_ready()
        server.terminate()
        until("the drain", lambda: server.get("/v2/health/ready")[0] == 503, timeout=20)
        server.terminate()
        assert server.wait(15) == 0


def test_a_request_that_never_comes_whole_is_refused_when_the_server_stops(repository):
    with dummy(repository, "--request_timeout_seconds", "1") as server:
        server.wait_ready()
        with socket.create_connection(("127.0.0.1", server.rest_port)) as caller:
            caller.settimeout(15)
            caller.sendall(b"POST /v2/models/dummy/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
            server.get("/v2")  # the half request has been read
            server.terminate()
            assert b" 503 " in caller.recv(4096)
        assert server.wait(15) == 0
        assert "Traceback" not in server.log()
        assert "were aborted" in server.log()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cache_dir", "/proc/none"], "cache_dir /proc/none cannot be used"),
        (["--rest_bind_address", "a" * 80], "invalid host name"),
    ],
)
def test_an_option_that_cannot_be_followed_ends_the_process_with_1(repository, arguments, message):
    path = str(repository / "dummy")
    ended = run_to_end("--model_name", "d", "--model_path", path, "--rest_port", str(free_port()), *arguments)
    assert ended.returncode == 1
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_signal_while_the_program_is_still_being_read_ends_it_with_0(repository, tmp_path):
    (tmp_path / "uvloop.py").write_text(
        "import pathlib, time\npathlib.Path(__file__).with_name('here').touch()\ntime.sleep(60)"
    )
    path = f"{tmp_path}:{environment()['PYTHONPATH']}"
    with ServerProcess(
        "--model_name", "dummy", "--model_path", str(repository / "dummy"), PYTHONPATH=path
    ) as server:
        until("the import", (tmp_path / "here").exists, timeout=15)
        server.terminate()
        assert server.wait(10) == 0


def test_a_directory_without_a_version_is_waited_for_and_said_once_in_the_log(tmp_path):
    (tmp_path / "notes").mkdir()
    with ServerProcess("--model_name", "m", "--model_path", str(tmp_path)) as server:
        until("the log line", lambda: "No version found for model in path" in server.log(), timeout=30)
        until("the error", lambda: any(model["error"] for model in server.status()["models"]), timeout=20)
        models.save(models.dummy(), tmp_path / "1")
        server.wait_ready()
        assert server.log().count("No version found") == 1


def test_a_version_that_nobody_put_there_is_waited_for(repository):
    policy = '{"specific": {"versions": [9]}}'
    with dummy(repository, "--model_version_policy", policy) as server:
        until("liveness", lambda: server.answers("/v2/health/live"), timeout=30)
        until("the error", lambda: any(model["error"] for model in server.status()["models"]), timeout=20)
        assert "version 9 of model_version_policy is not in" in server.status()["models"][0]["error"]
        assert server.get("/v2/health/ready")[0] == 503


def test_an_inference_longer_than_the_request_timeout_is_finished_all_the_same(tmp_path):
    models.save(models.slow(2048, 20), tmp_path / "1")
    arguments = ("--model_name", "slow", "--model_path", str(tmp_path), "--request_timeout_seconds", "0.1")
    with (
        ServerProcess(*arguments, "--metrics_enable") as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        server.wait_ready()
        request = proto.ModelInferRequest(model_name="slow")
        request.inputs.add(name="x", datatype="FP32", shape=[64, 2048])
        request.raw_input_contents.append(bytes(64 * 2048 * 4))
        answer = channel.unary_unary(f"/{proto.SERVICE}/ModelInfer").future(request.SerializeToString())
        until(
            "it",
            lambda: b'ovms_infer_req_active{name="slow",version="1"} 1' in server.get("/metrics")[1],
            timeout=20,
        )
        server.terminate()
        assert answer.result(30)
        assert server.wait(15) == 0


@pytest.mark.parametrize("closed", SUBSETS, ids="+".join)
def test_a_server_started_without_standard_streams_runs_and_stops_with_0(repository, closed):
    path = str(repository / "dummy")
    with ServerProcess("--model_name", "m", "--model_path", path, prefix=without(closed)) as server:
        server.wait_ready()
        descriptors = Path(f"/proc/{server.process.pid}/fd")
        held = {str((descriptors / str(number)).readlink()) for number in range(3)}
        assert not [name for name in held if name.startswith(("socket:", "anon_inode:", "pipe:"))]
        server.terminate()
        assert server.wait() == 0


@pytest.mark.parametrize("closed", SUBSETS, ids="+".join)
def test_a_dry_run_without_standard_streams_ends_with_0(repository, closed):
    ended = run_to_end(
        "--model_name", "m", "--model_path", str(repository / "dummy"), "--rest_port", "7", "--dry_run",
        prefix=without(closed),
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    assert bool(ended.stdout) == ("stdout" not in closed)


@pytest.mark.parametrize("closed", [("stderr",), ("stdin", "stdout", "stderr")], ids="+".join)
def test_a_wrong_command_line_without_standard_streams_ends_with_64(closed):
    assert run_to_end("--surprise", prefix=without(closed)).returncode == 64
