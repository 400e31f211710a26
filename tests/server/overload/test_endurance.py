"""The small version of bench/soak.py: reloads keep memory bounded, cancelled calls leave nothing behind."""

import pytest

from bench import models, soak
from bench.peers import ours

CYCLES, INFERENCES = 6, 150
MIB_PER_RUN = 40
"""Far more than noise, far less than a model or request that stays per cycle would take."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("endurance")


def test_inferences_of_mixed_shapes_through_reloads_all_succeed_in_bounded_memory(directory):
    models.save(models.dummy((-1, -1)), directory / "dynamic")
    with soak.configured(directory, "dynamic") as (peer, config):
        seen = soak.endure(peer, config, CYCLES, INFERENCES)
        (model,) = peer.status()["models"]

    assert seen.failures == []
    assert seen.inferences == CYCLES * INFERENCES
    assert model["nireq"] == 2 + (CYCLES - 1) % 2, "the last reload is not in effect"
    assert max(seen.rss_mib[1:]) - seen.rss_mib[0] < MIB_PER_RUN
    threads, descriptors = zip(*seen.handles, strict=True)
    assert max(threads) - threads[0] < 10
    assert max(descriptors) - descriptors[0] < 10


def test_after_cancelled_calls_and_hang_ups_nothing_counts_as_in_process(directory):
    models.save(models.slow(), directory / "slow")
    with ours(directory / "slow", directory) as peer:
        assert soak.cancel(peer, 20) == 20
        left = soak.settled(peer)

    assert left == dict.fromkeys(soak.GAUGES, 0)
