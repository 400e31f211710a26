"""The operator writes only what the config contract allows, and the server reads all of it as it is meant."""

import json
from pathlib import Path

import jsonschema
import pytest

from modelserver.settings.config_file import parse_configuration
from modelserver_operator.api import parse
from modelserver_operator.desired import Images, render
from tests.support.modelservers import ACCEPTED, model_server

SCHEMA = json.loads((Path(__file__).parent / "config.schema.json").read_text())
IMAGES = Images("cpu", "gpu", "npu")
EVERYTHING = {
    "resources": {"limits": {"cpu": 8}},
    "device": "CPU",
    "streams": 4,
    "nireq": 8,
    "pluginConfig": {"A": 1, "B": "object"},
    "pollIntervalSeconds": 7,
    "server": {"queueSize": 9, "requestTimeoutSeconds": 20, "maxRequestBytes": 4096},
    "models": [
        {
            "name": "all", "uri": "pvc://claim/deep/path/", "versionPolicy": {"versions": [1, 3]},
            "batchSize": 2,
            "shape": "(1,3)", "layout": "NHWC:NCHW", "precision": "uint8:fp32", "colorFormat": "BGR:RGB",
            "mean": "127.5", "scale": "2", "hint": "LATENCY", "expectedClients": 3, "nireq": 5,
            "device": "AUTO:GPU,CPU", "pluginConfig": {"B": "model"},
        },
        {"name": "plain", "uri": "file:///opt/model", "versionPolicy": {"all": True}},
    ],
}  # fmt: skip


FLAGS = {
    "config_path", "port", "rest_port", "status_port", "grpc_workers", "exclusive_cpus", "log_level",
    "model_control_mode", "drain_seconds", "grpc_channel_arguments",
}  # fmt: skip
"""Every server that an object may name knows these, and ends with an error when it is given another. A new
setting goes into config.json, where a server ignores what it does not know; this list may grow only by what
protects (keys, certificates), which a server must not ignore."""


def config(**spec) -> dict:
    (found,) = [d for d in render(parse(model_server(**spec)), IMAGES).children if d.kind == "ConfigMap"]
    return json.loads(found.manifest["data"]["config.json"])


@pytest.mark.parametrize("spec", [*ACCEPTED.values(), EVERYTHING], ids=[*ACCEPTED, "every field"])
def test_the_configuration_is_one_the_contract_allows(spec: dict):
    jsonschema.validate(config(**spec), SCHEMA, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("spec", [*ACCEPTED.values(), EVERYTHING], ids=[*ACCEPTED, "every field"])
def test_the_server_reads_the_configuration(spec: dict):
    server = parse(model_server(**spec))

    read = parse_configuration(config(**spec), Path("/etc/modelserver"))

    assert read.revision == render(server, IMAGES).revision
    assert [model.name for model in read.models] == [model.name for model in server.spec.models]


def test_the_server_reads_every_field_as_it_was_meant():
    read = parse_configuration(config(**EVERYTHING), Path("/etc/modelserver"))
    tuned, plain = read.models

    assert read.poll_seconds == 7
    assert read.limits == {"queue_size": 9, "request_timeout_seconds": 20.0, "max_request_bytes": 4096}
    assert (tuned.base_path, plain.base_path) == ("/models/claim/deep/path", "/opt/model")
    assert (tuned.wish.device, tuned.wish.hint, tuned.wish.streams) == ("AUTO:GPU,CPU", "LATENCY", None)
    assert (tuned.wish.expected_clients, tuned.wish.nireq) == (3, 5)
    assert tuned.wish.plugin_config == {"A": 1, "B": "model"}
    assert (plain.wish.device, plain.wish.hint, plain.wish.streams, plain.wish.nireq) == ("CPU", None, 4, 8)
    assert plain.wish.plugin_config == {"A": 1, "B": "object"}
    assert (tuned.shaping.shape, tuned.shaping.layout, tuned.shaping.batch_size) == (
        "(1,3)",
        "NHWC:NCHW",
        "2",
    )


@pytest.mark.parametrize("spec", [*ACCEPTED.values(), EVERYTHING], ids=[*ACCEPTED, "every field"])
def test_the_server_gets_no_flag_that_an_older_one_does_not_know(spec: dict):
    (deployment,) = [
        d for d in render(parse(model_server(**spec)), IMAGES).children if d.kind == "Deployment"
    ]
    (container,) = deployment.manifest["spec"]["template"]["spec"]["containers"]

    assert {argument.partition("=")[0].removeprefix("--") for argument in container["args"]} <= FLAGS
