"""KServe v2 over gRPC on a real socket, with Triton's client and with bare messages."""

import asyncio

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from modelserver import proto
from tests.support.server_process import ServerProcess


def given(name, data, datatype):
    tensor = triton.InferInput(name, list(data.shape), datatype)
    tensor.set_data_from_numpy(data)
    return tensor


@pytest.fixture
def client(server):
    with triton.InferenceServerClient(server.grpc) as client:
        yield client


@pytest.fixture
def call(server):
    """Any method with bare messages."""
    with grpc.insecure_channel(server.grpc) as channel:

        def made(method, request, answer):
            rpc = channel.unary_unary(
                f"/{proto.SERVICE}/{method}", lambda message: message.SerializeToString(), answer.FromString
            )
            return rpc(request, timeout=20)

        yield made


def test_health_and_metadata(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("dummy", "1")
    assert client.get_server_metadata().name
    told = client.get_model_metadata("two")
    assert [(one.name, one.datatype, list(one.shape)) for one in told.inputs] == [
        ("x", "FP32", [-1, 2]),
        ("n", "INT32", [-1, 2]),
    ]


@pytest.mark.parametrize(
    "datatype",
    [
        "BOOL",
        "UINT8",
        "UINT16",
        "UINT32",
        "UINT64",
        "INT8",
        "INT16",
        "INT32",
        "INT64",
        "FP16",
        "FP32",
        "FP64",
    ],
)
def test_raw_contents_of_every_datatype_come_back_equal(client, datatype):
    data = np.array([0, 1, 0, 1, 1], triton_to_np_dtype(datatype))
    answer = client.infer(datatype.lower(), [given("x", data, datatype)])
    assert np.array_equal(answer.as_numpy("x"), data)


@pytest.mark.parametrize("shape", [[0, 10], [1, 0]])
def test_raw_contents_without_elements_are_served(call, shape):
    request = proto.ModelInferRequest(model_name="dynamic")
    request.inputs.add(name="b", datatype="FP32", shape=shape)
    request.raw_input_contents.append(b"")
    answer = call("ModelInfer", request, proto.ModelInferResponse)
    assert (list(answer.outputs[0].shape), list(answer.raw_output_contents)) == (shape, [b""])


def test_raw_bytes_come_back_equal(client):
    data = np.array([b"", b"\x00\xff", b"text"], object)
    assert client.infer("bytes", [given("x", data, "BYTES")]).as_numpy("x").tolist() == data.tolist()


TYPED = [
    ("BOOL", "bool_contents", [True, False]),
    ("INT8", "int_contents", [-128, 127]),
    ("INT16", "int_contents", [-32768, 32767]),
    ("INT32", "int_contents", [-(2**31), 2**31 - 1]),
    ("INT64", "int64_contents", [-(2**63), 2**63 - 1]),
    ("UINT8", "uint_contents", [0, 255]),
    ("UINT16", "uint_contents", [0, 65535]),
    ("UINT32", "uint_contents", [0, 2**32 - 1]),
    ("UINT64", "uint64_contents", [0, 2**64 - 1]),
    ("FP32", "fp32_contents", [0.5, -1.25]),
    ("FP64", "fp64_contents", [1 / 3, 1e300]),
    ("BYTES", "bytes_contents", [b"", b"\xff"]),
]


def typed_request(datatype, field, values, model=None, shape=None):
    request = proto.ModelInferRequest(model_name=model or datatype.lower(), id="seven")
    tensor = request.inputs.add(name="x", datatype=datatype, shape=shape or [len(values)])
    getattr(tensor.contents, field).extend(values)
    return request


@pytest.mark.parametrize(("datatype", "field", "values"), TYPED)
def test_typed_contents_of_every_datatype_are_read(call, datatype, field, values):
    answer = call("ModelInfer", typed_request(datatype, field, values), proto.ModelInferResponse)
    assert answer.id == "seven"
    (raw,) = answer.raw_output_contents
    if datatype == "BYTES":
        assert raw == b"\0\0\0\0\1\0\0\0\xff"
    else:
        dtype = triton_to_np_dtype(datatype)
        assert np.frombuffer(raw, dtype).tolist() == values


def with_raw(*raws, **fields):
    request = proto.ModelInferRequest(model_name="dummy", **fields)
    request.inputs.add(name="b", datatype="FP32", shape=[1, 10])
    request.raw_input_contents.extend(raws)
    return request


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        pytest.param(with_raw(bytes(39)), "INVALID_ARGUMENT", "Expected: 40 bytes; Actual: 39", id="size"),
        pytest.param(with_raw(bytes(40), bytes(40)), "INVALID_ARGUMENT", "different than number", id="count"),
        pytest.param(with_raw(), "INVALID_ARGUMENT", "Invalid number of values", id="nothing"),
        pytest.param(
            with_raw(bytes(40), model_version="x"), "INVALID_ARGUMENT", "not a number", id="version"
        ),
        pytest.param(
            with_raw(bytes(40), model_version="9" * 5000), "NOT_FOUND", "version is not found", id="huge"
        ),
        pytest.param(
            with_raw(bytes(40), model_version="9"), "NOT_FOUND", "version is not found", id="no version"
        ),
        pytest.param(
            typed_request("FP32", "bytes_contents", [b"x"], "fp32"),
            "INVALID_ARGUMENT",
            "fp32_contents",
            id="field",
        ),
        pytest.param(
            typed_request("INT8", "int_contents", [300]),
            "INVALID_ARGUMENT",
            "does not fit",
            id="out of range",
        ),
        pytest.param(typed_request("FP16", "fp32_contents", [1]), "INVALID_ARGUMENT", "raw_input", id="fp16"),
        pytest.param(
            proto.ModelInferRequest(model_name="none"), "NOT_FOUND", "name is not found", id="model"
        ),
    ],
)
def test_a_wrong_request_has_a_code_and_says_why(call, request_, code, message):
    with pytest.raises(grpc.RpcError) as refusal:
        call("ModelInfer", request_, proto.ModelInferResponse)
    assert (refusal.value.code().name, message in refusal.value.details()) == (code, True), refusal.value


def test_raw_and_typed_contents_together_are_refused(call):
    request = typed_request("FP32", "fp32_contents", [1.0], "fp32")
    request.raw_input_contents.append(bytes(4))
    with pytest.raises(grpc.RpcError, match="is not allowed"):
        call("ModelInfer", request, proto.ModelInferResponse)


def test_bytes_that_are_no_message_are_an_invalid_argument(server):
    with grpc.insecure_channel(server.grpc) as channel:
        rpc = channel.unary_unary(f"/{proto.SERVICE}/ModelInfer")
        for raw in (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x3a\x7f", b"\x0a"):
            with pytest.raises(grpc.RpcError) as refusal:
                rpc(raw, timeout=10)
            assert refusal.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_readiness_of_an_unknown_model_is_not_found(client):
    with pytest.raises(InferenceServerException, match="not found"):
        client.is_model_ready("none")


def test_outputs_are_filtered_in_the_order_asked(client):
    inputs = [given("x", np.ones((1, 2), np.float32), "FP32"), given("n", np.ones((1, 2), np.int32), "INT32")]
    answer = client.infer("two", inputs, outputs=[triton.InferRequestedOutput("copy")]).get_response()
    assert [output.name for output in answer.outputs] == ["copy"]


def test_a_stream_answers_each_request_in_order_and_survives_an_error(server):
    def requests():
        for start in (1.0, 2.0):
            yield typed_request("FP32", "fp32_contents", [start], "fp32")
        yield typed_request("FP32", "fp32_contents", [start], "none")
        yield typed_request("FP32", "fp32_contents", [3.0], "fp32")

    with grpc.insecure_channel(server.grpc) as channel:
        rpc = channel.stream_stream(
            f"/{proto.SERVICE}/ModelStreamInfer",
            lambda message: message.SerializeToString(),
            proto.ModelStreamInferResponse.FromString,
        )
        answers = list(rpc(requests(), timeout=20))
    values = [
        np.frombuffer(one.infer_response.raw_output_contents[0], "<f4")[0]
        for one in answers
        if not one.error_message
    ]
    assert values == [1.0, 2.0, 3.0]
    assert "not found" in answers[2].error_message


def test_the_health_service_knows_the_server_and_its_models(server):
    with grpc.insecure_channel(server.grpc) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", "dummy", proto.SERVICE):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=20)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as refusal:
            stub.Check(health_pb2.HealthCheckRequest(service="none"), timeout=20)
        assert refusal.value.code() == grpc.StatusCode.NOT_FOUND
        watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=20)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        watch.cancel()


def test_reflection_lists_the_services_and_describes_them(server):
    with grpc.insecure_channel(server.grpc) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=proto.SERVICE),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="grpc.health.v1.Health"),
        ]
        listed, *described = list(stub.ServerReflectionInfo(iter(asked), timeout=20))
    names = {service.name for service in listed.list_services_response.service}
    assert {proto.SERVICE, "grpc.health.v1.Health"} <= names
    assert all(one.file_descriptor_response.file_descriptor_proto for one in described)


async def test_many_callers_get_each_their_own_answer(server):
    async with grpc.aio.insecure_channel(server.grpc) as channel:
        rpc = channel.unary_unary(
            f"/{proto.SERVICE}/ModelInfer",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=proto.ModelInferResponse.FromString,
        )

        async def ask(number):
            data = np.full((1, 10), number, np.float32)
            answer = await rpc(with_raw(data.tobytes()), timeout=30)
            return np.frombuffer(answer.raw_output_contents[0], np.float32)[0]

        numbers = list(range(256))
        assert await asyncio.gather(*map(ask, numbers)) == [number + 1 for number in numbers]


def test_grpc_knows_the_switch_that_keeps_its_event_engine_from_the_sockets(server):
    assert "Unknown experiment" not in server.log()


def test_whoever_sets_grpcs_experiments_is_heard(repository):
    model = ("--model_name", "dummy", "--model_path", str(repository / "dummy"))
    with ServerProcess(*model, GRPC_EXPERIMENTS="no_such_thing") as server:
        server.wait_ready()
        assert "Unknown experiment: no_such_thing" in server.log()
