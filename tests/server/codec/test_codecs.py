"""Every datatype, shape and encoding survives the round trip."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from modelserver import proto
from modelserver.codec import binary, v2_json, v2_proto
from modelserver.codec.body import HEADER
from modelserver.errors import InvalidRequest
from modelserver.signature import Request
from modelserver.tensors import NUMPY, Response, Tensor, from_bf16, to_bf16
from tests.support.signatures import NUMBERS, taking

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
NUMERIC = sorted(NUMPY.keys() - {"BYTES", "BF16"})


def strings(shape):
    count = int(np.prod(shape, dtype=int))
    elements = st.lists(st.binary(max_size=9), min_size=count, max_size=count)
    return elements.map(lambda values: binary.as_objects("x", shape, values))


@st.composite
def tensors(draw, datatypes=(*NUMERIC, "BYTES")):
    datatype, shape = draw(st.sampled_from(datatypes)), draw(SHAPES)
    if datatype == "BYTES":
        return Tensor("x", datatype, draw(strings(shape)))
    return Tensor("x", datatype, draw(hnp.arrays(NUMPY[datatype], shape)))


def same(first, second):
    if first.dtype == object:
        return first.tolist() == second.tolist()
    return first.dtype == second.dtype and first.shape == second.shape and first.tobytes() == second.tobytes()


@given(tensors())
def test_raw_bytes_round_trip(tensor):
    raw = bytes(binary.encode(tensor.datatype, tensor.data))
    assert same(binary.decode("x", tensor.datatype, tensor.data.shape, raw), tensor.data)


@given(st.lists(tensors(), min_size=1, max_size=3), st.text(max_size=8))
def test_a_grpc_answer_is_what_protobuf_itself_would_write(outputs, request_id):
    message = v2_proto.encode(Response("m", 3, outputs), request_id)
    answer = proto.ModelInferResponse.FromString(message)
    assert (answer.model_name, answer.model_version, answer.id) == ("m", "3", request_id)
    for tensor, told, raw in zip(outputs, answer.outputs, answer.raw_output_contents, strict=True):
        assert (told.name, told.datatype, tuple(told.shape)) == ("x", tensor.datatype, tensor.data.shape)
        assert raw == bytes(binary.encode(tensor.datatype, tensor.data))


@given(st.lists(tensors(), min_size=1, max_size=3), st.booleans())
def test_a_grpc_request_is_read_whatever_the_order_of_its_fields(inputs, raw_first):
    head = proto.ModelInferRequest(model_name="m", id="7")
    raws = proto.ModelInferRequest()
    for number, tensor in enumerate(inputs):
        head.inputs.add(name=f"x{number}", datatype=tensor.datatype, shape=tensor.data.shape)
        raws.raw_input_contents.append(bytes(binary.encode(tensor.datatype, tensor.data)))
    parts = [head.SerializeToString(), raws.SerializeToString()]
    parsed = v2_proto.parse(b"".join(reversed(parts) if raw_first else parts))
    assert (parsed.head.model, parsed.request_id) == ("m", "7")
    decoded = v2_proto.decode(
        parsed, taking(**{f"x{number}": tensor for number, tensor in enumerate(inputs)})
    )
    for tensor, read in zip(inputs, decoded.arrays, strict=True):
        assert same(read, tensor.data)


def raw_request(request_id, values, name="x"):
    request = proto.ModelInferRequest(model_name="m", model_version="3", id=request_id)
    request.inputs.add(name=name, datatype="FP32", shape=[len(values)])
    request.raw_input_contents.append(np.array(values, np.float32).tobytes())
    return v2_proto.parse(request.SerializeToString())


def test_requests_that_differ_in_id_and_data_only_share_their_head_and_nothing_else():
    first, second = raw_request("one", [1, 2]), raw_request("zwei é", [3, 4])
    assert first.head is second.head
    assert (first.request_id, second.request_id) == ("one", "zwei é")
    data = [v2_proto.decode(parsed, NUMBERS).arrays[0].tolist() for parsed in (first, second, first)]
    assert data == [[1, 2], [3, 4], [1, 2]]


def test_a_head_that_was_good_once_does_not_excuse_wrong_sizes_later():
    assert v2_proto.decode(raw_request("", [1, 2]), NUMBERS).arrays
    short = raw_request("", [1, 2])
    short.raw = [short.raw[0][:4]]
    with pytest.raises(InvalidRequest, match="Expected: 8 bytes; Actual: 4 bytes"):
        v2_proto.decode(short, NUMBERS)
    short.raw = []
    with pytest.raises(InvalidRequest):
        v2_proto.decode(short, NUMBERS)
    short.raw = [memoryview(bytes(8))] * 2
    with pytest.raises(InvalidRequest, match="Size of raw_input_contents: 2"):
        v2_proto.decode(short, NUMBERS)


def test_callers_cannot_fill_the_memory_with_heads_of_their_own():
    long = "x" * 5000
    assert raw_request("", [1], long).head is not raw_request("", [1], long).head
    for number in range(1000):
        raw_request("", [1], f"x{number}")
    assert v2_proto._shared_head.cache_info().currsize <= 256


@given(tensors(), st.booleans())
def test_a_rest_answer_can_be_sent_back_as_a_request(tensor, is_binary):
    if tensor.datatype == "BYTES" and not is_binary:
        tensor.data = binary.as_objects(
            "x", tensor.data.shape, [element.hex().encode() for element in tensor.data.ravel()]
        )
    asked = v2_json.Decoded(Request([], ()), "", is_binary, {})
    body, length = v2_json.encode(Response("m", 1, [tensor]), asked)
    sent = body.replace(b'"outputs":', b'"inputs":', 1)
    headers = {} if length is None else {HEADER: b"%d" % (length - 1)}
    (read,) = v2_json.decode(sent, headers, taking(x=tensor)).request.arrays
    if tensor.data.dtype.kind == "f" and not is_binary:
        assert np.array_equal(read, tensor.data, equal_nan=True)
    else:
        assert same(read, tensor.data)


@given(tensors(), st.sampled_from([b"\xf8\x01\x05", b"\xf9\x01" + bytes(8), b"\xfd\x01" + bytes(4)]))
def test_unknown_fields_of_every_kind_are_skipped(tensor, unknown):
    head = proto.ModelInferRequest(model_name="m")
    head.inputs.add(name="x", datatype=tensor.datatype, shape=tensor.data.shape)
    raw = proto.ModelInferRequest(raw_input_contents=[bytes(binary.encode(tensor.datatype, tensor.data))])
    message = unknown + head.SerializeToString() + unknown + raw.SerializeToString() + unknown
    (read,) = v2_proto.decode(v2_proto.parse(message), taking(x=tensor)).arrays
    assert same(read, tensor.data)


@given(hnp.arrays(np.float32, SHAPES))
def test_bf16_is_rounded_to_the_nearest_and_read_back_the_same(array):
    bits = to_bf16(array)
    back = from_bf16(bits)
    with np.errstate(over="ignore", invalid="ignore"):
        assert np.array_equal(to_bf16(back), bits)
        finite = np.isfinite(array) & np.isfinite(back)
        assert (np.abs(back[finite] - array[finite]) <= np.abs(array[finite]) * 2**-8 + 1e-40).all()


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_or_read_but_never_break_the_parsers(raw):
    for parse in (
        v2_proto.parse,
        lambda body: v2_json.decode(body, {}, NUMBERS),
        lambda body: v2_json.decode(body, {HEADER: b"7"}, NUMBERS),
    ):
        with contextlib.suppress(InvalidRequest):
            parse(raw)
