"""The tensor that OpenVINO sees lies inside the request's own buffer."""

import json

import cv2
import numpy as np
import pytest

from modelserver import proto
from modelserver.admission import LiveLimits
from modelserver.codec import image, tfs_proto, v2_json, v2_proto
from modelserver.codec.body import HEADER
from modelserver.engine import Devices, Source, load
from modelserver.proto import tfs
from modelserver.settings.config_file import Shaping
from modelserver.settings.limits import Limits
from modelserver.tuning.machine import read_machine
from modelserver.tuning.plan import Neighbours, plan
from modelserver.tuning.wish import Wish


def opened(directory):
    chosen = plan(Wish(), read_machine(), Neighbours())
    source = Source(directory / "1" / "model.xml", Shaping(), chosen)
    return load(Devices(None), source, LiveLimits(Limits()))


@pytest.fixture(scope="module")
def loaded(repository):
    model = opened(repository / "dynamic")
    yield model
    model.close()


@pytest.fixture(scope="module")
def images(repository):
    model = opened(repository / "picture")
    yield model
    model.close()


def address_seen_by_openvino(loaded, array):
    slot = loaded._slots[0]
    loaded._bind(slot, [array])
    return slot.request.get_input_tensor(0).data.ctypes.data


def span(buffer):
    start = np.frombuffer(buffer, np.uint8).ctypes.data
    return range(start, start + len(buffer))


@pytest.mark.parametrize("pad", range(4), ids=lambda pad: f"shifted by {pad}")
def test_a_binary_rest_body_is_the_tensors_memory(loaded, pad):
    tensor = {"name": "b", "shape": [4, 25], "datatype": "FP32", "parameters": {"binary_data_size": 400}}
    head = json.dumps({"inputs": [tensor], "id": "x" * pad}).encode()
    body = head + np.arange(100, dtype=np.float32).tobytes()
    (array,) = v2_json.decode(body, {HEADER: b"%d" % len(head)}, loaded.signature).request.arrays
    assert address_seen_by_openvino(loaded, array) == span(body).start + len(head)


def test_a_raw_grpc_message_is_the_tensors_memory(loaded):
    request = proto.ModelInferRequest(model_name="dynamic")
    request.inputs.add(name="b", datatype="FP32", shape=[4, 25])
    request.raw_input_contents.append(np.arange(100, dtype=np.float32).tobytes())
    message = request.SerializeToString()
    (array,) = v2_proto.decode(v2_proto.parse(message), loaded.signature).arrays
    assert address_seen_by_openvino(loaded, array) in span(message)
    assert array.tolist() == np.arange(100).reshape(4, 25).tolist()


def test_content_in_a_predict_message_is_the_tensors_memory(loaded):
    data = np.arange(5000, dtype=np.float32).reshape(50, 100)
    request = tfs.PredictRequest()
    request.model_spec.name = "dynamic"
    tensor = request.inputs["b"]
    tensor.dtype, tensor.tensor_content = 1, data.tobytes()
    for size in data.shape:
        tensor.tensor_shape.dim.add(size=size)
    message = request.SerializeToString()
    (array,) = tfs_proto.decode(tfs_proto.parse(message), loaded.signature).arrays
    assert address_seen_by_openvino(loaded, array) in span(message)
    assert np.array_equal(array, data)


def test_a_decoded_image_is_the_tensors_memory(images):
    pixels = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3)
    encoded = cv2.imencode(".png", pixels)[1].tobytes()
    decoded = image.decode(np.array([encoded], object), images.signature.inputs[0])
    assert address_seen_by_openvino(images, decoded) == decoded.ctypes.data
    assert np.array_equal(decoded[0], pixels)
