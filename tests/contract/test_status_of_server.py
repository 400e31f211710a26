"""GET /status of a live server is what the contract says, in every state a reader can meet."""

import json
from pathlib import Path

import jsonschema
import pytest

from tests.support import models
from tests.support.server_process import ServerProcess, wait_until

SCHEMA = json.loads((Path(__file__).parent / "status.schema.json").read_text())
CONFIG_SCHEMA = json.loads((Path(__file__).parent / "config.schema.json").read_text())


def check(document):
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    return document


@pytest.fixture
def config(tmp_path):
    """A config.json as the operator writes it: one good model, one broken, one without files."""
    models.save(models.dummy(), tmp_path / "good" / "1")
    (tmp_path / "broken" / "1").mkdir(parents=True)
    (tmp_path / "broken" / "1" / "model.xml").write_text("<net")
    (tmp_path / "empty").mkdir()
    document = {
        "revision": "r1",
        "server": {"file_system_poll_wait_seconds": 1},
        "model_config_list": [
            {"config": {"name": name, "base_path": str(tmp_path / name), "target_device": "CPU"}}
            for name in ("good", "broken", "empty")
        ],
    }
    jsonschema.Draft202012Validator(CONFIG_SCHEMA).validate(document)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(document))
    return path


def test_the_document_fits_the_schema_while_loading_when_failed_and_when_served(config):
    with ServerProcess("--config_path", str(config)) as server:
        wait_until(lambda: server.answers("/v2/health/live"), 30, "liveness")
        check(server.status())
        wait_until(lambda: check(server.status())["revision"] == "r1", 30, "the first pass")
        document = check(server.status())
        good, broken, empty = document["models"]
        assert (document["ready"], document["draining"]) == (False, False)
        assert (good["error"], good["revision"], good["executionDevices"]) == (None, "r1", ["CPU"])
        assert (good["hint"], good["threads"] >= 1, good["nireq"] >= 1) == ("THROUGHPUT", True, True)
        assert good["versions"] == [{"version": 1, "state": "AVAILABLE", "wanted": True, "error": None}]
        assert (broken["revision"], broken["streams"], broken["versions"][0]["state"]) == (
            None,
            None,
            "LOADING",
        )
        assert broken["error"]
        assert broken["error"] == broken["versions"][0]["error"]
        assert "No version found" in empty["error"]
        assert empty["versions"] == []


def test_affinity_threads_and_quota_are_the_kernels(config):
    prefix = ("taskset", "--cpu-list", "1")
    with ServerProcess("--config_path", str(config), "--exclusive_cpus", "1", prefix=prefix) as server:
        wait_until(lambda: server.answers("/v2/models/good/ready"), 30, "the good model")
        document = check(server.status())
        assert (document["affinity"], document["threads"]) == ([1], 1)
        assert document["cpusOnline"] >= 2
        assert "3 models share" in document["pinningReason"] or "2 models share" in document["pinningReason"]
