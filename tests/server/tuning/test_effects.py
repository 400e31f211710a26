"""What a server does with a wish, read back from the device; and what it counts."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openvino as ov
import pytest

from modelserver.admission import LiveLimits
from modelserver.engine import Devices
from modelserver.errors import NoMemoryForSwap
from modelserver.models.loader import Loader
from modelserver.models.model import Recipe
from modelserver.models.repository import LocalStorage
from modelserver.settings.config_file import Shaping
from modelserver.settings.limits import Limits
from modelserver.telemetry.metrics import BUCKETS_US
from modelserver.tuning.machine import Machine
from modelserver.tuning.plan import Neighbours, plan
from modelserver.tuning.wish import Wish
from tests.support import models
from tests.support.server_process import ServerProcess, free_port, run_to_end

ONE_CPU = ("taskset", "--cpu-list", "0")
TWO_CPUS = ("taskset", "--cpu-list", "0,1")


def served(repository, *arguments, prefix=TWO_CPUS):
    path = str(repository / "dummy")
    with ServerProcess("--model_name", "m", "--model_path", path, *arguments, prefix=prefix) as server:
        server.wait_ready()
        document = server.status()
    return document, document["models"][0]


@pytest.mark.parametrize(
    ("arguments", "want"),
    [
        pytest.param((), ("THROUGHPUT", 2, 2, 2), id="default"),
        pytest.param(("--hint", "LATENCY"), ("LATENCY", 1, 1, 2), id="hint"),
        pytest.param(
            ("--plugin_config", '{"PERFORMANCE_HINT": "LATENCY"}'), ("LATENCY", 1, 1, 2), id="plugin hint"
        ),
        pytest.param(
            ("--plugin_config", '{"CPU_THROUGHPUT_STREAMS": "1"}'), (None, 1, 1, 2), id="legacy streams"
        ),
        pytest.param(
            ("--plugin_config", '{"KEY_CPU_THREADS_NUM": "1"}'), ("THROUGHPUT", 1, 1, 1), id="legacy threads"
        ),
        pytest.param(("--streams", "2", "--nireq", "32"), (None, 2, 32, 2), id="nireq"),
        pytest.param(("--expected_clients", "4"), (None, 2, 4, 2), id="clients"),
        pytest.param(("--target_device", "AUTO:CPU"), ("THROUGHPUT", 2, 2, None), id="AUTO"),
        pytest.param(
            ("--target_device", "BATCH:CPU(4)", "--nireq", "8"), ("THROUGHPUT", 8, 8, 2), id="BATCH"
        ),
    ],
)
def test_a_wish_takes_effect_on_the_compiled_model(repository, arguments, want):
    _, model = served(repository, *arguments)
    assert (model["hint"], model["streams"], model["nireq"], model["threads"]) == want
    assert model["executionDevices"] == ["CPU"]


def test_one_model_on_exclusive_cpus_is_pinned_and_says_why(repository):
    document, model = served(repository, "--exclusive_cpus", "1", prefix=ONE_CPU)
    assert (document["pinning"], document["pinningReason"]) == (
        True,
        "one model runs alone on 1 exclusive CPUs",
    )
    assert (document["threads"], model["threads"], model["streams"]) == (1, 1, 1)


def test_more_workers_than_cpus_of_the_process_are_clamped_with_a_warning(repository):
    document, _ = served(repository, "--grpc_workers", "2", prefix=ONE_CPU)
    assert document["workers"] == 1
    assert "grpc_workers 2" in document["warnings"][0]


def first_input(directory, *arguments):
    """What the metadata of a server started with these arguments tells of the model's first input."""
    with ServerProcess("--model_name", "m", "--model_path", str(directory), *arguments) as server:
        server.wait_ready()
        return json.loads(server.get("/v2/models/m")[1])["inputs"][0]


def test_preprocessing_happens_inside_the_model(repository):
    told = first_input(repository / "planar", "--layout", "NHWC:NCHW", "--shape", "(1,3,4,5)")
    assert told == {"name": "image", "datatype": "UINT8", "shape": [1, 4, 5, 3]}


@pytest.mark.parametrize(("colours", "is_swapped"), [("BGR:RGB", True), ("RGB:RGB", False)])
def test_the_colour_order_is_what_the_client_sends_then_what_the_model_wants(repository, colours, is_swapped):
    path = str(repository / "planar")
    arguments = ("--layout", "NHWC:NCHW", "--color_format", colours)
    with ServerProcess("--model_name", "m", "--model_path", path, *arguments) as server:
        server.wait_ready()
        sent = {"name": "image", "shape": [1, 8, 6, 3], "datatype": "UINT8", "data": [1, 2, 3] * 48}
        status, raw, _ = server.post("/v2/models/m/infer", {"inputs": [sent]})
        assert status == 200, raw
        planes = json.loads(raw)["outputs"][0]["data"]
        assert planes[::48] == ([3, 2, 1] if is_swapped else [1, 2, 3])


def test_mean_scale_and_precision_are_applied_in_their_order(repository):
    path = str(repository / "dummy")
    arguments = ("--precision", "u8:fp32", "--mean", "2", "--scale", "4", "--layout", "NC")
    with ServerProcess("--model_name", "m", "--model_path", path, *arguments) as server:
        server.wait_ready()
        body = {"inputs": [{"name": "b", "shape": [1, 10], "datatype": "UINT8", "data": [10] * 10}]}
        status, raw, _ = server.post("/v2/models/m/infer", body)
        assert status == 200, raw
        assert json.loads(raw)["outputs"][0]["data"] == [(10 - 2) / 4 + 1] * 10


def test_a_batch_size_changes_the_served_shape(repository):
    path = str(repository / "dummy")
    with ServerProcess("--model_name", "m", "--model_path", path, "--batch_size", "1:4") as server:
        server.wait_ready()
        body = {"inputs": [{"name": "b", "shape": [3, 10], "datatype": "FP32", "data": [1] * 30}]}
        assert server.post("/v2/models/m/infer", body)[0] == 200
        body["inputs"][0] |= {"shape": [5, 10], "data": [1] * 50}
        assert server.post("/v2/models/m/infer", body)[0] == 400


async def test_a_swap_without_room_keeps_the_old_and_says_so(repository):
    (files,) = LocalStorage().scan(str(repository / "slow")).values()
    chosen = plan(Wish(), Machine((0,), 2, None), Neighbours())
    recipe = Recipe(files, Shaping(), chosen)
    with ThreadPoolExecutor(1) as thread:
        loader = Loader(Devices(None), LiveLimits(Limits()), lambda: files.size // 2, thread)
        await loader.close((await loader.load(recipe, beside_others=False)).model)
        with pytest.raises(
            NoMemoryForSwap, match=r"NoMemoryForSwap: loading needs about \d+ MiB .*, more than"
        ):
            await loader.load(recipe, beside_others=True)


def lines(server):
    page = server.get("/metrics")[1].decode()
    return dict(line.rsplit(" ", 1) for line in page.splitlines() if line and not line.startswith("#"))


def test_metrics_have_ovms_names_labels_and_buckets_from_load_on(repository):
    path = str(repository / "dummy")
    with ServerProcess("--model_name", "dummy", "--model_path", path, "--metrics_enable") as server:
        server.wait_ready()
        infer = '{api="KServe",interface="REST",method="ModelInfer",name="dummy",version="1"}'
        before = lines(server)
        assert before["ovms_requests_success" + infer] == before["ovms_requests_fail" + infer] == "0"
        assert (
            f'ovms_request_time_us_bucket{{interface="REST",name="dummy",version="1",le="{BUCKETS_US[5]}"}}'
            in before
        )
        assert BUCKETS_US[:6] == (10, 18, 32, 58, 104, 188)
        good = {"inputs": [{"name": "b", "shape": [1, 10], "datatype": "FP32", "data": [0] * 10}]}
        for body in (good, good, good, b"{", {"inputs": []}):
            server.post("/v2/models/dummy/infer", body)
        server.post("/v2/models/none/infer", good)
        after = lines(server)
        assert (after["ovms_requests_success" + infer], after["ovms_requests_fail" + infer]) == ("3", "2")
        assert after['ovms_request_time_us_count{interface="REST",name="dummy",version="1"}'] == "3"
        assert after['ovms_inference_time_us_count{name="dummy",version="1"}'] == "3"
        assert (
            after['ovms_infer_req_queue_size{name="dummy",version="1"}']
            == after['ovms_streams{name="dummy",version="1"}']
        )
        assert after['modelserver_requests_unknown_model{interface="REST"}'] == "1"
        assert float(after["modelserver_affinity_cpus"]) == len(server.status()["affinity"])
        assert "process_cpu_seconds_total" in after
        assert not [name for name in after if name.startswith("ovms_") and "_total" in name]


def test_config_json_switches_metrics_on_and_chooses_them(repository, config_of, tmp_path):
    path = config_of(tmp_path / "config.json", ["dummy"])
    document = json.loads(path.read_text())
    document["monitoring"] = {"metrics": {"enable": True, "metrics_list": ["ovms_streams"]}}
    path.write_text(json.dumps(document))
    with ServerProcess("--config_path", str(path)) as server:
        server.wait_ready()
        assert {name.partition("{")[0] for name in lines(server) if "ovms_" in name} == {"ovms_streams"}
    ended = run_to_end("--config_path", str(path), "--rest_port", str(free_port()), "--metrics_enable")
    assert ended.returncode == 1
    assert "Metrics configuration duplicated in configuration file and CLI parameters" in ended.stderr


def test_a_scale_of_zero_is_refused(repository):
    path = str(repository / "dummy")
    arguments = ("--model_name", "d", "--model_path", path, "--rest_port", str(free_port()))
    ended = run_to_end(*arguments, "--scale", "0")
    assert ended.returncode == 64
    assert "cannot be 0" in ended.stderr


@pytest.mark.parametrize("arguments", [("--shape", "(1,-5)"), ("--shape", "(1,,10)"), ("--batch_size", "-5")])
def test_a_size_that_cannot_be_is_refused(repository, arguments):
    path = str(repository / "dummy")
    ended = run_to_end("--model_name", "d", "--model_path", path, "--rest_port", str(free_port()), *arguments)
    assert ended.returncode == 64
    assert "is not a dimension: use a number above 0" in ended.stderr


def test_a_batch_size_of_0_serves_the_models_own_shape(repository):
    told = first_input(repository / "dummy", "--batch_size", "0")
    assert told == {"name": "b", "datatype": "FP32", "shape": [1, 10]}


@pytest.mark.parametrize("text", ["[N,H,W,C]:[batch,channels,height,width]", "nhwc:nchw"])
def test_however_a_layout_is_written_clients_may_send_images(repository, text):
    path = str(repository / "planar")
    with ServerProcess("--model_name", "m", "--model_path", path, "--layout", text) as server:
        server.wait_ready()
        sent = {"name": "image", "shape": [1], "datatype": "BYTES", "data": ["x"]}
        status, raw, _ = server.post("/v2/models/m/infer", {"inputs": [sent]})
        assert (status, "NHWC layout" in raw.decode()) == (400, False), raw


def test_the_batch_is_where_the_layout_says_however_it_is_written(repository):
    told = first_input(repository / "dummy", "--batch_size", "7", "--layout", "[C,batch]")
    assert told["shape"] == [1, 7]


def test_a_model_of_any_number_of_dimensions_is_served_with_the_ones_given(tmp_path):
    models.save(models.passthrough(np.float32, ov.PartialShape.dynamic()), tmp_path / "any" / "1")
    assert first_input(tmp_path / "any", "--shape", "(2,auto)")["shape"] == [2, -1]
