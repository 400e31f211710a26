"""What becomes of a model's tensors when it is read: each is served once, under a name that stays."""

import asyncio
import json

import numpy as np
import openvino as ov
import pytest
import tritonclient.grpc as triton
from openvino import opset13 as ops

from modelserver.admission import LiveLimits
from modelserver.engine import Source, loading
from modelserver.engine.devices import Devices
from modelserver.engine.names import Names
from modelserver.errors import LoadFailed
from modelserver.settings.config_file import Shaping
from modelserver.settings.limits import Limits
from modelserver.tuning.plan import Plan
from tests.support import broken, formats, models
from tests.support.rest import infer
from tests.support.server_process import ServerProcess, free_port, run_to_end

WAYS = [pytest.param({}, id="on the loop"), pytest.param({"NUM_STREAMS": 1}, id="in a stream")]
X = np.arange(4, dtype=np.float32).reshape(1, 4)


def load(directory, shaping=None, names=None, **properties):
    plan = Plan(device="CPU", properties=properties, hint=None, nireq=1, pinning=False, pinning_reason="")
    (model,) = [path for path in directory.iterdir() if path.suffix in {".xml", ".onnx"}]
    source = Source(model, shaping or Shaping(), plan, names or Names())
    return loading.load(Devices(None), source, LiveLimits(Limits()))


def answers(loaded):
    """Each output's value for X, by its name, in the model's order."""

    async def ask():
        lease = loaded.infer_now([X]) if loaded.inline else await loaded.infer([X])
        values = [value.ravel().tolist() for value in lease.outputs]
        lease.leave()
        return values

    return dict(zip(shown(loaded.signature.outputs), asyncio.run(ask()), strict=True))


def shown(specs):
    return [spec.name for spec in specs]


def plus(*numbers):
    return [(X + number).ravel().tolist() for number in numbers]


@pytest.mark.parametrize("properties", WAYS)
def test_a_tensor_that_is_an_output_twice_is_served_once(tmp_path, properties):
    loaded = load(models.save(models.several("abca"), tmp_path), **properties)
    assert answers(loaded) == dict(zip("abc", plus(1, 2, 3), strict=True))


def test_one_whose_first_use_comes_in_the_middle_keeps_the_order(tmp_path):
    loaded = load(models.save(models.several("babcb"), tmp_path))
    assert list(answers(loaded).items()) == list(zip("bac", plus(2, 1, 3), strict=True))


def test_an_onnx_output_that_is_listed_twice_is_served_once(tmp_path):
    loaded = load(formats.onnx(tmp_path, ("y", "y")).parent)
    assert answers(loaded) == {"y": (X + X).ravel().tolist()}


@pytest.mark.parametrize("properties", WAYS)
def test_an_input_that_is_handed_through_twice_is_one_output(tmp_path, properties):
    x = ops.parameter([1, 4], np.float32, name="x")
    x.output(0).set_names({"x"})
    network = ov.Model([ops.result(x), ops.result(x)], [x], "through")
    assert answers(load(models.save(network, tmp_path), **properties)) == {"x": X.ravel().tolist()}


@pytest.mark.parametrize("properties", WAYS)
def test_two_names_that_the_author_gave_to_one_tensor_are_two_outputs(tmp_path, properties):
    x = ops.parameter([1, 4], np.float32, name="x")
    node = ops.add(x, ops.constant(np.float32(1)))
    results = [ops.result(node), ops.result(node)]
    for result, name in zip(results, ("p", "q"), strict=True):
        result.output(0).set_names({name})
    loaded = load(models.save(ov.Model(results, [x], "both"), tmp_path), **properties)
    assert answers(loaded) == dict(zip("pq", plus(1, 1), strict=True))


@pytest.mark.parametrize("strip", [True, False], ids=["names taken out", "names made up"])
@pytest.mark.parametrize("properties", WAYS)
def test_tensors_without_names_are_named_by_their_place(tmp_path, strip, properties):
    models.save(models.several("ab", named=False), tmp_path)
    made_up = [port.get_any_name() for port in ov.Core().read_model(tmp_path / "model.xml").outputs]
    if strip:
        models.strip_names(tmp_path)
    loaded = load(tmp_path, **properties)
    assert shown(loaded.signature.inputs) == ["in_0"]
    assert answers(loaded) == dict(zip(("out_0", "out_1"), plus(1, 2), strict=True))
    assert [spec.aliases for spec in loaded.signature.outputs] == [
        {f"out_{place}", name} for place, name in enumerate(made_up)
    ]


def test_a_model_that_is_converted_again_has_the_same_names(tmp_path):
    seen = []
    for version in "12":
        directory = models.save(models.several("ab", named=False), tmp_path / version)
        seen.append((directory / "model.xml").read_text())
        loaded = load(directory)
        assert shown(loaded.signature.outputs) == ["out_0", "out_1"]
    assert seen[0] != seen[1], "otherwise the numbers of nodes would be no trouble"


@pytest.mark.parametrize("strip", [True, False], ids=["names taken out", "names made up"])
def test_places_count_outputs_that_are_there_again(tmp_path, strip):
    models.save(models.several("aab", named=False), tmp_path)
    loaded = load(models.strip_names(tmp_path) if strip else tmp_path)
    assert answers(loaded) == dict(zip(("out_0", "out_2"), plus(1, 2), strict=True))


def test_a_name_by_place_that_another_tensor_has_already_is_not_given_twice(tmp_path):
    x = ops.parameter([1, 4], np.float32, name="out_0")
    x.output(0).set_names({"out_0"})
    named, unnamed = (ops.add(x, ops.constant(np.float32(number))) for number in (1, 2))
    named.output(0).set_names({"out_1"})
    network = ov.Model([ops.result(named), ops.result(unnamed)], [x], "taken")
    loaded = load(models.save(network, tmp_path))
    assert shown(loaded.signature.inputs) == ["out_0"]
    assert answers(loaded) == dict(zip(("out_1", "out_1_"), plus(1, 2), strict=True))


def test_an_unnamed_input_that_is_handed_through_has_a_name_on_each_side(tmp_path):
    x = ops.parameter([1, 4], np.float32)
    models.save(ov.Model([ops.result(x)], [x], "through"), tmp_path)
    loaded = load(models.strip_names(tmp_path))
    assert shown(loaded.signature.inputs) == ["in_0"]
    assert answers(loaded) == {"out_0": X.ravel().tolist()}


@pytest.mark.parametrize("old", [True, False], ids=["by the file's name", "by place"])
def test_settings_and_mapping_take_names_by_place_and_the_files_own(tmp_path, old):
    models.save(models.several("ab", (-1, 4), named=False), tmp_path)
    network = ov.Core().read_model(tmp_path / "model.xml")
    first = network.inputs[0].get_any_name() if old else "in_0"
    second = network.outputs[1].get_any_name() if old else "out_1"
    shaping = Shaping(shape={first: "(1,4)"}, layout={first: "NC", second: "CN"})
    loaded = load(tmp_path, shaping, Names({first: "price"}, {second: "total"}))
    (given,) = loaded.signature.inputs
    assert (given.name, given.shape, given.layout) == ("price", (1, 4), "NC")
    assert [(spec.name, spec.layout) for spec in loaded.signature.outputs] == [("out_0", ""), ("total", "CN")]


def test_a_mapping_of_one_tensor_under_two_of_its_names_is_refused(tmp_path):
    models.save(models.several("ab", named=False), tmp_path)
    made_up = ov.Core().read_model(tmp_path / "model.xml").outputs[1].get_any_name()
    with pytest.raises(LoadFailed, match=f"mapping_config.json: outputs: {made_up} and out_1 are one tensor"):
        load(tmp_path, names=Names({}, {made_up: "p", "out_1": "q"}))


def test_a_model_with_a_state_is_refused_naming_it(tmp_path):
    with pytest.raises(LoadFailed, match="stateful models are not supported, and this one keeps total from"):
        load(models.save(broken.stateful(), tmp_path))


def test_a_server_with_nothing_but_a_stateful_model_ends_with_the_reason(tmp_path):
    models.save(broken.stateful("kv.0"), tmp_path / "1")
    ended = run_to_end("--model_name", "m", "--model_path", str(tmp_path), "--rest_port", str(free_port()))
    assert ended.returncode == 1
    assert "this one keeps kv.0 from one request to the next" in ended.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("reading")
    models.save(models.several("abca"), root / "again" / "1")
    models.strip_names(models.save(models.several("ab", named=False), root / "unnamed" / "1"))
    entries = [{"config": {"name": name, "base_path": str(root / name)}} for name in ("again", "unnamed")]
    (root / "config.json").write_text(json.dumps({"model_config_list": entries}))
    with ServerProcess("--config_path", str(root / "config.json")) as running:
        yield running.wait_ready()


CASES = [
    pytest.param("again", "x", {"a": 1, "b": 2, "c": 3}, id="again"),
    pytest.param("unnamed", "in_0", {"out_0": 1, "out_1": 2}, id="unnamed"),
]


@pytest.mark.parametrize(("model", "name", "outputs"), CASES)
def test_rest_tells_and_answers_these_names(server, model, name, outputs):
    told = json.loads(server.get(f"/v2/models/{model}")[1])
    assert [one["name"] for one in told["inputs"]] == [name]
    assert [one["name"] for one in told["outputs"]] == list(outputs)
    sent = {"inputs": [{"name": name, "shape": [1, 4], "datatype": "FP32", "data": X.ravel().tolist()}]}
    asked = list(outputs)[::-1]
    for names, body in ((list(outputs), sent), (asked, sent | {"outputs": [{"name": one} for one in asked]})):
        status, answer = infer(server, model, body)
        assert status == 200, answer
        assert {one["name"]: one["data"] for one in answer["outputs"]} == dict(
            zip(names, plus(*(outputs[one] for one in names)), strict=True)
        )


@pytest.mark.parametrize(("model", "name", "outputs"), CASES)
def test_grpc_answers_these_names_the_long_way_and_the_short(server, model, name, outputs):
    tensor = triton.InferInput(name, [1, 4], "FP32")
    tensor.set_data_from_numpy(X)
    asked = [triton.InferRequestedOutput(one) for one in list(outputs)[::-1]]
    with triton.InferenceServerClient(server.grpc) as client:
        for wanted in (None, None, None, asked, asked):
            answer = client.infer(model, [tensor], outputs=wanted)
            names = [one.name for one in answer.get_response().outputs]
            assert names == (list(outputs) if wanted is None else list(outputs)[::-1])
            for one in names:
                assert np.array_equal(answer.as_numpy(one), X + outputs[one])


@pytest.mark.parametrize(("model", "name", "outputs"), CASES)
def test_tensorflow_serving_answers_these_names(server, model, name, outputs):
    for inputs in ({name: X.tolist()}, X.tolist()):
        status, raw, _ = server.post(f"/v1/models/{model}:predict", {"inputs": inputs})
        assert status == 200, raw
        want = {one: (X + number).tolist() for one, number in outputs.items()}
        assert json.loads(raw) == {"outputs": want}
