"""Models that run on the event loop: who may, who does, and what is told about it."""

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as op

from modelserver.admission import LiveLimits
from modelserver.engine import Source, loading
from modelserver.engine.devices import Devices
from modelserver.settings.config_file import Shaping
from modelserver.settings.limits import Limits
from modelserver.tuning.plan import Plan
from tests.support import models


def plan(**properties):
    return Plan(
        device="CPU", properties=properties, hint="THROUGHPUT", nireq=2, pinning=False, pinning_reason=""
    )


def load(tmp_path, network, spread_cpus=loading.SPREAD_CPUS, **properties):
    path = tmp_path / "model.xml"
    ov.save_model(network, path, compress_to_fp16=False)
    source = Source(path, Shaping(), plan(**properties))
    return loading.load(Devices(None), source, LiveLimits(Limits()), spread_cpus)


def dense(size):
    """x -> x times a matrix of size x size."""
    x = op.parameter([1, size], np.float32, name="x")
    weights = np.random.default_rng(7).random((size, size), np.float32)
    return ov.Model([op.matmul(x, op.constant(weights), transpose_a=False, transpose_b=False)], [x], "dense")


def table(size):
    """x -> row x of a table of this many bytes: quick, however big it is."""
    x = op.parameter([1], np.int32, name="x")
    rows = op.constant(np.zeros((size // 64, 16), np.float32))
    return ov.Model([op.gather(rows, x, op.constant(np.int32(0)))], [x], "table")


def chain(layers):
    """Small layers that wait for each other: no machine is quick at many of them."""
    x = node = op.parameter([1, 16], np.float32, name="x")
    weights = np.eye(16, dtype=np.float32)
    for _ in range(layers):
        node = op.tanh(op.matmul(node, op.constant(weights), transpose_a=False, transpose_b=False))
    return ov.Model([node], [x], "chain")


def test_a_small_model_runs_on_the_loop_without_streams_and_tells_what_the_device_said(tmp_path):
    loaded = load(tmp_path, models.dummy(), PERFORMANCE_HINT="THROUGHPUT")

    assert loaded.inline
    assert loaded._compiled.get_property("EXCLUSIVE_ASYNC_REQUESTS") == "YES"
    assert loaded.effect.streams >= 1
    for shift in (0, 5):
        array = np.arange(10, dtype=np.float32).reshape(1, 10) + shift
        (answer,) = loaded.infer_now([array]).outputs
        assert np.array_equal(answer, array + 1)


def test_streams_that_somebody_asked_for_are_used(tmp_path):
    loaded = load(tmp_path, models.dummy(), NUM_STREAMS=2)
    assert not loaded.inline
    assert loaded._compiled.get_property("NUM_STREAMS") == loaded.effect.streams > 0


@pytest.mark.parametrize(("share", "is_inline"), [(0.5, True), (1.5, False)])
def test_weights_that_are_no_trifle_are_not_compiled_twice(tmp_path, share, is_inline):
    assert load(tmp_path, table(int(loading.TWICE_BYTES * share))).inline == is_inline


def test_free_shapes_never_run_on_the_loop(tmp_path):
    network = models.dummy()
    network.reshape([-1, 10])
    assert not load(tmp_path, network).inline


def test_a_model_that_is_slow_on_the_loop_keeps_its_streams(tmp_path):
    loaded = load(tmp_path, chain(500))
    assert not loaded.inline
    assert loaded._compiled.get_property("NUM_STREAMS") > 0


def test_a_model_that_would_spread_over_all_cpus_runs_in_one_threads_arena(tmp_path):
    loaded = load(tmp_path, models.dummy(), spread_cpus=0.0)
    assert loaded.inline
    assert loaded._compiled.get_property("EXCLUSIVE_ASYNC_REQUESTS") == "NO"
    assert loaded._compiled.get_property("NUM_STREAMS") == 0


def test_a_model_that_stays_in_its_thread_is_no_spreading_one(tmp_path):
    network = dense(512)
    network.reshape([64, 512])
    loaded = load(tmp_path, network, INFERENCE_NUM_THREADS=1, NUM_STREAMS=1)
    assert not loading._spreads(loaded, loading.SPREAD_CPUS)
