"""Ready for the first time: every wanted version of every model has answered."""

import json
import re
import time

import pytest

from tests.support import models
from tests.support.rest import infer, one_input
from tests.support.server_process import ServerProcess
from tests.support.waiting import until

TEN = one_input("b", [1, 10], "FP32", [0] * 10)
ALL = '{"all": {}}'


def write(path, entries):
    document = {"model_config_list": [{"config": entry} for entry in entries]}
    path.write_text(json.dumps(document))
    return str(path)


@pytest.mark.parametrize("count", [8, pytest.param(64, marks=pytest.mark.long)])
def test_of_models_with_3_versions_each_all_answer_when_it_becomes_ready(tmp_path, count):
    for number in (1, 2, 3):
        models.save(models.dummy(number), tmp_path / "m" / str(number))
    names = [f"m{number}" for number in range(count)]
    entries = [
        {"name": name, "base_path": str(tmp_path / "m"), "model_version_policy": {"all": {}}}
        for name in names
    ]
    with ServerProcess("--config_path", write(tmp_path / "config.json", entries)) as server:
        until("liveness", lambda: server.answers("/v2/health/live"), timeout=60)
        until("readiness", lambda: server.answers("/v2/health/ready"), timeout=240)
        for name in names:
            for number in (1, 2, 3):
                status, told = infer(server, f"{name}/versions/{number}", TEN)
                assert (status, told["outputs"][0]["data"][0]) == (200, number)
        steps = re.findall(r"serves \((\d+) of (\d+) wanted versions\)", server.log())
        assert steps == [(str(number), str(3 * count)) for number in range(1, 3 * count + 1)]


def test_a_slow_last_version_is_waited_for(tmp_path):
    for number in (1, 3):
        models.save(models.dummy(number), tmp_path / str(number))
    models.save(models.slow(2048, 40), tmp_path / "2")
    arguments = ("--model_name", "m", "--model_path", str(tmp_path), "--model_version_policy", ALL)
    with ServerProcess(*arguments) as server:
        until("liveness", lambda: server.answers("/v2/health/live"), timeout=60)
        seen = []

        def is_ready():
            seen.append([server.get(f"/v2/models/m/versions/{number}/ready")[0] for number in (1, 2, 3)])
            return server.answers("/v2/health/ready")

        until("readiness", is_ready, timeout=60)
        assert server.get("/v2/models/m/versions/2/ready")[0] == 200
        assert [200, 503, 503] in seen or [404] * 3 in seen


@pytest.mark.parametrize(
    "policy", [ALL, '{"specific": {"versions": [1, 2]}}', '{"specific": {"versions": [1, 7]}}']
)
def test_a_version_asked_for_by_number_that_cannot_be_served_keeps_it_from_ready(tmp_path, policy):
    models.save(models.dummy(1), tmp_path / "1")
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "model.xml").write_text("<net")
    arguments = ("--model_name", "m", "--model_path", str(tmp_path), "--model_version_policy", policy)
    with ServerProcess(*arguments) as server:
        until("version 1", lambda: server.answers("/v2/models/m/versions/1/ready"), timeout=60)
        until("the error", lambda: server.status()["models"][0]["error"], timeout=60)
        assert server.get("/v2/models/m/ready")[0] == 200
        assert server.get("/v2/health/ready")[0] == 503
        models.save(models.dummy(2), tmp_path / "2")
        models.save(models.dummy(7), tmp_path / "7")
        until("readiness", lambda: server.answers("/v2/health/ready"), timeout=60)


def test_of_the_latest_an_older_one_may_stand_in_so_that_a_restart_beside_a_broken_upload_serves(tmp_path):
    models.save(models.dummy(1), tmp_path / "1")
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "model.xml").write_text("<net")
    with ServerProcess("--model_name", "m", "--model_path", str(tmp_path)) as server:
        server.wait_ready()
        assert infer(server, "m", TEN)[1]["outputs"][0]["data"][0] == 1.0
        assert "model.xml" in server.status()["models"][0]["error"]


def test_without_models_there_is_nothing_to_wait_for(tmp_path):
    path = tmp_path / "config.json"
    with ServerProcess("--config_path", write(path, [])) as server:
        server.wait_ready()
        models.save(models.dummy(1), tmp_path / "m" / "1")
        write(path, [{"name": "m", "base_path": str(tmp_path / "m")}])
        until("the model", lambda: server.answers("/v2/models/m/ready"), timeout=20)
        assert server.answers("/v2/health/ready")


def test_status_says_how_long_the_start_took_and_later_models_do_not_change_that(tmp_path):
    models.save(models.dummy(1), tmp_path / "m" / "1")
    models.save(models.dummy(1), tmp_path / "other" / "1")
    path = tmp_path / "config.json"
    entries = [{"name": name, "base_path": str(tmp_path / name)} for name in ("m", "other", "late")]
    began = time.monotonic()
    with ServerProcess("--config_path", write(path, entries)) as server:
        until("the two", lambda: server.answers("/v2/models/other/ready"), timeout=60)
        assert server.status()["startup"] is None
        models.save(models.dummy(1), tmp_path / "late" / "1")
        server.wait_ready()
        found = server.status()["startup"]
        assert 0 < found["firstInferenceSeconds"] < found["loadedSeconds"] < time.monotonic() - began + 0.1

        models.save(models.dummy(2), tmp_path / "m" / "2")
        until("version 2", lambda: server.answers("/v2/models/m/versions/2/ready"), timeout=60)
        assert server.status()["startup"] == found
