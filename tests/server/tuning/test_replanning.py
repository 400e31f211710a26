"""What becomes of a model's plan when its neighbours, its CPUs or the words of its tuning change."""

import os

import psutil
import pytest

from tests.support.hot import answer, model_status
from tests.support.waiting import until


def load_of(server, name):
    """What tells one loading of a model from the next: how many seconds it took, to the last digit."""
    line = f'modelserver_model_load_seconds{{name="{name}",version="1"}} '
    return next(one for one in server.get("/metrics")[1].decode().splitlines() if one.startswith(line))


def follow(server, config, revision, *entries):
    config.write(revision, *entries)
    until(f"revision {revision}", lambda: server.status()["revision"] == revision, timeout=20)
    assert all(model["revision"] == revision for model in server.status()["models"])


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU is one thread for each, always")
def test_a_neighbour_that_comes_and_goes_reloads_only_models_that_share_their_threads(configured, base):
    server, config = configured
    own, shared, guest = ({"name": name, "base_path": str(base)} for name in ("own", "shared", "guest"))
    follow(server, config, "r2", own | {"streams": 1}, shared)
    before = {name: load_of(server, name) for name in ("own", "shared")}
    follow(server, config, "r3", own | {"streams": 1}, shared, guest)
    assert load_of(server, "own") == before["own"]
    assert load_of(server, "shared") != before["shared"]
    during = load_of(server, "shared")
    follow(server, config, "r4", own | {"streams": 1}, shared)
    assert load_of(server, "own") == before["own"]
    assert load_of(server, "shared") != during


def test_what_a_neighbour_means_for_a_model_is_told_although_it_is_not_loaded_again(configured, base):
    server, config = configured
    pinned = {"name": "pinned", "base_path": str(base), "streams": 1}
    pinned["plugin_config"] = {"CPU_BIND_THREAD": "YES"}
    follow(server, config, "r2", pinned)
    before = load_of(server, "pinned")
    assert server.status()["warnings"] == []
    follow(server, config, "r3", pinned, {"name": "guest", "base_path": str(base)})
    assert any("pinning is forced for more than one model" in one for one in server.status()["warnings"])
    assert load_of(server, "pinned") == before


def test_the_same_tuning_in_other_words_is_in_effect_without_loading_anything(configured, base):
    server, config = configured
    before = load_of(server, "dummy")
    entry = {"name": "dummy", "base_path": str(base), "plugin_config": {"PERFORMANCE_HINT": "LATENCY"}}
    follow(server, config, "r2", entry)
    assert load_of(server, "dummy") == before


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is only one CPU")
def test_a_model_follows_the_cpus_that_the_process_may_use(polled):
    assert model_status(polled)["threads"] > 1
    for thread in psutil.Process(polled.process.pid).threads():
        os.sched_setaffinity(thread.id, {min(os.sched_getaffinity(0))})
    until("one thread", lambda: model_status(polled)["threads"] == 1, timeout=20)
    assert answer(polled) == (1.0, "1")
