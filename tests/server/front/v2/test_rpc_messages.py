"""KServe v2 over gRPC with messages that no client library writes: wrong ones, and unusual but right ones."""

import grpc
import numpy as np
import pytest

from modelserver import proto

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def channel(server):
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(server.grpc, options) as channel:
        yield channel


def ask(channel, method, message, answer):
    raw = message if isinstance(message, bytes) else message.SerializeToString()
    return answer.FromString(channel.unary_unary(f"/{proto.SERVICE}/{method}")(raw, timeout=60))


def infer(channel, message):
    return ask(channel, "ModelInfer", message, proto.ModelInferResponse)


def build(shape=(1, 10), *raws, model="dummy", name="b", datatype="FP32", **more):
    """A request; `more` are typed contents by field name, or fields of the request."""
    contents = {field: more.pop(field) for field in list(more) if field.endswith("_contents")}
    request = proto.ModelInferRequest(model_name=model, **more)
    tensor = request.inputs.add(name=name, datatype=datatype, shape=shape)
    for field, values in contents.items():
        getattr(tensor.contents, field).extend(values)
    request.raw_input_contents.extend(raws)
    return request


def x(model, shape, *raws, **more):
    datatype = "FP32" if model == "scalar" else model.upper()
    return build(shape, *raws, model=model, name="x", datatype=datatype, **more)


def also(request, **tensor):
    request.inputs.add(**tensor)
    return request


def asking(request, *names):
    for name in names:
        request.outputs.add(name=name)
    return request


def noting(request, place, name, **value):
    """With a parameter for the first input or output."""
    ((kind, content),) = value.items()
    setattr(getattr(request, place)[0].parameters[name], kind, content)
    return request


FORTY = bytes(40)
PAIR = {"model": "two", "name": "x"}


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        pytest.param(build([-1, 10], FORTY), "negative dimension", id="negative"),
        pytest.param(build([-(2**63), 10], FORTY), "negative dimension", id="the least integer"),
        pytest.param(build([2**63 - 1] * 2, FORTY), "too big", id="overflow"),
        pytest.param(build([2**62, 2**62], fp32_contents=[]), "too big", id="overflow without data"),
        pytest.param(build([1] * 65, bytes(4)), "shape dimensions", id="65 dimensions raw"),
        pytest.param(build([1] * 65, fp32_contents=[1]), "shape dimensions", id="65 dimensions typed"),
        pytest.param(build([10], FORTY), "number of shape dimensions", id="rank"),
        pytest.param(build([2, 10], bytes(80)), "batch size", id="batch"),
        pytest.param(build((1, 10), FORTY, datatype=""), "precision", id="no datatype"),
        pytest.param(build((1, 10), FORTY, datatype="fp32"), "precision", id="small letters"),
        pytest.param(build((1, 10), FORTY, name=""), "Required input: b", id="no name"),
        pytest.param(build(int_contents=[1] * 10), "fp32_contents", id="another field"),
        pytest.param(build(fp32_contents=[1] * 10, int_contents=[1]), "fp32_contents", id="two fields"),
        pytest.param(build(fp32_contents=[1] * 11), "Expected: 10; Actual: 11", id="too many values"),
        pytest.param(build(bytes_contents=[b"1"] * 10), "fp32_contents", id="bytes for numbers"),
        pytest.param(build([1], bytes_contents=[b"1"], datatype="BYTES"), "precision", id="BYTES for FP32"),
        pytest.param(x("bytes", [1], fp32_contents=[1]), "bytes_contents", id="numbers for BYTES"),
        pytest.param(x("bytes", [1], b"\1\0"), "length prefix", id="half a length"),
        pytest.param(x("bytes", [1], b"\xff\xff\xff\xffa"), "announced", id="a length beyond the message"),
        pytest.param(x("bytes", [2], b"\1\0\0\0a"), "Expected: 2", id="too few strings"),
        pytest.param(x("fp16", [1]), "must be in raw_input_contents", id="FP16 without contents"),
        pytest.param(x("int8", [1], int_contents=[-129]), "does not fit", id="below INT8"),
        pytest.param(x("uint16", [1], uint_contents=[65536]), "does not fit", id="beyond UINT16"),
        pytest.param(
            also(build((1, 2), bytes(8), **PAIR), name="n", datatype="INT32", shape=[1, 2]),
            "Size of raw_input_contents: 1 is different than number of inputs: 2",
            id="one raw for two inputs",
        ),
        pytest.param(
            also(build((1, 2), bytes(8), bytes(8), **PAIR), name="x", datatype="FP32", shape=[1, 2]),
            "Required input: n",
            id="an input twice",
        ),
        pytest.param(proto.ModelInferRequest(model_name="dummy"), "number of inputs", id="no input"),
        pytest.param(asking(build((1, 10), FORTY), "a", "z"), "Unknown output z", id="unknown output"),
        pytest.param(asking(build((1, 10), FORTY), "a", "a"), "a is named twice", id="an output twice"),
        pytest.param(
            noting(asking(build((1, 10), FORTY), "a"), "outputs", "classification", int64_param=3),
            "classification is not offered",
            id="classes",
        ),
        pytest.param(
            noting(asking(build((1, 10), FORTY), "a"), "outputs", "shared_memory_region", string_param="r"),
            "shared_memory_region is not offered",
            id="an output to shared memory",
        ),
        pytest.param(
            noting(build((1, 10)), "inputs", "shared_memory_region", string_param="r"),
            "shared_memory_region is not offered",
            id="an input from shared memory",
        ),
        pytest.param(asking(build((1, 10), FORTY), *["a"] * 5000), "at most 4096", id="5000 outputs"),
        pytest.param(asking(build((1, 10), FORTY), *["a"] * 70_000), "not a valid", id="70000 outputs"),
        pytest.param(build((1, 10), FORTY, model_version="-1"), "not a number", id="negative version"),
        pytest.param(build((1, 10), FORTY, model_version=" 1"), "not a number", id="version with a blank"),
        pytest.param(build((1, 10), FORTY, model_version="\u0663"), "not a number", id="foreign digit"),
        pytest.param(build((1, 10), FORTY, name="n" * 100_000), "Required input: b", id="an endless name"),
        pytest.param(build((1, 10), FORTY, datatype="\U0001f600" * 5000), "precision", id="endless datatype"),
        pytest.param(b"\x0a\x02\xff\xff", "not a valid ModelInferRequest", id="no UTF-8"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_an_invalid_argument_naming_the_fault_and_the_server_goes_on(
    channel, request_, message
):
    with pytest.raises(grpc.RpcError) as refusal:
        infer(channel, request_)
    assert (refusal.value.code().name, message in refusal.value.details()) == ("INVALID_ARGUMENT", True), (
        refusal.value
    )
    assert infer(channel, build((1, 10), FORTY)).outputs[0].name == "a"


@pytest.mark.parametrize(
    ("method", "request_", "code"),
    [
        ("ModelInfer", build((1, 10), FORTY, model_version="0"), "NOT_FOUND"),
        ("ModelInfer", b"", "NOT_FOUND"),
        ("ModelReady", proto.ModelReadyRequest(name="none"), "NOT_FOUND"),
        ("ModelReady", proto.ModelReadyRequest(name="dummy", version="7"), "NOT_FOUND"),
        ("ModelReady", proto.ModelReadyRequest(name="dummy", version="x"), "INVALID_ARGUMENT"),
        ("ModelMetadata", proto.ModelMetadataRequest(name="none"), "NOT_FOUND"),
        ("ModelMetadata", proto.ModelMetadataRequest(name="dummy", version="9" * 30), "NOT_FOUND"),
        ("ModelMetadata", proto.ModelMetadataRequest(name="dummy", version="x"), "INVALID_ARGUMENT"),
        ("ModelReady", b"\xff\xff", "INVALID_ARGUMENT"),
        ("ModelMetadata", b"\xff\xff", "INVALID_ARGUMENT"),
        ("ServerLive", b"\xff\xff", "INVALID_ARGUMENT"),
        ("NoSuchMethod", b"", "UNIMPLEMENTED"),
    ],
)
def test_every_method_has_the_twins_of_rests_codes(channel, method, request_, code):
    with pytest.raises(grpc.RpcError) as refusal:
        ask(channel, method, request_, proto.ModelInferResponse)
    assert refusal.value.code().name == code


@pytest.mark.parametrize(
    ("request_", "raw"),
    [
        pytest.param(x("scalar", [], bytes(4)), bytes(4), id="scalar raw"),
        pytest.param(x("scalar", [], fp32_contents=[2.5]), b"\0\0\x20\x40", id="scalar typed"),
        pytest.param(x("fp32", [0], fp32_contents=[]), b"", id="nothing typed"),
        pytest.param(x("bytes", [0], bytes_contents=[]), b"", id="no strings"),
        pytest.param(x("bytes", [1], bytes_contents=[b""]), bytes(4), id="an empty string"),
        pytest.param(x("fp16", [2], b"\0\x3c\0\xfc"), b"\0\x3c\0\xfc", id="FP16"),
        pytest.param(x("bf16", [2], b"\x80\x3f\xc1\x7f"), b"\x80\x3f\xc1\x7f", id="BF16 with a NaN"),
        pytest.param(x("fp64", [1], np.array([1 / 3]).tobytes()), np.array([1 / 3]).tobytes(), id="FP64"),
    ],
)  # fmt: skip
def test_what_is_unusual_but_right_comes_back_bit_by_bit(channel, request_, raw):
    answer = infer(channel, request_)
    assert (list(answer.outputs[0].shape), list(answer.raw_output_contents)) == (
        list(request_.inputs[0].shape),
        [raw],
    )


def test_contents_that_are_named_but_empty_do_not_contradict_raw_ones(channel):
    request = build((1, 10), FORTY)
    request.inputs[0].contents.SetInParent()
    assert infer(channel, request).raw_output_contents


def test_parameters_of_every_type_are_accepted_and_the_id_comes_back(channel):
    request = build((1, 10), FORTY, id="größe \U0001f600")
    for place in (request, request.inputs[0], asking(request, "a").outputs[0]):
        place.parameters["flag"].bool_param = True
        place.parameters["whole"].int64_param = -(2**63)
        place.parameters["text"].string_param = "a"
        place.parameters["classification"].int64_param = 0
    answer = infer(channel, request)
    assert (answer.id, answer.model_name, answer.model_version) == ("größe \U0001f600", "dummy", "1")


def test_fifty_megabytes_go_both_ways(channel):
    data = np.arange(50 * MEBIBYTE // 4, dtype=np.float32)
    answer = infer(channel, build([1, data.size], data.tobytes(), model="dynamic"))
    assert np.array_equal(np.frombuffer(answer.raw_output_contents[0], np.float32), data + 1)


def test_metadata_of_a_version_is_what_rest_says(channel, server):
    answer = ask(
        channel,
        "ModelMetadata",
        proto.ModelMetadataRequest(name="scalar", version="1"),
        proto.ModelMetadataResponse,
    )
    assert (answer.name, list(answer.versions), answer.platform) == ("scalar", ["1"], "OpenVINO")
    assert [(one.name, one.datatype, list(one.shape)) for one in answer.inputs] == [("x", "FP32", [])]
