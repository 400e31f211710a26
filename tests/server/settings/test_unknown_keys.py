"""Keys of a later config.json: refused, or with `"unknownKeys": "warn"` ignored, logged and listed."""

import json
from pathlib import Path

import pytest

from modelserver.errors import ConfigError
from modelserver.settings.config_file import parse_configuration
from tests.support.server_process import ServerProcess
from tests.support.waiting import until

MODEL = {"name": "m", "base_path": "models/m"}
KNOWN = {
    "revision": "r1",
    "server": {"queue_size": 7},
    "monitoring": {"metrics": {"enable": True}},
    "model_config_list": [{"config": MODEL}, {"config": {**MODEL, "name": "n"}}],
}
LATER = {
    **KNOWN,
    "canary": {"percent": 5},
    "server": {"queue_size": 7, "retry_budget": 1},
    "monitoring": {"metrics": {"enable": True, "traces": []}, "logs": {}},
    "model_config_list": [
        {"config": {**MODEL, "foo": 1}},
        {"config": {**MODEL, "name": "n"}, "quota": 3},
    ],
}
PATHS = {
    "canary",
    "server.retry_budget",
    "monitoring.logs",
    "monitoring.metrics.traces",
    "model_config_list[0].config.foo",
    "model_config_list[1].quota",
}


def parse(document: dict):
    return parse_configuration(document, Path("/etc/ms"))


def test_unknown_keys_are_ignored_and_named_with_their_paths():
    read = parse({**LATER, "unknownKeys": "warn"})

    assert set(read.ignored) == PATHS
    plain = parse(KNOWN)
    assert (read.models, read.limits, read.monitoring, read.revision) == (
        plain.models,
        plain.limits,
        plain.monitoring,
        plain.revision,
    )


def test_a_file_that_every_key_of_is_known_ignores_none():
    assert parse({**KNOWN, "unknownKeys": "warn"}) == parse(KNOWN)


@pytest.mark.parametrize("place", sorted(PATHS))
def test_a_file_that_does_not_ask_for_it_is_checked_as_strictly_as_ever(place: str):
    document = json.loads(json.dumps(KNOWN))
    key = place.rpartition(".")[2]
    target = {
        "canary": document,
        "retry_budget": document["server"],
        "logs": document["monitoring"],
        "traces": document["monitoring"]["metrics"],
        "foo": document["model_config_list"][0]["config"],
        "quota": document["model_config_list"][1],
    }[key]
    target[key] = 1

    with pytest.raises(ConfigError):
        parse(document)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pipeline_config_list": [{}]}, "DAG pipelines are not supported"),
        ({"model_config_list": [{"config": {**MODEL, "stateful": True}}]}, "stateful models are not"),
        ({"server": {"queue_size": True}}, "queue_size is a whole number"),
        ({"server": []}, "server: an object is expected"),
        ({"monitoring": []}, "monitoring: .* is expected"),
        ({"model_config_list": [{"configs": MODEL}]}, r"model_config_list\[0\]: an object with the only key"),
        ({"model_config_list": [7]}, r"model_config_list\[0\]: an object with the only key"),
    ],
)
def test_what_is_known_and_wrong_stays_refused(change: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        parse({**KNOWN, **change, "unknownKeys": "warn"})


@pytest.mark.parametrize("wish", ["ignore", True, 1, [], {}])
def test_another_wish_than_warn_is_refused_naming_the_one_there_is(wish):
    with pytest.raises(ConfigError, match=r'unknownKeys: only "warn" is known'):
        parse({**KNOWN, "unknownKeys": wish})


def test_ignored_keys_are_in_the_status_and_logged_once(base: Path, tmp_path: Path):
    model = {"config": {"name": "dummy", "base_path": str(base), "foo": 1}}
    path = tmp_path / "config.json"

    def write(revision: str, **top) -> None:
        document = {"revision": revision, "unknownKeys": "warn", "model_config_list": [model], **top}
        path.write_text(json.dumps(document))

    write("r1")
    with ServerProcess("--config_path", str(path)) as server:
        server.wait_ready()
        assert server.status()["ignored"] == ["model_config_list[0].config.foo"]

        write("r2", server={"queue_size": 5})
        until("r2", lambda: server.status()["revision"] == "r2", timeout=10)
        assert server.status()["ignored"] == ["model_config_list[0].config.foo"]
        assert server.log().count("model_config_list[0].config.foo") == 1

        write("r3", canary=1)
        both = ["canary", "model_config_list[0].config.foo"]
        until("both", lambda: server.status()["ignored"] == both, timeout=10)

        del model["config"]["foo"]
        write("r4")
        until("none", lambda: server.status()["ignored"] == [], timeout=10)
        assert server.log().count("keys that this server ignores") == 2
