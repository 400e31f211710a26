"""Fixtures of the server's tests: model repositories on disk and one shared running server."""

import json

import numpy as np
import pytest
from hypothesis import settings

from tests.support import models
from tests.support.hot import Configured
from tests.support.server_process import ServerProcess

settings.register_profile("server", deadline=None)  # a busy machine is no bug
settings.load_profile("server")


@pytest.fixture(scope="session")
def repository(tmp_path_factory):
    """Every fixture model as a repository with version 1."""
    root = tmp_path_factory.mktemp("models")
    models.save(models.dummy(), root / "dummy" / "1")
    models.save(models.dummy(shape=(-1, -1)), root / "dynamic" / "1")
    models.save(models.two(), root / "two" / "1")
    models.save(models.passthrough(np.float32, ()), root / "scalar" / "1")
    models.save(models.picture(), root / "picture" / "1")
    models.save(models.picture(channels_first=True), root / "planar" / "1")
    models.save(models.slow(), root / "slow" / "1")
    models.save(models.reshaped(), root / "reshaped" / "1")
    for datatype, dtype in models.DTYPES.items():
        models.save(models.passthrough(dtype), root / datatype.lower() / "1")
    return root


@pytest.fixture(scope="session")
def config_of(repository):
    """Writes a config.json for named models, with extra keys by name."""

    def write(path, names, revision=None, **extra):
        entries = [
            {"name": name, "base_path": str(repository / name), **extra.get(name, {})} for name in names
        ]
        document = {"model_config_list": [{"config": entry} for entry in entries]}
        if revision is not None:
            document["revision"] = revision
        path.write_text(json.dumps(document))
        return path

    return write


@pytest.fixture(scope="session")
def server(repository, config_of, tmp_path_factory):
    """One server with all fixture models, shared by every test that does not change it."""
    path = tmp_path_factory.mktemp("config") / "config.json"
    names = sorted(directory.name for directory in repository.iterdir())
    config_of(path, names, planar={"layout": "NHWC:NCHW"})
    with ServerProcess("--config_path", str(path), "--metrics_enable") as running:
        yield running.wait_ready()


@pytest.fixture
def base(tmp_path):
    """A repository of its own with version 1: adds one."""
    models.save(models.dummy(1), tmp_path / "dummy" / "1")
    return tmp_path / "dummy"


@pytest.fixture
def polled(base):
    with ServerProcess("--model_name", "dummy", "--model_path", str(base), "--metrics_enable") as server:
        yield server.wait_ready()


@pytest.fixture
def configured(base, tmp_path):
    config = Configured(tmp_path)
    config.write("r1", {"name": "dummy", "base_path": str(base), "hint": "LATENCY"})
    with ServerProcess("--config_path", str(config.path), "--metrics_enable") as server:
        yield server.wait_ready(), config
