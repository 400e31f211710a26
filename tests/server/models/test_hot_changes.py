"""New versions, broken versions, changed configurations: swapped in under load without one failure."""

import json
import os
import shutil
import threading
import time

import psutil

from tests.support import models
from tests.support.hot import BODY, Configured, Load, answer, model_status, states
from tests.support.server_process import ServerProcess
from tests.support.waiting import until


def test_a_new_version_is_served_within_seconds_and_no_request_fails(polled, base):
    with Load(polled) as load:
        models.save(models.dummy(2), base / "2")
        until("version 2", lambda: answer(polled) == (2.0, "2"), timeout=20)
        until("version 1 retired", lambda: states(polled)[1] == ("END", False, None), timeout=20)
    assert load.failures == []
    assert load.count > 20
    status, raw, _ = polled.post("/v2/models/dummy/versions/1/infer", BODY)
    assert (status, json.loads(raw)["error"]) == (404, "Model with requested version is retired")


def test_a_broken_version_leaves_the_old_one_serving_and_is_retried_when_fixed(polled, base):
    (base / "2").mkdir()
    (base / "2" / "model.xml").write_text("<net")
    until("the failure", lambda: 2 in states(polled) and states(polled)[2][2], timeout=10)
    state, wanted, error = states(polled)[2]
    assert (state, wanted) == ("LOADING", True)
    assert "model.xml" in error
    assert states(polled)[1][:2] == ("AVAILABLE", False)
    assert answer(polled) == (1.0, "1")
    assert polled.get("/v2/health/ready")[0] == 200
    assert polled.get("/v2/models/dummy/versions/2/ready")[0] == 503
    models.save(models.dummy(2), base / "2")
    until("the fixed version", lambda: answer(polled) == (2.0, "2"), timeout=10)


def test_files_overwritten_in_place_are_noticed_and_swapped_without_a_failure(polled, base):
    with Load(polled) as load:
        models.save(models.dummy(5), base / "1")
        until("the new content", lambda: answer(polled) == (5.0, "1"), timeout=10)
    assert load.failures == []


def test_weights_overwritten_in_place_do_not_kill_the_process(tmp_path):
    models.save(models.slow(256, 2), tmp_path / "slow" / "1")
    path = str(tmp_path / "slow")
    with ServerProcess(
        "--model_name", "slow", "--model_path", path, "--file_system_poll_wait_seconds", "0"
    ) as server:
        server.wait_ready()
        weights = tmp_path / "slow" / "1" / "model.bin"
        os.truncate(weights, 0)
        body = {"inputs": [{"name": "x", "shape": [64, 256], "datatype": "FP32", "data": [0] * 64 * 256}]}
        assert server.post("/v2/models/slow/infer", body)[0] == 200


def test_a_deleted_version_is_retired_and_comes_back_when_it_is_put_back(polled, base, tmp_path):
    shutil.move(base / "1", tmp_path / "aside")
    until("the end of version 1", lambda: states(polled)[1][0] == "END", timeout=10)
    assert polled.post("/v2/models/dummy/infer", BODY)[0] == 503
    assert polled.get("/v2/health/ready")[0] == 503
    shutil.move(tmp_path / "aside", base / "1")
    until("version 1 again", lambda: polled.answers("/v2/health/ready"), timeout=10)
    assert answer(polled) == (1.0, "1")


def test_without_polling_nothing_new_is_looked_for_even_when_a_failure_is_tried_again(base):
    models.save(models.dummy(2), base / "2")
    (base / "2" / "model.xml").write_text("broken")
    arguments = ("--model_name", "dummy", "--model_path", str(base), "--file_system_poll_wait_seconds", "0")
    failures = 'modelserver_model_load_failures{name="dummy",version="2"}'
    with ServerProcess(*arguments, "--metrics_enable") as server:
        server.wait_ready()
        models.save(models.dummy(3), base / "3")
        until(
            "two further attempts", lambda: f"{failures} 3" in server.get("/metrics")[1].decode(), timeout=15
        )
        assert answer(server) == (1.0, "1")


def test_changed_tuning_is_loaded_next_to_the_old_and_swapped_under_load(configured, base):
    server, config = configured
    assert server.status()["revision"] == "r1"
    assert (model_status(server)["hint"], model_status(server)["streams"]) == ("LATENCY", 1)
    with Load(server) as load:
        config.write("r2", {"name": "dummy", "base_path": str(base), "streams": 2, "nireq": 3})
        until("revision r2", lambda: server.status()["revision"] == "r2", timeout=10)
        told = model_status(server)
    assert load.failures == []
    assert load.count > 20
    assert (told["hint"], told["streams"], told["nireq"], told["revision"]) == (None, 2, 3, "r2")


def test_an_invalid_file_keeps_everything_and_is_told(configured, base):
    server, config = configured
    for text, reason in (("{", "not valid JSON"), ('{"model_config_list": [{}]}', "model_config_list[0]")):
        config.write_text(text)
        until(
            reason,
            lambda reason=reason: any(reason in one for one in server.status()["warnings"]),
            timeout=10,
        )
        assert server.status()["revision"] == "r1"
        assert answer(server) == (1.0, "1")
    config.write("r3", {"name": "dummy", "base_path": str(base)})
    until("the repaired file", lambda: server.status()["revision"] == "r3", timeout=10)
    assert server.status()["warnings"] == []


def test_settings_that_cannot_be_loaded_keep_the_old_model_at_its_old_revision(configured, base):
    server, config = configured
    config.write("r2", {"name": "dummy", "base_path": str(base), "target_device": "GPU"})
    until("revision r2", lambda: server.status()["revision"] == "r2", timeout=10)
    told = model_status(server)
    assert told["revision"] == "r1"
    assert "GPU" in told["error"]
    assert told["executionDevices"] == ["CPU"]
    assert answer(server) == (1.0, "1")
    assert server.get("/v2/health/ready")[0] == 200


def test_models_come_and_go_with_the_configuration(configured, base, tmp_path):
    server, config = configured
    models.save(models.dummy(9), tmp_path / "second" / "1")
    second = {"name": "second", "base_path": str(tmp_path / "second")}
    with Load(server) as load:
        config.write("r2", {"name": "dummy", "base_path": str(base)}, second)
        until("the second model", lambda: server.answers("/v2/models/second/ready"), timeout=10)
        until("revision r2", lambda: server.status()["revision"] == "r2", timeout=10)
        assert [model["threads"] for model in server.status()["models"]] == [1, 1]
    assert load.failures == []
    config.write("r3", second)
    until("revision r3", lambda: server.status()["revision"] == "r3", timeout=10)
    assert model_status(server) is None
    assert server.get("/v2/models/dummy")[0] == 404
    assert answer(server, "/v2/models/second/infer") == (9.0, "1")


def test_a_changed_version_policy_takes_effect(configured, base):
    server, config = configured
    models.save(models.dummy(2), base / "2")
    until("version 2", lambda: answer(server) == (2.0, "2"), timeout=10)
    policy = {"model_version_policy": {"specific": {"versions": [1]}}}
    config.write("r2", {"name": "dummy", "base_path": str(base), **policy})
    until("version 1 by policy", lambda: answer(server) == (1.0, "1"), timeout=10)
    config.write("r3", {"name": "dummy", "base_path": str(base), "model_version_policy": {"all": {}}})
    until("both versions", lambda: states(server)[2][0] == "AVAILABLE", timeout=10)
    assert answer(server, "/v2/models/dummy/versions/1/infer") == (1.0, "1")
    assert answer(server) == (2.0, "2")


def test_polling_is_switched_off_by_the_file_while_the_file_itself_is_watched_on(configured, base):
    server, config = configured
    config.write("r2", {"name": "dummy", "base_path": str(base)}, poll=0)
    until("revision r2", lambda: server.status()["revision"] == "r2", timeout=10)
    models.save(models.dummy(2), base / "2")
    config.write("r3", {"name": "dummy", "base_path": str(base)}, poll=1)
    until("polling again", lambda: answer(server) == (2.0, "2"), timeout=10)


def test_replaced_models_give_their_threads_and_memory_back(tmp_path):
    models.save(models.slow(1024, 2), tmp_path / "slow" / "1")
    config = Configured(tmp_path)
    entry = {"name": "slow", "base_path": str(tmp_path / "slow")}
    config.write("0", entry)
    with ServerProcess("--config_path", str(config.path)) as server:
        server.wait_ready()
        process, seen = psutil.Process(server.process.pid), []
        for revision in range(1, 6):
            config.write(str(revision), {**entry, "nireq": 2 + revision % 2})
            until("the swap", lambda want=str(revision): server.status()["revision"] == want, timeout=10)
            until("the old threads' end", lambda: process.num_threads() <= min(seen or [99]), timeout=20)
            seen.append(process.num_threads())
        assert max(seen) == min(seen)


def test_contradictory_tuning_keeps_the_old_model_and_is_not_logged_every_second(configured, base):
    server, config = configured
    wrong = {"streams": 1, "plugin_config": {"PERFORMANCE_HINT": "LATENCY"}}
    config.write("r2", {"name": "dummy", "base_path": str(base), **wrong})
    until("revision r2", lambda: server.status()["revision"] == "r2", timeout=10)
    assert "PERFORMANCE_HINT and streams" in model_status(server)["error"]
    assert model_status(server)["revision"] == "r1"
    assert answer(server) == (1.0, "1")
    before = time.monotonic()
    until("four polls", lambda: time.monotonic() - before > 4, timeout=6)
    assert server.log().count("PERFORMANCE_HINT and streams") <= 3
    config.write("r3", {"name": "dummy", "base_path": str(base), "streams": 1})
    until("the repaired tuning", lambda: model_status(server)["error"] is None, timeout=10)


def test_a_version_that_is_asked_for_but_not_there_is_told(configured, base):
    server, config = configured
    policy = {"model_version_policy": {"specific": {"versions": [1, 9]}}}
    config.write("r2", {"name": "dummy", "base_path": str(base), **policy})
    until("revision r2", lambda: server.status()["revision"] == "r2", timeout=10)
    told = model_status(server)
    assert "version 9 of model_version_policy is not in" in told["error"]
    assert answer(server) == (1.0, "1")


def test_tuning_that_openvino_cannot_even_read_is_told_like_any_other(configured, base):
    server, config = configured
    wrong = {"target_device": "AUTO:CPU", "plugin_config": {"DEVICE_PROPERTIES": "x"}}
    config.write("r2", {"name": "dummy", "base_path": str(base), **wrong})
    until("revision r2", lambda: server.status()["revision"] == "r2", timeout=10)
    told = model_status(server)
    assert (told["revision"], bool(told["error"])) == ("r1", True)
    assert answer(server) == (1.0, "1")
    assert "Traceback" not in server.log()


SLOW_BODY = json.dumps(
    {"inputs": [{"name": "x", "shape": [64, 1024], "datatype": "FP32", "data": [0] * 64 * 1024}]}
).encode()


def codes(server, callers=6):
    """What so many callers at the same time are told."""
    seen = []
    threads = [
        threading.Thread(target=lambda: seen.append(server.post("/v2/models/slow/infer", SLOW_BODY)[0]))
        for _ in range(callers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return set(seen)


def test_limits_change_without_a_restart_and_fall_back_to_the_command_line(repository, tmp_path):
    config = Configured(tmp_path)
    entry = {"name": "slow", "base_path": str(repository / "slow"), "streams": 1, "nireq": 1}

    def apply(revision, **limits):
        config.write(revision, entry, **limits)
        until(f"revision {revision}", lambda: server.status()["revision"] == revision, timeout=60)

    config.write("r1", entry)
    with ServerProcess("--config_path", str(config.path), "--queue_size", "100") as server:
        server.wait_ready()
        pid = server.process.pid
        assert codes(server) == {200}
        apply("r2", queue_size=0)
        until("a full queue", lambda: 429 in codes(server), timeout=60)
        apply("r3", request_timeout_seconds=0.001)
        until("a request that waited too long", lambda: 504 in codes(server), timeout=60)
        apply("r4", max_request_bytes=1024)
        assert codes(server) == {413}
        apply("r5")
        assert codes(server) == {200}
        assert server.process.pid == pid
