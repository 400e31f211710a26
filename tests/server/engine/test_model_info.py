"""What the author of a model says about it in its file, told with the metadata as OVMS does."""

import json

import openvino as ov
import pytest

from modelserver.engine.info import MAX_BYTES, model_info
from tests.support import models
from tests.support.server_process import ServerProcess
from tests.support.waiting import until


def described(**info) -> ov.Model:
    model = models.dummy()
    for name, value in info.items():
        model.set_rt_info(value, ["model_info", *name.split("__")])
    return model


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("described")
    told = described(
        model_type="Classification", labels=["cat", "dog"], resize__mode="standard", resize__pad_value=114,
        threshold=0.5,
    )  # fmt: skip
    told.set_rt_info("no business of clients", ["conversion_parameters", "input_model"])
    models.save(told, root / "told" / "1")
    models.save(models.dummy(), root / "silent" / "1")
    models.save(described(labels="x" * MAX_BYTES), root / "endless" / "1")
    config = root / "config.json"
    entries = [{"config": {"name": name, "base_path": name}} for name in ("told", "silent", "endless")]
    entries[0]["config"]["layout"] = "NC"  # shaping keeps it
    config.write_text(json.dumps({"model_config_list": entries}))
    with ServerProcess("--config_path", str(config)) as running:
        yield running.wait_ready()


def metadata(server, path):
    status, body, _ = server.get(f"/v2/models/{path}")
    assert status == 200
    return json.loads(body)


@pytest.mark.parametrize("path", ["told", "told/versions/1"])
def test_model_info_of_the_file_is_told_as_text_by_its_own_structure(server, path):
    assert metadata(server, path)["rt_info"] == {
        "model_info": {
            "model_type": "Classification",
            "labels": "cat dog",
            "resize": {"mode": "standard", "pad_value": "114"},
            "threshold": "0.5",
        }
    }


def test_a_model_without_it_has_no_such_key(server):
    assert metadata(server, "silent").keys() == {"name", "versions", "platform", "inputs", "outputs"}


def test_more_than_fits_into_an_answer_is_left_out_and_said_in_the_log(server):
    assert "rt_info" not in metadata(server, "endless")
    until("the line", lambda: f"more than {MAX_BYTES} bytes" in server.log(), timeout=10)


def test_values_that_are_no_text_in_memory_are_text_all_the_same():
    assert model_info(described(pad_value=114, threshold=0.5)) == {"pad_value": "114", "threshold": "0.5"}


def test_model_info_that_is_no_structure_is_none():
    model = models.dummy()
    model.set_rt_info("text", ["model_info"])
    assert model_info(model) == {}
