"""The rows of the seed's tuning page, each seen on a real server: the effect, not the flag."""

import os
import re
import shlex
from pathlib import Path

import pytest

from tests.support import models
from tests.support.server_process import ServerProcess, free_port, run_to_end
from tests.support.waiting import until

PAGE = Path(__file__).parents[2] / "data" / "seed_command_lines.txt"
LINES = dict(re.findall(r"(?ms)^([a-z-]+): docker run .*?(--model_path .*?)(?=\n\n|\Z)", PAGE.read_text()))
ONE_CPU = ("taskset", "--cpu-list", "0")
TWO_CPUS = ("taskset", "--cpu-list", "0,1")


def arguments_of(name: str, repository) -> list[str]:
    """The server's part of a line, with the path and the port of here."""
    words = shlex.split(LINES[name].replace("\\\n", " "))
    words[words.index("--model_path") + 1] = str(repository / "dummy")
    port = words.index("--port")
    return words[:port] + words[port + 2 :]


def told_by(*arguments, prefix=TWO_CPUS):
    with ServerProcess(*arguments, prefix=prefix) as server:
        server.wait_ready()
        document = server.status()
    return document, document["models"][0]


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("throughput", ("THROUGHPUT", 2, "CPU")),
        ("latency", ("LATENCY", 1, "CPU")),
        ("streams", (None, 1, "CPU")),
    ],
)
def test_a_line_of_the_page_takes_effect(repository, name, want):
    _, model = told_by(*arguments_of(name, repository))
    assert (model["hint"], model["streams"], model["device"]) == want


@pytest.mark.parametrize("name", ["throughput-gpu", "latency-gpu"])
@pytest.mark.skipif(Path("/dev/dri").exists(), reason="fail-closed is shown where there is no GPU")
def test_a_gpu_line_fails_closed_naming_the_devices_there_are(repository, name):
    ended = run_to_end(*arguments_of(name, repository), "--port", str(free_port()))
    assert ended.returncode == 1
    assert "Device GPU is not available" in ended.stderr
    assert "which has CPU" in ended.stderr


def test_the_line_with_eight_workers_needs_eight_cores(repository):
    arguments = arguments_of("workers", repository)
    if os.cpu_count() >= 8:
        document, model = told_by(*arguments, prefix=())
        assert document["workers"] <= 8
    else:
        ended = run_to_end(*arguments, "--port", str(free_port()))
        assert ended.returncode == 64
        assert ended.stderr == (f"grpc_workers count should be from 1 to CPU core count : {os.cpu_count()}\n")
        arguments[arguments.index("--grpc_workers") + 1] = "1"
        document, model = told_by(*arguments)
    assert (model["nireq"], model["hint"], document["pinning"]) == (32, None, True)
    assert 1 <= model["streams"] <= model["threads"]


@pytest.mark.parametrize(
    ("plugin_config", "want"),
    [
        ('{"CPU_THROUGHPUT_STREAMS": "CPU_THROUGHPUT_AUTO"}', (None, 2, False)),
        ('{"KEY_CPU_THROUGHPUT_STREAMS": "KEY_CPU_THROUGHPUT_NUMA"}', (None, 1, False)),
        ('{"CPU_BIND_THREAD": "YES"}', ("THROUGHPUT", 2, True)),
        ('{"CPU_BIND_THREAD": "NO", "CPU_THREADS_NUM": "2"}', ("THROUGHPUT", 2, False)),
        ('{"NUM_STREAMS": 2}', (None, 2, False)),
        ('{"PERFORMANCE_HINT": "CUMULATIVE_THROUGHPUT"}', None),
    ],
)
def test_old_and_new_keys_take_effect(repository, plugin_config, want):
    path = str(repository / "dummy")
    arguments = ("--model_name", "m", "--model_path", path, "--plugin_config", plugin_config)
    document, model = told_by(*arguments)
    if want is None:
        assert model["hint"] == "CUMULATIVE_THROUGHPUT"
    else:
        assert (model["hint"], model["streams"], document["pinning"]) == want


@pytest.mark.parametrize("device", ["AUTO", "AUTO:CPU", "HETERO:CPU", "MULTI:CPU"])
@pytest.mark.parametrize("tuning", [("--hint", "LATENCY"), ("--streams", "2")], ids=["hint", "streams"])
def test_devices_that_distribute_work_report_optimal_requests_as_streams(repository, device, tuning):
    path = str(repository / "dummy")
    _, model = told_by("--model_name", "m", "--model_path", path, "--target_device", device, *tuning)
    assert model["executionDevices"]
    assert model["streams"] >= 1
    assert model["streamsSource"] == "OPTIMAL_NUMBER_OF_INFER_REQUESTS"


def test_auto_chooses_another_of_its_devices_if_the_plugin_of_the_missing_one_loads(
    repository,
):
    """NPU's plugin loads everywhere; that of GPUs only where OpenCL's loader is."""
    path = str(repository / "dummy")
    _, model = told_by("--model_name", "m", "--model_path", path, "--target_device", "AUTO:NPU,CPU")
    assert [name.strip("()") for name in model["executionDevices"]] == ["CPU"]


def test_a_real_device_reports_its_streams(repository):
    _, model = told_by("--model_name", "m", "--model_path", str(repository / "dummy"))
    assert model["streamsSource"] == "NUM_STREAMS"


@pytest.mark.parametrize(("prefix", "want"), [(ONE_CPU, (1, 1, 1)), (TWO_CPUS, (2, 2, 2))])
def test_streams_threads_and_requests_follow_the_cpus(repository, prefix, want):
    path = str(repository / "dummy")
    document, model = told_by("--model_name", "m", "--model_path", path, prefix=prefix)
    assert (document["threads"], model["threads"], model["streams"]) == want


@pytest.mark.parametrize(
    "files",
    [
        {"cpu.max": "100000 100000\n"},
        {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"},
    ],
    ids=["cgroup v2", "cgroup v1"],
)
def test_a_quota_of_one_cpu_gives_one_thread_whatever_the_affinity(repository, tmp_path, files):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    mount = f'mount --bind {tmp_path} /sys/fs/cgroup && exec "$@"'
    prefix = ("unshare", "--mount", "sh", "-c", mount, "sh", *TWO_CPUS)
    document, model = told_by("--model_name", "m", "--model_path", str(repository / "dummy"), prefix=prefix)
    assert (document["affinity"], document["quota"], document["threads"]) == ([0, 1], 1.0, 1)
    assert (model["threads"], model["streams"]) == (1, 1)


def test_two_models_without_tuning_share_the_threads(repository, config_of, tmp_path):
    path = config_of(tmp_path / "config.json", ["dummy", "two"])
    document, _ = told_by("--config_path", str(path))
    assert [model["threads"] for model in document["models"]] == [1, 1]
    assert document["pinning"] is False


def test_without_polling_a_new_version_waits_and_with_it_it_is_served_soon(tmp_path):
    for seconds in ("0", "1"):
        base = tmp_path / seconds
        models.save(models.dummy(1), base / "1")
        arguments = ("--model_name", "m", "--model_path", str(base))
        with ServerProcess(*arguments, "--file_system_poll_wait_seconds", seconds) as server:
            server.wait_ready()
            models.save(models.dummy(2), base / "2")
            if seconds == "1":
                until("version 2", lambda: server.answers("/v2/models/m/versions/2/ready"), timeout=60)
            else:
                assert server.get("/v2/models/m/versions/2/ready")[0] == 404
