"""POST /v1/config/reload: config.json and model directories are looked at when somebody asks."""

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import grpc
import pytest

from modelserver.proto import tfs
from tests.support import models
from tests.support.hot import Load
from tests.support.server_process import ServerProcess
from tests.support.waiting import until

NEVER = ("--file_system_poll_wait_seconds", "0")


def reload(server):
    """Status code, and for each model its versions and their states."""
    code, raw, _ = server.post("/v1/config/reload", b"")
    told = json.loads(raw)
    if code >= 400:
        assert told.keys() == {"error"}
        return code, told["error"]
    return code, versions(told)


def versions(document):
    return {
        name: {one["version"]: one["state"] for one in model["model_version_status"]}
        for name, model in document.items()
    }


@pytest.fixture
def served(tmp_path):
    """A server that looks at no model directory by itself, its config.json and its only model."""
    base = tmp_path / "dummy"
    models.save(models.dummy(1), base / "1")
    path = tmp_path / "config.json"

    def configure(**named):
        entries = [{"config": {"name": name, "base_path": str(where)}} for name, where in named.items()]
        path.write_text(json.dumps({"model_config_list": entries}))

    configure(dummy=base)
    with ServerProcess("--config_path", str(path), *NEVER) as server:
        server.wait_ready()
        yield SimpleNamespace(server=server, base=base, path=path, configure=configure)


def answers(server, model="dummy"):
    return server.get(f"/v2/models/{model}/ready")[0] == 200


def test_nothing_new_is_200_with_the_document_of_v1_config(served):
    code, told = reload(served.server)
    assert (code, told) == (200, {"dummy": {"1": "AVAILABLE"}})
    assert versions(json.loads(served.server.get("/v1/config")[1])) == told


def test_the_document_is_laid_out_as_ovms_does(served):
    assert served.server.get("/v1/config")[1].decode() == (
        '{\n"dummy" : \n{\n "model_version_status": [\n  {\n   "version": "1",\n   "state": "AVAILABLE",\n'
        '   "status": {\n    "error_code": "OK",\n    "error_message": "OK"\n   }\n  }\n ]\n}\n}'
    )


def test_without_polling_a_changed_file_waits_to_be_asked_for(served):
    served.configure(dummy=served.base, second=served.base)
    begun = time.monotonic()
    # Three times as long as a watched file would take.
    until("three seconds", lambda: time.monotonic() - begun > 3, timeout=30)
    assert served.server.get("/v2/models/second")[0] == 404
    assert reload(served.server)[0] == 201


def test_a_reload_that_comes_before_the_first_models_waits_for_them(repository):
    slow = ("--model_name", "slow", "--model_path", str(repository / "slow"))
    with ServerProcess(*slow, grpc=False) as server:
        until("liveness", lambda: server.answers("/v2/health/live"), timeout=60)
        assert reload(server) == (200, {"slow": {"1": "AVAILABLE"}})


def test_a_new_version_is_served_when_the_answer_comes_although_polling_is_off(served):
    models.save(models.dummy(2), served.base / "2")
    with Load(served.server) as load:
        code, told = reload(served.server)
    assert (code, told["dummy"]["2"]) == (201, "AVAILABLE")
    assert told["dummy"]["1"] in ("UNLOADING", "END")
    assert load.failures == []
    assert reload(served.server)[0] == 200


def test_a_model_that_joins_and_one_that_leaves_are_201(served):
    served.configure(dummy=served.base, second=served.base)
    assert reload(served.server) == (201, {"dummy": {"1": "AVAILABLE"}, "second": {"1": "AVAILABLE"}})
    served.configure(second=served.base)
    assert reload(served.server) == (201, {"second": {"1": "AVAILABLE"}})
    assert served.server.get("/v2/models/dummy")[0] == 404


@pytest.mark.parametrize(
    ("content", "want"),
    [
        pytest.param(None, "cannot be read", id="missing"),
        pytest.param("{", "not valid JSON", id="no-json"),
        pytest.param('{"model_config_list": 1}', "model_config_list is missing", id="no-list"),
        pytest.param(
            '{"model_config_list": [{"config": {"name": "a", "base_path": "/a"}},'
            ' {"config": {"name": "a", "base_path": "/b"}}]}',
            "used twice: a",
            id="name-twice",
        ),
        pytest.param(
            '{"model_config_list": [{"config": {"name": "a", "base_path": "/a\\u0000b"}}]}',
            r"'/a\x00b'",
            id="nul",
        ),
    ],
)
def test_a_file_that_cannot_be_followed_is_400_and_everything_serves_on(served, content, want):
    good = served.path.read_text()
    served.path.unlink() if content is None else served.path.write_text(content)
    code, error = reload(served.server)
    assert code == 400
    assert want in error
    assert answers(served.server)
    assert any(want in warning for warning in served.server.status()["warnings"])
    served.path.write_text(good)
    assert reload(served.server)[0] == 200


def test_a_broken_version_is_400_with_the_reason_while_the_old_and_new_models_serve(served):
    models.save(models.dummy(2), served.base / "2")
    (served.base / "2" / "model.xml").write_text("<net")
    served.configure(dummy=served.base, second=served.base)
    code, error = reload(served.server)
    assert code == 400
    assert error.startswith("Reloading models versions failed: model dummy version 2: ")
    assert answers(served.server)
    assert answers(served.server, "second")


def test_a_text_that_cannot_be_read_is_400_and_costs_one_model_its_change(served):
    entries = [
        {"config": {"name": "dummy", "base_path": str(served.base), "shape": "(1,x)"}},
        {"config": {"name": "second", "base_path": str(served.base)}},
    ]
    served.path.write_text(json.dumps({"model_config_list": entries}))
    code, error = reload(served.server)
    assert code == 400
    assert "model dummy version 1: shape: 'x' is not a dimension" in error
    assert answers(served.server)
    assert answers(served.server, "second")


def test_every_reload_tries_what_failed_once_more(served):
    directory = models.save(models.dummy(2), served.base / "2")
    good = (directory / "model.xml").read_text()
    (directory / "model.xml").write_text("<net")
    assert [reload(served.server)[0] for _ in range(3)] == [400, 400, 400]
    (directory / "model.xml").write_text(good)
    code, told = reload(served.server)
    assert (code, told["dummy"]["2"]) == (201, "AVAILABLE")


def test_a_missing_directory_is_400_and_an_empty_one_has_no_versions(served, tmp_path):
    served.configure(dummy=served.base, away=tmp_path / "nowhere")
    code, error = reload(served.server)
    assert code == 400
    assert "nowhere cannot be read" in error
    (tmp_path / "nowhere").mkdir()
    assert reload(served.server) == (200, {"dummy": {"1": "AVAILABLE"}, "away": {}})


def test_many_reloads_at_once_take_turns(served):
    models.save(models.dummy(2), served.base / "2")
    with ThreadPoolExecutor(12) as callers, Load(served.server) as load:
        codes = list(callers.map(lambda _: reload(served.server)[0], range(24)))
    assert sorted(codes) == [200] * 23 + [201]
    assert load.failures == []


def test_the_one_model_of_the_command_line_is_looked_at_too(tmp_path):
    base = tmp_path / "dummy"
    models.save(models.dummy(1), base / "1")
    with ServerProcess("--model_name", "m", "--model_path", str(base), *NEVER) as server:
        server.wait_ready()
        assert reload(server) == (200, {"m": {"1": "AVAILABLE"}})
        models.save(models.dummy(2), base / "2")
        code, told = reload(server)
        assert (code, told["m"]["2"]) == (201, "AVAILABLE")
        shutil.rmtree(base / "2")
        code, told = reload(server)
        assert (code, told["m"]["1"]) == (201, "AVAILABLE")
        assert told["m"]["2"] in ("UNLOADING", "END")


def test_tensorflow_servings_reload_does_the_same(served):
    with grpc.insecure_channel(served.server.grpc) as channel:
        rpc = channel.unary_unary(
            f"/{tfs.MODEL_SERVICE}/HandleReloadConfigRequest",
            lambda message: message.SerializeToString(),
            tfs.ReloadConfigResponse.FromString,
        )
        models.save(models.dummy(2), served.base / "2")
        rpc(tfs.ReloadConfigRequest(), timeout=60)
        assert served.server.get("/v2/models/dummy/versions/2/ready")[0] == 200
        served.path.write_text("{")
        with pytest.raises(grpc.RpcError) as refused:
            rpc(tfs.ReloadConfigRequest(), timeout=60)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "not valid JSON" in refused.value.details()


def test_only_post_reloads(served):
    code, raw, headers = served.server.get("/v1/config/reload")
    assert (code, headers["allow"]) == (405, "POST")
    assert "error" in json.loads(raw)
