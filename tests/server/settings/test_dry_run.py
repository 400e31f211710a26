"""--dry_run: the effective configuration as one JSON document, and nothing else happens."""

import json
import socket

import pytest

from tests.support.server_process import ServerProcess, run_to_end

SEED = '{"CPU_THROUGHPUT_STREAMS": "2", "CPU_BIND_THREAD": "NUMA"}'


def dry(*arguments, prefix=(), **variables):
    ended = run_to_end("--port", "9001", *arguments, "--dry-run", prefix=prefix, **variables)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    return json.loads(ended.stdout)


def test_it_tells_settings_machine_and_plan(repository):
    path = str(repository / "dummy")
    document = dry(
        "--model_name", "m", "--model_path", path, "--plugin_config", SEED, "--nireq", "32", "--layout", "NC",
        prefix=("taskset", "--cpu-list", "0"), MODELSERVER_REST_PORT="9002",
    )  # fmt: skip
    server, machine, (model,) = document["server"], document["machine"], document["models"]
    assert (server["port"], server["rest_port"], server["on_load_failure"]) == (9001, 9002, "exit")
    assert (machine["affinity"], machine["threads"], machine["devices"]) == ([0], 1, ["CPU"])
    assert (model["name"], model["base_path"], model["versions"], model["error"]) == ("m", path, [1], None)
    assert model["model_version_policy"] == {"latest": {"num_versions": 1}}
    assert model["shaping"] == {"layout": "NC"}
    plan = model["plan"]
    assert plan["properties"] == {
        "NUM_STREAMS": 2, "INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": True,
    }  # fmt: skip
    assert (plan["hint"], plan["streams"], plan["nireq"], plan["threads"]) == (None, 2, 32, 1)
    assert (plan["pinning"], plan["pinning_reason"]) == (True, "plugin_config says so")
    assert "2 streams on 1 CPUs" in plan["warnings"][0]


def test_it_reads_config_json_whose_limits_win(repository, config_of, tmp_path):
    path = config_of(tmp_path / "config.json", ["dummy", "two"], revision="r1")
    document = json.loads(path.read_text())
    document["server"] = {"queue_size": 7, "request_timeout_seconds": 2.5, "file_system_poll_wait_seconds": 9}
    path.write_text(json.dumps(document))
    told = dry("--config_path", str(path), "--queue_size", "3", "--max_request_bytes", "4096")
    server = told["server"]
    assert (server["queue_size"], server["request_timeout_seconds"]) == (7, 2.5)
    assert (server["max_request_bytes"], server["file_system_poll_wait_seconds"]) == (4096, 9.0)
    assert (told["revision"], server["on_load_failure"]) == ("r1", "wait")
    assert [model["name"] for model in told["models"]] == ["dummy", "two"]


def test_what_only_loading_could_use_is_told_per_model(repository):
    gpu = dry("--model_name", "m", "--model_path", str(repository / "dummy"), "--target_device", "GPU")
    assert "which has CPU" in gpu["models"][0]["error"]
    missing = dry("--model_name", "m", "--model_path", "/no/such/place")
    assert "cannot be read" in missing["models"][0]["error"]
    assert missing["models"][0]["plan"]["hint"] == "THROUGHPUT"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--model_name", "m"), 64, "Use config_path or model_path with model_name"),
        (
            ("--model_name", "m", "--model_path", "x", "--hint", "LATENCY", "--streams", "2"),
            64,
            "hint and streams must not be used together",
        ),
        (
            ("--model_name", "m", "--model_path", "x", "--layout", "NHWC:N-C"),
            64,
            "error parsing options - layout 'N-C' cannot be read",
        ),
        (("--config_path", "/no/config.json"), 1, "Config file /no/config.json cannot be read"),
    ],
)
def test_what_a_start_would_refuse_is_refused_in_the_same_words(arguments, code, message):
    ended = run_to_end("--port", "9001", *arguments, "--dry_run")
    assert (ended.returncode, ended.stdout) == (code, "")
    assert message in ended.stderr


def test_a_text_in_the_file_that_no_model_could_follow_is_refused_naming_the_model(config_of, tmp_path):
    path = config_of(tmp_path / "config.json", ["dummy", "two"], two={"precision": "fp32:fp31"})
    ended = run_to_end("--port", "9001", "--config_path", str(path), "--dry_run")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"Config file {path}: model two: unknown precision 'fp31'" in ended.stderr


def test_it_opens_no_port(repository):
    with socket.create_server(("0.0.0.0", 0)) as taken:
        ended = run_to_end(
            "--port", str(taken.getsockname()[1]), "--model_name", "m", "--dry_run",
            "--model_path", str(repository / "dummy"),
        )  # fmt: skip
    assert ended.returncode == 0


def test_the_plan_is_what_the_server_then_does(repository):
    arguments = ("--model_name", "m", "--model_path", str(repository / "dummy"), "--expected_clients", "4")
    plan = dry(*arguments)["models"][0]["plan"]
    with ServerProcess(*arguments) as server:
        server.wait_ready()
        (model,) = server.status()["models"]
    assert (model["streams"], model["nireq"], model["threads"]) == (
        plan["streams"], plan["nireq"], plan["threads"],
    )  # fmt: skip
