"""A failed inference is an error and nothing else, with one thread and on one CPU as with many.

OpenVINO's `infer` swallows errors where a model has one stream with one thread, and leaves the outputs of the
inference before in place (docs/decisions/0013).
"""

import asyncio
import json
import subprocess
import sys

import numpy as np
import openvino as ov
import pytest

from modelserver.admission import LiveLimits
from modelserver.engine import Source, loading
from modelserver.engine.devices import Devices
from modelserver.engine.reading import has_fixed_sizes
from modelserver.errors import InferenceFailed, LoadFailed
from modelserver.settings.config_file import Shaping
from modelserver.settings.limits import Limits
from modelserver.tuning.plan import Plan
from tests.support import broken, models
from tests.support.server_process import ServerProcess

THREADS = [
    pytest.param({}, id="all threads"),
    pytest.param({"INFERENCE_NUM_THREADS": 1}, id="one thread"),
    pytest.param({"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}, id="one stream of one thread"),
]
CPUS = [pytest.param((), id="all CPUs"), pytest.param(("taskset", "-c", "0"), id="one CPU")]


def load(directory, **properties):
    plan = Plan(device="CPU", properties=properties, hint=None, nireq=1, pinning=False, pinning_reason="")
    source = Source(directory / "model.xml", Shaping(), plan)
    return loading.load(Devices(None), source, LiveLimits(Limits()))


async def answer(loaded, *arrays):
    lease = loaded.infer_now(arrays) if loaded.inline else await loaded.infer(arrays)
    value = lease.outputs[0].copy()
    lease.leave()
    return value.tolist()


@pytest.mark.parametrize("properties", THREADS)
@pytest.mark.parametrize("fault", broken.VERSIONS)
def test_a_broken_model_is_refused_when_it_is_loaded(tmp_path, fault, properties):
    broken.VERSIONS[fault](tmp_path)
    with pytest.raises(LoadFailed):
        load(tmp_path, **properties)


@pytest.mark.parametrize("properties", THREADS)
def test_a_failure_between_two_answers_is_an_error_and_leaves_them_right(tmp_path, properties):
    loaded = load(models.save(broken.lookup(), tmp_path), **properties)
    assert loaded.inline == ("NUM_STREAMS" not in properties)

    async def ask():
        assert await answer(loaded, np.array([[1, 2]])) == [[6, 8]]
        for _ in range(2):
            with pytest.raises(InferenceFailed, match="invalid embedding bag index: 9"):
                await answer(loaded, np.array([[0, 9]]))
        assert await answer(loaded, np.array([[0, 1]])) == [[2, 4]]

    asyncio.run(ask())


@pytest.mark.parametrize("properties", THREADS)
def test_a_model_whose_inner_sizes_depend_on_the_data_does_not_run_on_the_loop(tmp_path, properties):
    loaded = load(models.save(broken.for_some_data(), tmp_path), **properties)
    assert not loaded.inline

    async def ask():
        assert await answer(loaded, np.arange(10, dtype=np.float32).reshape(1, 10)) == 45
        with pytest.raises(InferenceFailed):
            await answer(loaded, np.ones((1, 10), np.float32))

    asyncio.run(ask())


@pytest.mark.parametrize("branch", ["fixed", "free"])
def test_branches_are_looked_into(branch, tmp_path):
    directory = models.save(models.branching(of_data=branch == "free"), tmp_path)
    assert has_fixed_sizes(ov.Core().read_model(directory / "model.xml")) == (branch == "fixed")
    loaded = load(directory)
    assert not (loaded.inline and branch == "free")

    async def ask():
        for which, right in ((True, [4, 5]), (False, [5, 6]), (True, [4, 5])):
            assert await answer(loaded, np.array([3, 4], np.float32), np.array(which)) == right

    asyncio.run(ask())


SWALLOWS = """
import sys, numpy as np, openvino as ov
from tests.support import broken
core, properties = ov.Core(), eval(sys.argv[1])
request = core.compile_model(broken.lookup(), "CPU", properties).create_infer_request()
plain = super(ov.InferRequest, request)
request.set_input_tensor(0, ov.Tensor(np.array([[0, 9]])))
try:
    plain.infer({}, True, False)
except RuntimeError:
    print("raised")
else:
    print("swallowed")
"""


@pytest.mark.parametrize("prefix", CPUS)
@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("more", [{}, {"INFERENCE_NUM_THREADS": 1}, {"PERFORMANCE_HINT": "THROUGHPUT"}])
def test_openvinos_infer_raises_where_there_are_no_streams(prefix, exclusive, more):
    """What inference on the loop relies on; a new OpenVINO has to pass this."""
    properties = {**more, "NUM_STREAMS": 0, "EXCLUSIVE_ASYNC_REQUESTS": exclusive}
    command = [*prefix, sys.executable, "-c", SWALLOWS, repr(properties)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.split() == ["raised"]


@pytest.mark.parametrize("prefix", CPUS)
def test_a_request_that_fails_is_a_500_and_the_next_one_is_right(tmp_path, prefix):
    models.save(broken.lookup(), tmp_path / "1")
    with ServerProcess("--model_name", "m", "--model_path", str(tmp_path), prefix=prefix) as server:
        server.wait_ready()

        def ask(*ids):
            sent = {"name": "ids", "shape": [1, 2], "datatype": "INT64", "data": ids}
            status, raw, _ = server.post("/v2/models/m/infer", {"inputs": [sent]})
            return status, json.loads(raw)

        assert ask(1, 2)[1]["outputs"][0]["data"] == [6, 8]
        status, told = ask(0, 9)
        assert status == 500
        assert "invalid embedding bag index: 9" in told["error"]
        assert ask(0, 1)[1]["outputs"][0]["data"] == [2, 4]
