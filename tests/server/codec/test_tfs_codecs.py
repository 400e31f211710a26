"""Every datatype, shape and form of TensorFlow Serving's requests and answers survives the round trip."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from modelserver.codec import binary, tfs_json, tfs_proto, wire
from modelserver.codec.tfs_types import DATATYPES
from modelserver.errors import InvalidRequest
from modelserver.proto import tfs
from modelserver.signature import Request
from modelserver.tensors import NUMPY, Response, Tensor, from_bf16
from tests.support.signatures import NUMBERS, taking

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
NUMERIC = sorted(NUMPY.keys() - {"BYTES"})


@st.composite
def tensors(draw, datatypes=(*NUMERIC, "BYTES"), shapes=SHAPES):
    datatype, shape = draw(st.sampled_from(datatypes)), draw(shapes)
    if datatype == "BYTES":
        count = int(np.prod(shape, dtype=int))
        elements = draw(st.lists(st.binary(max_size=9), min_size=count, max_size=count))
        return Tensor("x", datatype, binary.as_objects("x", shape, elements))
    return Tensor("x", datatype, draw(hnp.arrays(NUMPY[datatype], shape)))


def same(first, second):
    if first.dtype == object:
        return first.tolist() == second.tolist()
    return first.dtype == second.dtype and first.shape == second.shape and first.tobytes() == second.tobytes()


def proto_of(tensor):
    answer = tfs.PredictResponse.FromString(tfs_proto.encode(Response("m", 3, [tensor])))
    return answer.outputs[tensor.name]


@given(st.dictionaries(st.text(max_size=5), tensors(), min_size=1, max_size=3), st.booleans(), st.booleans())
def test_a_request_is_read_whatever_its_size_and_the_order_of_its_fields(inputs, is_cut, is_split):
    request = tfs.PredictRequest(output_filter=["a", "b"])
    request.model_spec.name = "m"
    for name, tensor in inputs.items():
        request.inputs[name].CopyFrom(proto_of(tensor))
    message = request.SerializeToString()
    if is_split:  # fields of one message may come in any order, and twice
        late = tfs.PredictRequest()
        late.model_spec.version.value = 7
        message = late.SerializeToString() + message
    parsed = tfs_proto.parse(message, cut_bytes=0 if is_cut else len(message))
    assert parsed.head.model_spec.name == "m"
    decoded = tfs_proto.decode(parsed, taking(**inputs))
    assert [output.name for output in decoded.outputs] == ["a", "b"]
    for array, sent in zip(decoded.arrays, inputs.values(), strict=True):
        assert same(array, sent.data)


@pytest.mark.parametrize("is_reversed", [False, True])
def test_an_input_that_is_written_unusually_is_read_like_any_other(is_reversed):
    content = tfs.TensorProto(tensor_content=np.arange(5000, dtype=np.float32).tobytes()).SerializeToString()
    head = tfs.TensorProto(dtype=1)
    head.tensor_shape.dim.add(size=5000)
    parts = [head.SerializeToString(), tfs.TensorProto(tensor_content=b"abcd").SerializeToString(), content]
    value = b"".join(reversed(parts)) if is_reversed else b"".join(parts)
    name, value = b"\x0a\x01x", b"\x12" + wire.encode_varint(len(value)) + value
    entry = value + name if is_reversed else name + value
    message = b"\x12" + wire.encode_varint(len(entry)) + entry
    want = tfs.PredictRequest.FromString(message).inputs["x"].tensor_content
    (parsed,) = tfs_proto.parse(message).inputs
    assert (parsed.name, bytes(parsed.content)) == ("x", want)


@given(tensors())
def test_an_answer_is_what_protobuf_itself_would_write(tensor):
    told = proto_of(tensor)
    assert tfs.DATA_TYPES[DATATYPES[tensor.datatype][0]].number == told.dtype
    assert tuple(dim.size for dim in told.tensor_shape.dim) == tensor.data.shape
    if tensor.datatype == "BYTES":
        assert list(told.string_val) == tensor.data.ravel().tolist()
    else:
        assert told.tensor_content == tensor.data.tobytes()


@given(st.one_of(st.binary(max_size=200), st.just(b"\x12\x04\x0a\x00\x12\x00").map(lambda one: one * 9999)))
def test_bytes_that_are_no_message_are_refused_and_nothing_worse(message):
    with contextlib.suppress(InvalidRequest):
        tfs_proto.decode(tfs_proto.parse(message), NUMBERS)


NO_ZEROS = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4)


@given(tensors(shapes=NO_ZEROS), st.booleans(), st.booleans())
def test_json_round_trips_in_rows_and_columns(tensor, is_row, is_named):
    instances = len(tensor.data) if is_row else None
    asked = tfs_json.Decoded(Request([], ()), instances)
    answer = json.loads(tfs_json.encode(Response("m", 1, [tensor]), asked).body)
    told = answer["predictions" if is_row else "outputs"]
    if is_row:
        body = {"instances": [{"x": one} for one in told] if is_named else told}
    else:
        body = {"inputs": {"x": told} if is_named else told}
    decoded = tfs_json.decode(json.dumps(body).encode(), {}, taking(x=tensor))
    (back,) = decoded.request.arrays
    assert decoded.instances == instances
    if tensor.data.dtype.kind == "f" or tensor.datatype == "BF16":  # JSON knows one NaN only
        first, second = (from_bf16(one) if tensor.datatype == "BF16" else one for one in (back, tensor.data))
        assert np.array_equal(first, second, equal_nan=True)
    else:
        assert same(back, tensor.data)


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(repr).map(str.encode)
)
def test_bodies_that_are_no_request_are_refused_and_nothing_worse(body):
    for wrapped in (body, b'{"instances":%b}' % body, b'{"inputs":%b}' % body, b'{"inputs":{"x":%b}}' % body):
        with contextlib.suppress(InvalidRequest):
            tfs_json.decode(wrapped, {}, NUMBERS)


def test_an_output_named_bytes_is_always_base64():
    tensor = Tensor("image_bytes", "BYTES", binary.as_objects("x", (1,), [b"text"]))
    asked = tfs_json.Decoded(Request([], ()), 1)
    assert tfs_json.encode(Response("m", 1, [tensor]), asked).body == b'{"predictions":[{"b64":"dGV4dA=="}]}'
