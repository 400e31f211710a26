"""What is served goes on while nothing of what is wanted can be served; that stands with its error."""

import json
import shutil

from tests.support import models
from tests.support.hot import answer, model_status, states
from tests.support.waiting import until


def follow(server, config, revision, entry):
    config.write(revision, entry)
    until(revision, lambda: server.status()["revision"] == revision, timeout=20)


def entry(base, policy=None):
    named = {"name": "dummy", "base_path": str(base)}
    return named if policy is None else named | {"model_version_policy": policy}


def specific(*versions):
    return {"specific": {"versions": list(versions)}}


def test_a_policy_none_of_whose_versions_exists_keeps_what_is_served_until_one_does(configured, base):
    server, config = configured
    follow(server, config, "r2", entry(base, specific(7, 9)))
    assert answer(server) == (1.0, "1")
    missing = f"is not in {base}"
    told = states(server)
    assert told[1] == ("AVAILABLE", False, None)
    assert [told[number][:2] for number in (7, 9)] == [("START", True)] * 2
    assert [missing in told[number][2] for number in (7, 9)] == [True, True]
    assert missing in model_status(server)["error"]
    assert server.get("/v2/health/ready")[0] == 200
    assert [server.get(f"/v2/models/dummy/versions/{one}/ready")[0] for one in (1, 7)] == [200, 503]
    models.save(models.dummy(7), base / "7")
    until("version 7", lambda: answer(server) == (7.0, "7"), timeout=20)
    until("the end of version 1", lambda: states(server)[1][0] == "END", timeout=20)
    assert states(server)[9][:2] == ("START", True)


def test_a_version_that_is_no_longer_asked_for_and_was_never_there_is_forgotten(configured, base):
    server, config = configured
    follow(server, config, "r2", entry(base, specific(1, 7)))
    assert set(states(server)) == {1, 7}
    follow(server, config, "r3", entry(base, specific(1)))
    assert set(states(server)) == {1}
    assert model_status(server)["error"] is None


def test_a_reload_says_which_version_is_missing_and_serves_on(configured, base):
    server, config = configured
    config.write("r2", entry(base, specific(7)))
    status, raw, _ = server.post("/v1/config/reload", b"")
    assert (status, "version 7 of model_version_policy is not in" in json.loads(raw)["error"]) == (400, True)
    assert answer(server) == (1.0, "1")


def test_an_asked_for_version_that_cannot_be_loaded_does_not_end_the_one_that_serves(configured, base):
    server, config = configured
    (base / "2").mkdir()
    (base / "2" / "model.xml").write_text("<net")
    follow(server, config, "r2", entry(base, specific(2)))
    assert answer(server) == (1.0, "1")
    assert "model.xml" in states(server)[2][2]
    models.save(models.dummy(2), base / "2")
    until("version 2", lambda: answer(server) == (2.0, "2"), timeout=20)


def test_deleting_the_version_that_keeps_serving_ends_it(configured, base):
    server, config = configured
    follow(server, config, "r2", entry(base, specific(7)))
    assert "version 1 keeps serving until then" in model_status(server)["error"]
    shutil.rmtree(base / "1")
    until("the end", lambda: states(server)[1][0] == "END", timeout=20)
    assert states(server)[7][:2] == ("START", True)


def test_a_new_path_that_is_still_empty_keeps_what_is_served(configured, base, tmp_path):
    server, config = configured
    (tmp_path / "new").mkdir()
    follow(server, config, "r2", entry(tmp_path / "new"))
    assert answer(server) == (1.0, "1")
    assert "No version found for model in path" in model_status(server)["error"]
    models.save(models.dummy(4), tmp_path / "new" / "4")
    until("version 4", lambda: answer(server) == (4.0, "4"), timeout=20)


def test_a_directory_that_is_emptied_ends_its_model_as_it_always_did(configured, base):
    server, _ = configured
    shutil.rmtree(base / "1")
    until("the end", lambda: states(server)[1][0] == "END", timeout=20)
