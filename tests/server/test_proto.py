"""The checked-in descriptor is what the .proto gives, and lives beside other clients' messages."""

import os
import subprocess
import sys
from pathlib import Path

from tritonclient.grpc import service_pb2

from modelserver import proto

HERE = Path(proto.__file__).parent


def test_the_descriptors_are_fresh(tmp_path):
    environment = {**os.environ, "PYTHON": sys.executable}
    subprocess.run([HERE / "generate.sh", tmp_path], check=True, env=environment, timeout=60)
    made = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert made == {file.name: file.read_bytes() for file in HERE.glob("*.binpb")}


def test_messages_agree_with_tritons_on_the_wire():
    ours = proto.ModelInferRequest(model_name="m", model_version="2", id="7", raw_input_contents=[b"x"])
    ours.inputs.add(name="i", datatype="INT8", shape=[1]).contents.int_contents.append(-1)
    ours.inputs[0].parameters["p"].int64_param = 5
    ours.outputs.add(name="o").parameters["q"].bool_param = True
    theirs = service_pb2.ModelInferRequest.FromString(ours.SerializeToString())
    assert str(theirs) == str(ours)
