"""Which client of an engine is used, chosen among programs on PATH."""

import os
from pathlib import Path

import pytest

from devcluster import engine
from devcluster.engine.engine import docker_version

DOCKER = """#!/bin/sh
case "$1" in
--version) echo "Docker version {version}, build 1" ;;
buildx) {buildx} ;;
info) echo 27.0.0 ;;
esac
"""


def program(file: Path, text: str) -> str:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)
    return str(file)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("Docker version 20.10.24+dfsg1, build 297e128", 20, id="Debian's"),
        pytest.param("Docker version 30.1.0, build 1", 30, id="a later one"),
        pytest.param("podman version 5.0.0", None, id="podman under docker's name"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_the_version_is_read_from_what_the_client_prints(text, want):
    assert docker_version(text) == want


@pytest.mark.parametrize("version", ["24.0.1", "30.1.0"])
def test_docker_with_the_buildx_plugin_is_used(version, tmp_path, monkeypatch):
    found = program(tmp_path / "docker", DOCKER.format(version=version, buildx="echo v0.12"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    assert engine.find() == engine.Engine(found, {"DOCKER_BUILDKIT": "1"})


def test_the_shim_comes_first_on_the_path_of_kind(tmp_path, monkeypatch):
    monkeypatch.setenv("MODELSERVER_CACHE", str(tmp_path))
    found = program(tmp_path / "bin" / "docker", DOCKER.format(version="27.0.0", buildx="true"))

    variables = engine.Engine(found).for_kind({"x-worker": "0-1"})

    shim = Path(variables["PATH"].split(os.pathsep)[0]) / "docker"
    assert os.access(shim, os.X_OK)
    assert variables["DEVCLUSTER_CLIENT"] == found
    assert variables["DEVCLUSTER_CPUS"] == "x-worker=0-1"
