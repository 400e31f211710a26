"""A model that is dropped leaves no thread of OpenVINO behind that still wants the interpreter.

A thread holds its callback a moment longer than an inference lasts, and needs the interpreter's lock to let
go of it; dropping the model meanwhile waits for the thread and has the lock, so the process stands still.
"""

import gc
import threading

import numpy as np
import pytest

from modelserver.engine.probing import Probe
from modelserver.errors import InferenceFailed, LoadFailed
from tests.server.engine.test_failures import load
from tests.support import broken, models

ONE_STREAM = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}


def test_a_model_is_dropped_after_the_last_callback_only(tmp_path):
    loaded = load(models.save(models.dummy(), tmp_path), **ONE_STREAM)
    held = loaded._slots[0].callback()
    closing = threading.Thread(target=loaded.close)
    closing.start()
    closing.join(0.2)  # how long it must wait at least
    assert closing.is_alive()
    assert loaded._compiled is not None

    del held

    closing.join(10)
    assert not closing.is_alive()
    assert loaded._compiled is None


def test_models_whose_first_inference_fails_are_dropped_one_after_the_other(tmp_path):
    broken.VERSIONS["fails at the first inference"](tmp_path)
    for _ in range(30):
        with pytest.raises(LoadFailed):
            load(tmp_path, INFERENCE_NUM_THREADS=1)


def test_a_check_leaves_nothing_behind(tmp_path):
    loaded = load(models.save(broken.for_some_data(), tmp_path), **ONE_STREAM)
    for _ in range(3):
        loaded.check()
    loaded._examples.known = [(np.full((1, 10), 3, np.float32),)]
    with pytest.raises(InferenceFailed):
        loaded.check()

    gc.collect()

    assert [one for one in gc.get_objects() if isinstance(one, Probe)] == []
    loaded.close()
