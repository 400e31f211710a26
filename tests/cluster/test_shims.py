"""The scripts in front of the engine's client and of runc, called as kind and the engine call them."""

import json
import os
import subprocess

import pytest

from devcluster.host.paths import SOURCES

ECHO = """#!/bin/sh
[ "$1 $2" = "image inspect" ] && { [ "$3" = present:1 ]; exit; }
echo "$@"
"""


@pytest.fixture
def client(tmp_path):
    program = tmp_path / "client"
    program.write_text(ECHO)
    program.chmod(0o755)
    return program


def shim(client, *arguments, **variables):
    command = ["sh", str(SOURCES / "node" / "engine-client"), *arguments]
    environment = {**os.environ, "DEVCLUSTER_CLIENT": str(client), **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_other_commands_reach_the_client_unchanged(client):
    assert shim(client, "ps", "--format", "{{.ID}} x") == "ps --format {{.ID}} x"


def test_an_image_that_is_present_is_not_pulled(client):
    assert shim(client, "pull", "--quiet", "present:1") == ""
    assert shim(client, "pull", "--quiet", "absent:1") == "pull --quiet absent:1"


def test_a_node_is_run_with_our_runtime_and_its_cpus(client):
    variables = {"DEVCLUSTER_RUN": "--runtime=ours", "DEVCLUSTER_CPUS": "x-worker=0-1"}

    first = shim(client, "run", "--name", "x-control-plane", "image", **variables)
    second = shim(client, "run", "--name", "x-worker", "image", **variables)

    assert first == "run --runtime=ours --name x-control-plane image"
    assert second == "run --runtime=ours --cpuset-cpus=0-1 --name x-worker image"


@pytest.mark.parametrize("flag", ["--bundle {}", "-b {}", "--bundle={}"])
def test_the_capability_is_removed_from_a_containers_configuration(flag, tmp_path):
    capabilities = ["CAP_CHOWN", "CAP_SYS_RESOURCE", "CAP_KILL"]
    (tmp_path / "config.json").write_text(json.dumps({"bounding": capabilities}, separators=(",", ":")))

    run_runtime(tmp_path, *flag.format(tmp_path).split(), "create", "x")

    assert json.loads((tmp_path / "config.json").read_text())["bounding"] == ["CAP_CHOWN", "CAP_KILL"]


def test_the_capability_is_removed_from_the_process_of_an_exec(tmp_path):
    process = tmp_path / "process.json"
    process.write_text(json.dumps({"bounding": ["CAP_KILL", "CAP_SYS_RESOURCE"]}, separators=(",", ":")))

    run_runtime(tmp_path, "exec", "--process", str(process), "x")

    assert json.loads(process.read_text()) == {"bounding": ["CAP_KILL"]}


def run_runtime(directory, *arguments):
    runc = directory / "runc"
    runc.write_text('#!/bin/sh\necho "$@"\n')
    runc.chmod(0o755)
    command = ["sh", str(SOURCES / "node" / "oci-runtime"), *arguments]
    environment = {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == list(arguments), "runc gets the arguments as they were"
