"""config.json: what is read, and how a fault is told."""

import json
from pathlib import Path

import pytest

from modelserver.errors import ConfigError
from modelserver.settings.config_file import parse_configuration, read_configuration

MODEL = {"name": "m", "base_path": "models/m", "target_device": "CPU"}


def parse(*entries, **top):
    return parse_configuration(
        {"model_config_list": [{"config": one} for one in entries], **top}, Path("/etc/ms")
    )


def test_relative_paths_are_relative_to_the_file():
    assert parse(MODEL).models[0].base_path == "/etc/ms/models/m"
    assert parse({**MODEL, "base_path": "file:///srv/m"}).models[0].base_path == "/srv/m"


def test_every_key_of_the_contract_is_read():
    schema = json.loads((Path(__file__).parents[2] / "contract" / "config.schema.json").read_text())
    known = schema["properties"]["model_config_list"]["items"]["properties"]["config"]["properties"]
    values = {
        "hint": "LATENCY", "expected_clients": 4, "nireq": 4, "plugin_config": {"NUM_STREAMS": 2},
        "batch_size": 2, "shape": {"x": "(1,2)"}, "layout": "NHWC:NCHW", "precision": "fp32:u8",
        "color_format": "BGR:RGB", "mean": "1", "scale": "2", "streams": 2,
        "model_version_policy": {"all": {}}, **MODEL,
    }  # fmt: skip
    assert values.keys() == known.keys()
    model = parse(values, revision="r7", server={"file_system_poll_wait_seconds": 5})
    assert (model.revision, model.poll_seconds) == ("r7", 5.0)
    read = model.models[0]
    assert (read.wish.hint, read.wish.streams, read.wish.expected_clients, read.wish.nireq) == (
        "LATENCY",
        2,
        4,
        4,
    )
    assert (read.shaping.batch_size, read.shaping.shape) == ("2", {"x": "(1,2)"})


def test_limits_in_the_file_are_read_where_they_are_given():
    server = {"queue_size": 0, "request_timeout_seconds": 0, "max_request_bytes": 4096}
    assert parse(server=server).limits == {
        "queue_size": 0, "request_timeout_seconds": None, "max_request_bytes": 4096,
    }  # fmt: skip
    assert parse().limits == {}


def test_objects_written_as_json_text_are_read_as_ovms_does():
    read = parse({**MODEL, "plugin_config": '{"NUM_STREAMS": "2"}', "shape": '{"x": "auto"}'}).models[0]
    assert read.wish.plugin_config == {"NUM_STREAMS": "2"}
    assert read.shaping.shape == {"x": "auto"}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({}, "model_config_list is missing"),
        ({"model_config_list": [{}]}, r"model_config_list\[0\]"),
        ({"model_config_list": [{"config": {"name": "m"}}]}, r"\[0\] \(m\): base_path is missing"),
        ({"model_config_list": [{"config": {**MODEL, "colour": 1}}]}, "unknown key colour"),
        (
            {"model_config_list": [{"config": {**MODEL, "stateful": True}}]},
            "stateful models are not supported",
        ),
        ({"model_config_list": [{"config": MODEL}, {"config": MODEL}]}, "used twice: m"),
        ({"model_config_list": [], "pipeline_config_list": [{}]}, "DAG pipelines are not supported"),
        ({"model_config_list": [], "surprise": 1}, "unknown key surprise"),
        ({"model_config_list": [{"config": {**MODEL, "nireq": -1}}]}, "nireq must be a whole number"),
        ({"model_config_list": [{"config": {**MODEL, "base_path": "../m"}}]}, r"must not contain \.\."),
        (
            {"model_config_list": [{"config": MODEL, "colour": 1}]},
            r"\[0\]: an object with the only key config",
        ),
        ({"model_config_list": [], "server": {"poll": 1}}, "server: unknown key poll; known are file_system"),
        ({"model_config_list": [], "server": []}, "server: an object is expected"),
        (
            {"model_config_list": [], "server": {"queue_size": True}},
            "queue_size is a whole number of at least 0",
        ),
        (
            {"model_config_list": [], "server": {"max_request_bytes": 0}},
            "max_request_bytes is a whole number",
        ),
        (
            {"model_config_list": [], "server": {"request_timeout_seconds": "1"}},
            "request_timeout_seconds is a number of at least 0",
        ),
        (
            {"model_config_list": [{"config": {**MODEL, "name": "m\n"}}]},
            r"\[0\] \('m\\n'\): name: 'm\\n' contains a control character; remove it",
        ),
        ({"model_config_list": [{"config": {**MODEL, "name": "m\u2029"}}]}, "contains a control character"),
        ({"model_config_list": [{"config": {**MODEL, "name": "a,\tb"}}]}, "contains a control character"),
        ({"model_config_list": [{"config": {**MODEL, "name": "\ud800"}}]}, "'.ud800' is not UTF-8"),
        ({"model_config_list": [{"config": {**MODEL, "name": ""}}]}, "name is missing"),
        ({"model_config_list": [{"config": {**MODEL, "name": None}}]}, "name is missing"),
        (
            {"model_config_list": [{"config": {**MODEL, "name": 7}}]},
            r"\[0\] \(7\): name must be a text, not 7",
        ),
        ({"model_config_list": [{"config": {**MODEL, "name": 0}}]}, "name must be a text, not 0"),
        ({"model_config_list": [{"config": {**MODEL, "base_path": ["/m"]}}]}, "base_path must be a text"),
        (
            {"model_config_list": [{"config": {**MODEL, "plugin_config": '{"A": 1, "A": 2}'}}]},
            r"\(m\): plugin_config: in one object, A is given twice",
        ),
        ({"model_config_list": [{"config": {**MODEL, "shape": '{"x": "1", "x": "2"}'}}]}, "x is given twice"),
        ({"model_config_list": [{"config": {**MODEL, "name": "."}}]}, r"clients take '\.' in a URL"),
        ({"model_config_list": [{"config": {**MODEL, "name": ".."}}]}, r"clients take '\.\.' in a URL"),
        (
            {"model_config_list": [{"config": {**MODEL, "base_path": "/m\x00"}}]},
            r"base_path: '/m\\x00' contains a control character",
        ),
        (
            {"model_config_list": [{"config": {**MODEL, "target_device": "CPU\n"}}]},
            r"target_device: 'CPU\\n' contains a control character",
        ),
        (
            {"model_config_list": [{"config": {**MODEL, "allow_cache": 1.5}}]},
            "allow_cache must be true or false",
        ),
        ({"model_config_list": [], "monitoring": {"enable": True}}, "monitoring: .* is expected"),
        ({"model_config_list": [], "monitoring": {"metrics": {}}}, "metrics.enable must be true or false"),
        (
            {"model_config_list": [], "monitoring": {"metrics": {"enable": True, "metrics_list": ["x"]}}},
            "Invalid name in metrics_list: x",
        ),
        (
            {"model_config_list": [], "server": {"file_system_poll_wait_seconds": -1}},
            "whole number of seconds",
        ),
    ],
)
def test_a_fault_is_told_with_its_place(raw, message):
    with pytest.raises(ConfigError, match=message):
        parse_configuration(raw, Path("/"))


def test_a_file_that_cannot_be_read_or_parsed_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.json cannot be read"):
        read_configuration(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ConfigError, match=r"bad\.json is not valid JSON"):
        read_configuration(tmp_path / "bad.json")
    (tmp_path / "wide.json").write_text("{}", "utf-16")
    with pytest.raises(ConfigError, match=r"wide\.json: the file is UTF-16; save it as UTF-8"):
        read_configuration(tmp_path / "wide.json")


def test_a_byte_order_mark_in_front_of_the_file_changes_nothing(tmp_path):
    text = json.dumps({"model_config_list": [{"config": MODEL}]})
    (tmp_path / "plain.json").write_text(text)
    (tmp_path / "marked.json").write_text(text, "utf-8-sig")
    assert read_configuration(tmp_path / "marked.json") == read_configuration(tmp_path / "plain.json")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('{"model_config_list": [], "model_config_list": []}', "model_config_list"),
        (
            '{"model_config_list": [{"config": {"name": "a", "base_path": "/a", "nireq": 2, "nireq": 2}}]}',
            "nireq",
        ),
        ('{"model_config_list": [], "server": {"queue_size": null, "queue_size": 1}}', "queue_size"),
        ('{"model_config_list": [], "revision": "1", "revi\\u0073ion": "2"}', "revision"),
    ],
)
def test_a_key_that_is_given_twice_is_refused_by_its_name(tmp_path, text, key):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"config\.json: in one object, {key} is given twice; remove one"):
        read_configuration(path)


def test_a_file_that_is_nested_too_deeply_is_refused(tmp_path):
    path = tmp_path / "config.json"
    for depth in (900, 100_000):
        path.write_text('{"model_config_list": ' + "[" * depth + "]" * depth + "}")
        with pytest.raises(ConfigError, match=r"config\.json"):
            read_configuration(path)


def test_null_is_as_good_as_leaving_a_key_out():
    """Go and Java write it for what is not set."""
    keys = (
        "target_device", "batch_size", "shape", "layout", "precision", "color_format", "mean", "scale",
        "hint", "streams", "expected_clients", "nireq", "plugin_config", "model_version_policy",
        "allow_cache", "stateful",
    )  # fmt: skip
    top = {"revision": None, "server": None, "monitoring": None, "mediapipe_config_list": None}
    entry = dict.fromkeys(keys) | {"name": "m", "base_path": "models/m"}
    assert parse(entry, **top) == parse({"name": "m", "base_path": "models/m"})
    limits = dict.fromkeys(("queue_size", "request_timeout_seconds", "max_request_bytes"))
    assert parse(server={**limits, "file_system_poll_wait_seconds": None}) == parse()


@pytest.mark.parametrize("size", [0, "0"])
def test_a_batch_size_of_0_is_the_models_own_as_in_ovms(size):
    assert parse({**MODEL, "batch_size": size}) == parse(MODEL)
