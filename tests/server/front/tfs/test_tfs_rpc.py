"""TensorFlow Serving over gRPC on a real socket, with bare messages."""

import cv2
import grpc
import numpy as np
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from modelserver.proto import tfs
from modelserver.tensors import NUMPY, from_bf16, to_bf16

RNG = np.random.default_rng(13)
DT = tfs.DATA_TYPES
TEN = np.arange(10, dtype=np.float32).reshape(1, 10)
CONTENT = TEN.tobytes()


@pytest.fixture
def call(server):
    """Any method; the error is returned as (code, message)."""
    with grpc.insecure_channel(server.grpc) as channel:

        def made(method, request, answer=None, timeout=20):
            service = tfs.MODEL_SERVICE if method in MODEL_METHODS else tfs.PREDICTION_SERVICE
            rpc = channel.unary_unary(
                f"/{service}/{method}",
                lambda message: message if isinstance(message, bytes) else message.SerializeToString(),
                tfs.PredictResponse.FromString if answer is None else answer.FromString,
            )
            try:
                return rpc(request, timeout=timeout)
            except grpc.RpcError as error:
                return error.code().name, error.details()

        yield made


MODEL_METHODS = ("GetModelStatus", "HandleReloadConfigRequest")


def asking(model="dummy", **spec):
    request = tfs.PredictRequest()
    request.model_spec.name = model
    for name, value in spec.items():
        if name == "version":
            request.model_spec.version.value = value
        else:
            setattr(request.model_spec, name, value)
    return request


def fill(tensor, dtype, shape, content=None, **values):
    tensor.dtype = DT[dtype].number
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    if content is not None:
        tensor.tensor_content = content
    for field, given in values.items():
        getattr(tensor, field).extend(given)


def ten(request, name="b", dtype="DT_FLOAT", shape=(1, 10), content=CONTENT, **values):
    fill(request.inputs[name], dtype, shape, content, **values)
    return request


def array(tensor, datatype):
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    return np.frombuffer(tensor.tensor_content, NUMPY[datatype]).reshape(shape)


def test_predict_answers_with_content_and_says_who_answered(call):
    answer = call("Predict", ten(asking()))
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("dummy", 1)
    assert list(answer.outputs) == ["a"]
    assert answer.outputs["a"].dtype == DT["DT_FLOAT"].number
    assert np.array_equal(array(answer.outputs["a"], "FP32"), TEN + 1)


TYPES = [
    ("BOOL", "DT_BOOL", "bool_val", [True, False]),
    ("UINT8", "DT_UINT8", "int_val", [0, 255]),
    ("UINT16", "DT_UINT16", "int_val", [0, 65535]),
    ("UINT32", "DT_UINT32", "uint32_val", [0, 2**32 - 1]),
    ("UINT64", "DT_UINT64", "uint64_val", [0, 2**64 - 1]),
    ("INT8", "DT_INT8", "int_val", [-128, 127]),
    ("INT16", "DT_INT16", "int_val", [-32768, 32767]),
    ("INT32", "DT_INT32", "int_val", [-(2**31), 2**31 - 1]),
    ("INT64", "DT_INT64", "int64_val", [-(2**63), 2**53 + 1]),
    ("FP32", "DT_FLOAT", "float_val", [0.5, -1.25]),
    ("FP64", "DT_DOUBLE", "double_val", [1 / 3, 1e300]),
    ("FP16", "DT_HALF", "half_val", [0.5, -2.0]),
    ("BF16", "DT_BFLOAT16", "half_val", [0.5, -3.140625]),
]


@pytest.mark.parametrize(("datatype", "dtype", "field", "values"), TYPES, ids=lambda one: str(one)[:12])
def test_every_datatype_comes_as_content_and_as_single_values(call, datatype, dtype, field, values):
    data = to_bf16(np.array(values, np.float32)) if datatype == "BF16" else np.array(values, NUMPY[datatype])
    single = data.view(np.uint16).tolist() if field == "half_val" else values
    for given in ({"content": data.tobytes()}, {"content": None, field: single}):
        answer = call("Predict", ten(asking(datatype.lower()), "x", dtype, [2], **given))
        output = answer.outputs["x"]
        assert output.dtype == DT[dtype].number
        told = array(output, datatype)
        assert (from_bf16(told) if datatype == "BF16" else told).tolist() == values


@pytest.mark.parametrize(("datatype", "dtype", "field", "values"), TYPES)
def test_one_number_stands_for_every_element_as_tensorflow_writes_it(call, datatype, dtype, field, values):
    is_bf16 = datatype == "BF16"
    plain = np.full(7, values[1], np.float32 if is_bf16 else NUMPY[datatype])
    data = to_bf16(plain) if is_bf16 else plain
    single = data.view(np.uint16).tolist() if field == "half_val" else data.tolist()
    request = ten(asking(datatype.lower()), "x", dtype, [7], None, **{field: single[:1]})
    assert np.array_equal(array(call("Predict", request).outputs["x"], datatype), data)


def test_a_big_tensor_of_one_number_is_taken_up_to_a_mebibyte(call):
    request = ten(asking("dynamic"), shape=[1, 1 << 18], content=None, float_val=[0.5])
    assert set(array(call("Predict", request).outputs["a"], "FP32").ravel()) == {1.5}


def test_strings_come_and_go_as_string_val(call):
    strings = [b"", b"\x00\xff", "größer".encode()]
    answer = call("Predict", ten(asking("bytes"), "x", "DT_STRING", [3], None, string_val=strings))
    assert answer.outputs["x"].dtype == DT["DT_STRING"].number
    assert list(answer.outputs["x"].string_val) == strings


@pytest.mark.parametrize("shape", [[0, 10], [1, 0]])
def test_tensors_without_elements_are_served(call, shape):
    answer = call("Predict", ten(asking("dynamic"), shape=shape, content=b""))
    assert array(answer.outputs["a"], "FP32").shape == tuple(shape)


def test_a_scalar_has_no_dimensions(call):
    content = np.float32(3.5).tobytes()
    answer = call("Predict", ten(asking("scalar"), "x", shape=[], content=content))
    assert array(answer.outputs["x"], "FP32").tolist() == 3.5


def test_images_come_as_strings(call):
    pixels = RNG.integers(0, 256, (8, 6, 3), np.uint8)
    raw = cv2.imencode(".png", pixels)[1].tobytes()
    for model, want in (("picture", pixels), ("planar", pixels.transpose(2, 0, 1))):
        answer = call("Predict", ten(asking(model), "image", "DT_STRING", [1], None, string_val=[raw]))
        assert np.array_equal(array(answer.outputs["image"], "UINT8")[0], want)
    wrong = call("Predict", ten(asking("picture"), "image", "DT_STRING", [1], None, string_val=[b"text"]))
    assert wrong[0] == "INVALID_ARGUMENT"


def test_large_content_comes_back_equal(call):
    data = RNG.random((64, 1000), np.float32)
    answer = call("Predict", ten(asking("dynamic"), shape=data.shape, content=data.tobytes()))
    assert np.array_equal(array(answer.outputs["a"], "FP32"), data + 1)


def test_the_output_filter_chooses(call):
    request = asking("two")
    fill(request.inputs["x"], "DT_FLOAT", (1, 2), float_val=[1, 2])
    fill(request.inputs["n"], "DT_INT32", (1, 2), int_val=[3, 4])
    assert set(call("Predict", request).outputs) == {"sum", "copy"}
    request.output_filter.append("copy")
    assert set(call("Predict", request).outputs) == {"copy"}
    request.output_filter.append("none")
    assert call("Predict", request)[0] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("version", [0, 1])
def test_version_zero_is_the_default(call, version):
    assert call("Predict", ten(asking(version=version))).model_spec.version.value == 1


def unknown_rank():
    request = ten(asking())
    request.inputs["b"].tensor_shape.unknown_rank = True
    return request


def filtered(*names):
    request = ten(asking())
    request.output_filter.extend(names)
    return request


def numbered(dtype):
    request = ten(asking())
    request.inputs["b"].dtype = dtype
    return request


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (tfs.PredictRequest(), "INVALID_ARGUMENT", "model_spec missing in request"),
        (b"\xff\xff\xff", "INVALID_ARGUMENT", "not a valid PredictRequest"),
        (b"\x12\x05" * 9000, "INVALID_ARGUMENT", "not a valid PredictRequest"),
        (ten(asking(version=-1)), "INVALID_ARGUMENT", "invalid model version format in request"),
        (ten(asking(version_label="x")), "INVALID_ARGUMENT", "labels are not supported"),
        (ten(asking(signature_name="x")), "INVALID_ARGUMENT", "Invalid signature name"),
        (ten(asking("none")), "NOT_FOUND", "Model with requested name is not found"),
        (ten(asking("")), "NOT_FOUND", "Model with requested name is not found"),
        (ten(asking(version=7)), "NOT_FOUND", "Model with requested version is not found"),
        (asking(), "INVALID_ARGUMENT", "Invalid number of inputs - Expected: 1; Actual: 0"),
        (ten(ten(asking()), "c"), "INVALID_ARGUMENT", "Expected: 1; Actual: 2"),
        (ten(asking(), "c"), "INVALID_ARGUMENT", "Missing input with specific name - Required input: b"),
        (
            ten(asking(), dtype="DT_INT64", content=bytes(80)),
            "INVALID_ARGUMENT",
            "Invalid input precision - Expected: FP32; Actual: INT64; input name: b",
        ),
        (filtered("a", "a"), "INVALID_ARGUMENT", "Output a is named twice"),
        (filtered("z"), "INVALID_ARGUMENT", "Unknown output z"),
        (filtered(*["a"] * 5000), "INVALID_ARGUMENT", "at most 4096"),
        (filtered(*["a"] * 70_000), "INVALID_ARGUMENT", "not a valid PredictRequest"),
        (numbered(8), "INVALID_ARGUMENT", "Expected: FP32; Actual: DT_COMPLEX64"),
        (numbered(0), "INVALID_ARGUMENT", "Expected: FP32; Actual: DT_INVALID"),
        (numbered(999), "INVALID_ARGUMENT", "Expected: FP32; Actual: datatype 999"),
        (unknown_rank(), "INVALID_ARGUMENT", "unknown rank"),
        (
            ten(asking(), content=bytes(36)),
            "INVALID_ARGUMENT",
            "Invalid content size of tensor proto - Expected: 40 bytes; Actual: 36 bytes; input name: b",
        ),
        (ten(asking(), content=None), "INVALID_ARGUMENT", "Expected: 40 bytes; Actual: 0 bytes"),
        (
            ten(asking(), content=None, float_val=[1.0, 2.0]),
            "INVALID_ARGUMENT",
            "Invalid number of values in tensor proto container - Expected: 10; Actual: 2; input name: b",
        ),
        (
            ten(asking("dynamic"), shape=[1, (1 << 18) + 1], content=None, float_val=[1.0]),
            "INVALID_ARGUMENT",
            "Expected: 262145; Actual: 1; input name: b",
        ),
        (
            ten(asking("uint8"), "x", "DT_UINT8", [2], None, int_val=[256]),
            "INVALID_ARGUMENT",
            "does not fit its datatype UINT8",
        ),
        (ten(asking(), shape=[10]), "INVALID_ARGUMENT", "Invalid number of shape dimensions"),
        (ten(asking(), shape=[2, 5]), "INVALID_ARGUMENT", "Invalid input shape - Expected: (1,10)"),
        (ten(asking(), shape=[2, 10], content=bytes(80)), "INVALID_ARGUMENT", "Invalid input batch size"),
        (ten(asking(), shape=[1, -10]), "INVALID_ARGUMENT", "negative dimension"),
        (ten(asking(), shape=[1 << 40, 1 << 40]), "INVALID_ARGUMENT", "too big"),
        (ten(asking(), shape=[1] * 70, content=bytes(4)), "INVALID_ARGUMENT", "Invalid number of shape dim"),
        (ten(asking(), content=None, int_val=[1] * 10), "INVALID_ARGUMENT", "float_val, not int_val"),
        (ten(asking(), float_val=[1] * 10), "INVALID_ARGUMENT", "not float_val, tensor_content"),
        (
            ten(asking("uint8"), "x", "DT_UINT8", [1], None, int_val=[256]),
            "INVALID_ARGUMENT",
            "does not fit its datatype UINT8",
        ),
        (
            ten(asking("fp16"), "x", "DT_HALF", [1], None, half_val=[-1]),
            "INVALID_ARGUMENT",
            "does not fit its datatype",
        ),
        (
            ten(asking("bytes"), "x", "DT_STRING", [1], b"abc"),
            "INVALID_ARGUMENT",
            "must be in string_val, not tensor_content",
        ),
        (
            ten(asking("bytes"), "x", "DT_STRING", [2], None, string_val=[b"a"]),
            "INVALID_ARGUMENT",
            "Expected: 2; Actual: 1",
        ),
        (
            ten(asking("fp32"), "x", "DT_STRING", [1], None, string_val=[b"a"]),
            "INVALID_ARGUMENT",
            "Expected: FP32; Actual: BYTES",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_predict_request_says_why(call, request_, code, message):
    told = call("Predict", request_)
    assert (told[0], message in told[1]) == (code, True), told


def test_a_deadline_is_honoured(call):
    request = ten(asking("slow"), "x", shape=[64, 1024], content=bytes(64 * 1024 * 4))
    assert call("Predict", request, timeout=0.001)[0] == "DEADLINE_EXCEEDED"
    assert call("Predict", request).outputs["y"].dtype == DT["DT_FLOAT"].number


@pytest.mark.parametrize("method", ["Classify", "Regress", "MultiInference"])
def test_methods_that_need_examples_are_refused_by_name(call, method):
    code, message = call(method, b"")
    assert (code, "use Predict" in message) == ("UNIMPLEMENTED", True)


def metadata_request(*fields, **spec):
    request = tfs.GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.CopyFrom(asking(**spec).model_spec)
    return request


def test_the_metadata_is_the_signature(call):
    answer = call(
        "GetModelMetadata", metadata_request("signature_def", model="two"), tfs.GetModelMetadataResponse
    )
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("two", 1)
    signatures = tfs.SignatureDefMap()
    assert answer.metadata["signature_def"].type_url.endswith("/tensorflow.serving.SignatureDefMap")
    assert answer.metadata["signature_def"].Unpack(signatures)
    signature = signatures.signature_def["serving_default"]
    told = {
        name: (info.name, info.dtype, [dim.size for dim in info.tensor_shape.dim])
        for name, info in (*signature.inputs.items(), *signature.outputs.items())
    }
    assert told == {
        "x": ("x", DT["DT_FLOAT"].number, [-1, 2]),
        "n": ("n", DT["DT_INT32"].number, [-1, 2]),
        "sum": ("sum", DT["DT_FLOAT"].number, [-1, 2]),
        "copy": ("copy", DT["DT_INT32"].number, [-1, 2]),
    }


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (metadata_request(), "INVALID_ARGUMENT", "Invalid signature name"),
        (metadata_request("signature"), "INVALID_ARGUMENT", "Invalid signature name"),
        (metadata_request("signature_def", "signature_def"), "INVALID_ARGUMENT", "Invalid signature name"),
        (metadata_request("signature_def", model="none"), "NOT_FOUND", "requested name is not found"),
        (metadata_request("signature_def", version=7), "NOT_FOUND", "requested version is not found"),
        (metadata_request("signature_def", version=-1), "INVALID_ARGUMENT", "invalid model version format"),
        (tfs.GetModelMetadataRequest(), "INVALID_ARGUMENT", "model_spec missing in request"),
    ],
)
def test_a_wrong_metadata_request_says_why(call, request_, code, message):
    told = call("GetModelMetadata", request_, tfs.GetModelMetadataResponse)
    assert (told[0], message in told[1]) == (code, True), told


def status_request(**spec):
    request = tfs.GetModelStatusRequest()
    request.model_spec.CopyFrom(asking(**spec).model_spec)
    return request


@pytest.mark.parametrize("spec", [{}, {"version": 0}, {"version": 1}])
def test_the_status_tells_every_version_or_the_one_asked_for(call, spec):
    answer = call("GetModelStatus", status_request(**spec), tfs.GetModelStatusResponse)
    (told,) = answer.model_version_status
    assert (told.version, told.state, told.status.error_code) == (1, 30, 0)
    assert told.status.error_message == "OK"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (tfs.GetModelStatusRequest(), "INVALID_ARGUMENT"),
        (status_request(version=-1), "INVALID_ARGUMENT"),
        (status_request(model="none"), "NOT_FOUND"),
        (status_request(version=7), "NOT_FOUND"),
    ],
)
def test_a_wrong_status_request_is_refused(call, request_, code):
    assert call("GetModelStatus", request_, tfs.GetModelStatusResponse)[0] == code


def test_reloading_the_configuration_is_answered_ok(call):
    answer = call("HandleReloadConfigRequest", tfs.ReloadConfigRequest(), tfs.ReloadConfigResponse)
    assert answer.status.error_code == 0


def test_reflection_lists_and_describes_the_services(server):
    questions = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="tensorflow.TensorProto"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=tfs.MODEL_SERVICE),
    ]
    with grpc.insecure_channel(server.grpc) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        services, *files = stub.ServerReflectionInfo(iter(questions), timeout=20)
    names = {service.name for service in services.list_services_response.service}
    assert {tfs.PREDICTION_SERVICE, tfs.MODEL_SERVICE} <= names
    assert all(file.file_descriptor_response.file_descriptor_proto for file in files)
