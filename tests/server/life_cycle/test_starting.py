"""What happens when not everything can be served from the start, and libraries given to OpenVINO."""

import json
import shutil

import pytest

from tests.support.server_process import ServerProcess, free_port, run_to_end
from tests.support.waiting import until


@pytest.fixture
def broken(tmp_path):
    directory = tmp_path / "broken" / "1"
    directory.mkdir(parents=True)
    (directory / "model.xml").write_text("<net")
    return directory


def repair(directory, repository):
    for file in (repository / "dummy" / "1").iterdir():
        shutil.copy(file, directory)


def test_with_exit_any_model_of_the_file_that_cannot_be_loaded_ends_the_process(repository, broken, tmp_path):
    path = tmp_path / "config.json"
    models = {"good": repository / "dummy", "bad": broken.parent}
    entries = [{"config": {"name": name, "base_path": str(base)}} for name, base in models.items()]
    path.write_text(json.dumps({"model_config_list": entries}))
    ended = run_to_end(
        "--config_path", str(path), "--rest_port", str(free_port()), "--on_load_failure", "exit"
    )
    assert ended.returncode == 1
    assert "model bad: model.xml" in ended.stderr.splitlines()[-1]


def test_with_wait_the_one_model_is_told_and_served_once_it_is_repaired(repository, broken):
    with ServerProcess(
        "--model_name", "m", "--model_path", str(broken.parent), "--on_load_failure", "wait"
    ) as server:
        until("liveness", lambda: server.answers("/v2/health/live"), timeout=60)
        until("the error", lambda: any(model["error"] for model in server.status()["models"]), timeout=60)
        assert "model.xml" in server.status()["models"][0]["error"]
        assert server.get("/v2/health/ready")[0] == 503
        assert server.get("/v2/models/m/ready")[0] == 503
        repair(broken, repository)
        server.wait_ready()


def test_a_contradiction_in_the_file_ends_the_start_naming_model_and_settings(
    repository, config_of, tmp_path
):
    tuning = {"hint": "LATENCY", "plugin_config": {"CPU_THROUGHPUT_STREAMS": "1"}}
    path = config_of(tmp_path / "config.json", ["dummy"], dummy=tuning)
    ended = run_to_end("--config_path", str(path), "--rest_port", str(free_port()))
    assert ended.returncode == 1
    assert "model dummy: hint and CPU_THROUGHPUT_STREAMS must not be used together" in ended.stderr


def test_a_library_that_is_no_extension_ends_the_process_with_1_naming_it(repository, tmp_path):
    library = tmp_path / "libcustom.so"
    library.write_text("no library")
    path = str(repository / "dummy")
    ended = run_to_end(
        "--model_name", "m", "--model_path", path, "--rest_port", str(free_port()),
        "--cpu_extension", str(library),
    )  # fmt: skip
    assert ended.returncode == 1
    assert f"cpu_extension {library} cannot be loaded" in ended.stderr
    assert "Traceback" not in ended.stderr
