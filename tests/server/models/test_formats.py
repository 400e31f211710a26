"""Every format that OpenVINO reads, from the repository to the answer; and names given to tensors."""

import json

import pytest

from modelserver.engine.names import read_names
from modelserver.errors import LoadFailed
from tests.support import formats, models
from tests.support.server_process import ServerProcess, free_port, run_to_end
from tests.support.waiting import until

FORMATS = ("onnx", "saved_model", "frozen_graph", "paddle", "tflite")


def config(path, bases: dict, **extra):
    entries = [{"name": name, "base_path": str(base), **extra.get(name, {})} for name, base in bases.items()]
    path.write_text(json.dumps({"model_config_list": [{"config": entry} for entry in entries]}))
    return str(path)


@pytest.fixture(scope="module")
def formats_served(tmp_path_factory):
    root = tmp_path_factory.mktemp("formats")
    files = {name: getattr(formats, name)(root / name / "1") for name in FORMATS}
    bases = {name: root / name for name in FORMATS}
    bases["single_onnx"] = files["onnx"]
    bases["paddle_by_weights"] = files["paddle"].with_suffix(".pdiparams")
    bases["plain_directory"] = files["saved_model"].parent
    with ServerProcess("--config_path", config(root / "config.json", bases)) as server:
        yield server.wait_ready()


@pytest.mark.parametrize("name", [*FORMATS, "single_onnx", "paddle_by_weights", "plain_directory"])
def test_a_model_of_every_format_is_served_as_version_one(formats_served, name):
    told = json.loads(formats_served.get(f"/v2/models/{name}")[1])
    assert (told["versions"], told["inputs"][0]["shape"]) == (["1"], [1, 4])
    sent = {"name": told["inputs"][0]["name"], "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}
    status, raw, _ = formats_served.post(f"/v2/models/{name}/infer", {"inputs": [sent]})
    assert status == 200, raw
    assert json.loads(raw)["outputs"][0]["data"] == [2, 4, 6, 8]


def test_a_file_that_describes_nothing_is_no_model(tmp_path):
    (tmp_path / "model.pdmodel").write_bytes(b"")
    ended = run_to_end("--model_name", "m", "--model_path", str(tmp_path), "--rest_port", str(free_port()))
    assert ended.returncode == 1
    assert "model.pdmodel: the file describes a model without outputs" in ended.stderr


def mapped(root, mapping):
    directory = models.save(models.two(), root / "1")
    text = mapping if isinstance(mapping, str) else json.dumps(mapping)
    (directory / "mapping_config.json").write_text(text)
    return directory


def infer(server, name, inputs, outputs=None):
    sent = [
        {"name": key, "shape": [1, 2], "datatype": datatype, "data": data}
        for key, datatype, data in zip(inputs, ("FP32", "INT32"), ([0.5, 1.5], [1, 2]), strict=True)
    ]
    body = {"inputs": sent} | ({"outputs": [{"name": one} for one in outputs]} if outputs else {})
    status, raw, _ = server.post(f"/v2/models/{name}/infer", body)
    answer = json.loads(raw)
    return status, answer if status != 200 else {one["name"]: one["data"] for one in answer["outputs"]}


def test_clients_see_and_use_the_names_of_mapping_config(tmp_path):
    mapping = {"inputs": {"x": "price", "n": "count"}, "outputs": {"sum": "total"}}
    mapped(tmp_path / "m", mapping)
    settings = {"m": {"shape": {"price": "(1,2)", "n": "(1,2)"}, "layout": {"total": "NC"}}}
    path = config(tmp_path / "config.json", {"m": tmp_path / "m"}, **settings)
    with ServerProcess("--config_path", path) as server:
        server.wait_ready()
        told = json.loads(server.get("/v2/models/m")[1])
        assert [one["name"] for one in told["inputs"]] == ["price", "count"]
        assert [one["name"] for one in told["outputs"]] == ["total", "copy"]
        assert [one["shape"] for one in told["inputs"]] == [[1, 2], [1, 2]]
        assert infer(server, "m", ("price", "count")) == (200, {"total": [1.5, 3.5], "copy": [1, 2]})
        assert infer(server, "m", ("price", "count"), ["total"]) == (200, {"total": [1.5, 3.5]})
        status, answer = infer(server, "m", ("x", "n"))
        assert (status, "Required input: price" in answer["error"]) == (400, True)


def test_a_byte_order_mark_in_front_of_the_mapping_changes_nothing(tmp_path):
    text = json.dumps({"inputs": {"x": "price"}})
    for encoding in ("utf-8", "utf-8-sig"):
        (tmp_path / "mapping_config.json").write_text(text, encoding)
        assert read_names(tmp_path / "mapping_config.json").inputs == {"x": "price"}
    (tmp_path / "mapping_config.json").write_text(text, "utf-16")
    with pytest.raises(LoadFailed, match=r"mapping_config\.json: the file is UTF-16; save it as UTF-8"):
        read_names(tmp_path / "mapping_config.json")


def test_names_may_be_exchanged(tmp_path):
    mapped(tmp_path / "m", {"outputs": {"sum": "copy", "copy": "sum"}})
    with ServerProcess("--model_name", "m", "--model_path", str(tmp_path / "m")) as server:
        server.wait_ready()
        assert infer(server, "m", ("x", "n")) == (200, {"copy": [1.5, 3.5], "sum": [1, 2]})


def test_a_changed_mapping_is_a_changed_version(tmp_path):
    directory = mapped(tmp_path / "m", {"inputs": {"x": "old"}})
    with ServerProcess("--model_name", "m", "--model_path", str(tmp_path / "m")) as server:
        server.wait_ready()
        assert infer(server, "m", ("old", "n"))[0] == 200
        (directory / "mapping_config.json").write_text(json.dumps({"inputs": {"x": "new"}}))
        until("the new name", lambda: infer(server, "m", ("new", "n"))[0] == 200, timeout=60)
        (directory / "mapping_config.json").write_text("{")
        until("the error", lambda: server.status()["models"][0]["error"], timeout=60)
        assert "mapping_config.json is not valid JSON" in server.status()["models"][0]["error"]
        assert infer(server, "m", ("new", "n"))[0] == 200


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ("{", "mapping_config.json is not valid JSON"),
        ([], "is expected"),
        ({"input": {}}, "is expected"),
        ({"inputs": {"x": 1}}, "is expected"),
        ({"inputs": {"none": "a"}}, "inputs: the model has no none; it has x, n"),
        ({"outputs": {"x": "a"}}, "outputs: the model has no x; it has sum, copy"),
        ({"inputs": {"x": "n"}}, "inputs: n would name two tensors"),
        ('{"inputs": {"x": "a", "x": "b"}}', "mapping_config.json: in one object, x is given twice"),
    ],
)
def test_a_wrong_mapping_fails_the_version_with_its_reason(tmp_path, mapping, message):
    mapped(tmp_path / "m", mapping)
    path, port = str(tmp_path / "m"), str(free_port())
    ended = run_to_end("--model_name", "m", "--model_path", path, "--rest_port", port)
    assert ended.returncode == 1
    assert message in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_a_setting_for_a_tensor_that_is_not_there_is_refused(repository):
    path, port = str(repository / "two"), str(free_port())
    ended = run_to_end(
        "--model_name", "m", "--model_path", path, "--rest_port", port, "--shape", '{"z": "(1,2)"}'
    )
    assert ended.returncode == 1
    assert "shape: the model has no z; it has x, n" in ended.stderr
