"""Models that run on the loop: compiled without streams, told as they were asked for."""

import numpy as np
import openvino as ov
import pytest

from modelserver.engine import loading
from modelserver.engine.loaded import Effect, LoadedModel, Passage
from modelserver.tuning import Plan
from tests.support import models


def loaded_inline(core, network):
    compiled = core.compile_model(network, "CPU", {"NUM_STREAMS": 2})
    effect = Effect(("CPU",), 2, 2, 2, "THROUGHPUT", pinning=False)
    loaded = LoadedModel(compiled, loading._specs(compiled, network, loading.Shaping()), effect)
    loaded.inline = True
    return loaded


@pytest.fixture
def plan():
    return Plan(device="CPU", properties={}, hint="THROUGHPUT", nireq=2, pinning=False, pinning_reason="")


async def test_a_model_on_the_loop_gives_its_answers_without_streams_and_tells_what_was_asked(plan):
    core, network = ov.Core(), models.dummy()
    loaded = loaded_inline(core, network)
    effect = loaded.effect

    bare = loading._without_streams(core, network, plan, loaded)

    array = np.arange(10, dtype=np.float32).reshape(1, 10)
    (answer,) = await bare.infer([array], lambda outputs: [each.copy() for each in outputs], Passage())
    assert np.array_equal(answer, array + 1)
    assert bare._compiled.get_property("NUM_STREAMS") == 0
    assert bare.inline
    assert bare.effect == effect
    assert bare.effect.streams == 2


def test_weights_that_are_no_trifle_are_not_compiled_twice(plan, monkeypatch):
    monkeypatch.setattr(loading, "TWICE_BYTES", 3)
    core, network = ov.Core(), models.dummy()
    loaded = loaded_inline(core, network)

    assert loading._without_streams(core, network, plan, loaded) is loaded
