"""The checked-in descriptor is what the .proto gives, and lives beside other clients' messages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from tritonclient.grpc import model_config_pb2, service_pb2

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


OURS = FileDescriptorSet.FromString((HERE / "grpc_predict_v2.binpb").read_bytes()).file[0]
THEIRS = {
    **model_config_pb2.DESCRIPTOR.message_types_by_name,
    **service_pb2.DESCRIPTOR.message_types_by_name,
}


@pytest.mark.parametrize("message", OURS.message_type, ids=lambda message: message.name)
def test_every_field_has_tritons_number_and_type(message):
    theirs = THEIRS[message.name].fields_by_name
    for field in message.field:
        twin = theirs[field.name]
        assert (field.number, field.type) == (twin.number, twin.type), field.name


def test_datatypes_have_tritons_numbers():
    (ours,) = OURS.enum_type
    theirs = model_config_pb2.DESCRIPTOR.enum_types_by_name[ours.name].values_by_name
    assert {one.name: one.number for one in ours.value} == {
        name: value.number for name, value in theirs.items()
    }


def test_every_method_is_one_of_tritons():
    (service,) = OURS.service
    theirs = service_pb2.DESCRIPTOR.services_by_name[service.name].methods_by_name
    assert {one.name for one in service.method} <= set(theirs)
