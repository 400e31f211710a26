"""The newest tritonclient, unchanged, in all four kinds: http, grpc and their asyncio twins."""

import inspect
import queue
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as over_grpc
import tritonclient.grpc.aio as over_grpc_aio
import tritonclient.http as over_http
import tritonclient.http.aio as over_http_aio
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from tests.support import client_environment, models
from tests.support.server_process import ServerProcess

KINDS = {"http": over_http, "grpc": over_grpc, "http.aio": over_http_aio, "grpc.aio": over_grpc_aio}
RNG = np.random.default_rng(23)


class Caller:
    """One kind of client; whatever it returns is awaited where it must be."""

    def __init__(self, kind, server):
        self.kind = kind
        self.module = KINDS[kind]
        self.is_http = kind.startswith("http")
        self._address = server.rest if self.is_http else server.grpc

    async def __aenter__(self):
        self.client = self.module.InferenceServerClient(self._address)
        return self

    async def __aexit__(self, *_):
        closing = self.client.close()
        if inspect.isawaitable(closing):
            await closing

    async def __call__(self, method, *arguments, **named):
        result = getattr(self.client, method)(*arguments, **named)
        return await result if inspect.isawaitable(result) else result

    def given(self, name, data, datatype, **more):
        tensor = self.module.InferInput(name, list(data.shape), datatype)
        tensor.set_data_from_numpy(data, **more)
        return tensor


@pytest.fixture(params=KINDS)
async def triton(request, server):
    async with Caller(request.param, server) as caller:
        yield caller


def field(told, name):
    """A member of an answer, be it JSON or a message."""
    return told[name] if isinstance(told, dict) else getattr(told, name)


async def test_health_and_metadata(triton):
    assert await triton("is_server_live")
    assert await triton("is_server_ready")
    assert await triton("is_model_ready", "dummy")
    assert await triton("is_model_ready", "dummy", "1")
    assert field(await triton("get_server_metadata"), "name")
    told = await triton("get_model_metadata", "two")
    assert [field(one, "name") for one in field(told, "inputs")] == ["x", "n"]
    assert list(field(told, "versions")) == ["1"]
    assert await triton("get_model_config", "two")


def sample(datatype):
    if datatype == "BYTES":
        return np.array([b"", b"\0\xff", "größe".encode()], object)
    return np.frombuffer(RNG.bytes(24), np.uint8).astype(triton_to_np_dtype(datatype))


@pytest.mark.parametrize("datatype", sorted(models.DTYPES.keys() - {"BF16"}))  # it wants arrays of ml_dtypes
async def test_every_datatype_comes_back(triton, datatype):
    data = sample(datatype)
    answer = await triton("infer", datatype.lower(), [triton.given("x", data, datatype)])
    back = answer.as_numpy("x")
    assert back.tolist() == data.tolist()


@pytest.mark.parametrize("kind", ["http", "http.aio"])
@pytest.mark.parametrize("is_binary", [True, False])
async def test_over_http_inputs_and_outputs_may_be_json_or_binary(server, kind, is_binary):
    x, n = RNG.random((3, 2), np.float32), RNG.integers(-9, 9, (3, 2), np.int32)
    async with Caller(kind, server) as triton:
        inputs = [triton.given("x", x, "FP32", binary_data=is_binary), triton.given("n", n, "INT32")]
        wanted = [
            triton.module.InferRequestedOutput("copy", binary_data=not is_binary),
            triton.module.InferRequestedOutput("sum", binary_data=is_binary),
        ]
        answer = await triton("infer", "two", inputs, outputs=wanted)
    assert [one["name"] for one in answer.get_response()["outputs"]] == ["copy", "sum"]
    assert np.array_equal(answer.as_numpy("copy"), n)
    assert np.array_equal(answer.as_numpy("sum"), x + n.astype(np.float32))


async def test_ids_parameters_and_hints_for_schedulers_are_accepted(triton):
    data = np.zeros((1, 10), np.float32)
    answer = await triton(
        "infer",
        "dummy",
        [triton.given("b", data, "FP32")],
        model_version="1",
        request_id="seven",
        priority=1,
        timeout=10_000_000,
        parameters={"text": "a", "whole": 1, "flag": True},
    )
    assert field(answer.get_response(), "id") == "seven"
    assert np.array_equal(answer.as_numpy("a"), data + 1)


async def test_errors_carry_the_reason(triton):
    data = np.zeros((1, 9), np.float32)
    with pytest.raises(InferenceServerException, match="Invalid input shape"):
        await triton("infer", "dummy", [triton.given("b", data, "FP32")])
    with pytest.raises(InferenceServerException, match="name is not found"):
        await triton("infer", "none", [triton.given("b", data, "FP32")])


def test_http_answers_many_requests_at_a_time(server):
    with over_http.InferenceServerClient(server.rest, concurrency=8) as client:
        inputs = []
        for number in range(40):
            tensor = over_http.InferInput("b", [1, 10], "FP32")
            inputs.append(tensor.set_data_from_numpy(np.full((1, 10), number, np.float32)))
        pending = [client.async_infer("dummy", [tensor]) for tensor in inputs]
        assert [one.get_result().as_numpy("a")[0, 0] for one in pending] == [n + 1 for n in range(40)]


def test_grpc_calls_back_and_streams_in_order(server):
    seen = queue.SimpleQueue()
    with over_grpc.InferenceServerClient(server.grpc) as client:
        tensors = [
            over_grpc.InferInput("b", [1, 10], "FP32").set_data_from_numpy(
                np.full((1, 10), number, np.float32)
            )
            for number in range(10)
        ]
        client.async_infer("dummy", [tensors[5]], lambda result, error: seen.put((result, error)))
        result, error = seen.get(timeout=30)
        assert (error, result.as_numpy("a")[0, 0]) == (None, 6)
        client.start_stream(lambda result, error: seen.put((result, error)))
        for tensor in tensors:
            client.async_stream_infer("dummy", [tensor])
        client.async_stream_infer("none", [tensors[0]])
        answers = [seen.get(timeout=30) for _ in range(11)]
        client.stop_stream()
    assert [result.as_numpy("a")[0, 0] for result, _ in answers[:10]] == [n + 1 for n in range(10)]
    assert "not found" in str(answers[10][1])


async def test_the_asyncio_client_streams_too(server):
    async def requests():
        for number in range(5):
            tensor = over_grpc_aio.InferInput("b", [1, 10], "FP32")
            yield {
                "model_name": "dummy",
                "inputs": [tensor.set_data_from_numpy(np.full((1, 10), number, np.float32))],
            }

    async with over_grpc_aio.InferenceServerClient(server.grpc) as client:
        answers = [
            result.as_numpy("a")[0, 0] async for result, error in client.stream_infer(requests()) if not error
        ]
    assert answers == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("kind", ["http", "http.aio"])
@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
@pytest.mark.parametrize("is_binary", [True, False])
async def test_bodies_come_compressed_and_answers_are_not_though_they_may_be(
    server, kind, algorithm, is_binary
):
    data = RNG.random((300, 200), np.float32)
    async with Caller(kind, server) as triton:
        tensor = triton.given("b", data, "FP32", binary_data=is_binary)
        answer = await triton(
            "infer",
            "dynamic",
            [tensor],
            request_compression_algorithm=algorithm,
            response_compression_algorithm=algorithm,
        )
    assert np.array_equal(answer.as_numpy("a"), data + 1)


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
async def test_grpc_compresses_by_itself(server, algorithm):
    data = np.zeros((1, 10), np.float32)
    async with Caller("grpc", server) as triton:
        tensor = triton.given("b", data, "FP32")
        answer = await triton("infer", "dummy", [tensor], compression_algorithm=algorithm)
        assert np.array_equal(answer.as_numpy("a"), data + 1)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("get_trace_settings", ()),
        ("get_log_settings", ()),
        ("get_system_shared_memory_status", ()),
        ("get_cuda_shared_memory_status", ()),
    ],
)
@pytest.mark.parametrize("kind", ["http", "grpc", "grpc.aio"])  # http.aio leaves a refused connection open
async def test_tritons_other_extensions_are_refused_and_break_nothing(server, kind, method, arguments):
    async with Caller(kind, server) as triton:
        with pytest.raises(InferenceServerException):
            await triton(method, *arguments)
        assert await triton("is_server_live")


def test_alone_in_its_environment_it_gets_the_same_answers(server):
    script = Path(__file__).resolve().parents[3] / "support" / "triton_clients.py"
    rows = [list(range(10)), [0.5] * 10]
    answers = client_environment.run(script, server.rest, server.grpc, calls=rows, kind="triton")
    assert answers == [{"numbers": [[n + 1 for n in row] for row in rows], "texts": ["a", "\0"]}] * 4


@pytest.fixture(params=KINDS)
async def curator(request, repository, config_of, tmp_path):
    """A client of a server whose models come and go."""
    path = config_of(tmp_path / "config.json", ["dummy", "two"])
    with ServerProcess("--config_path", str(path)) as server:
        server.wait_ready()
        async with Caller(request.param, server) as caller:
            yield caller


async def test_the_repository_is_listed_unloaded_and_loaded_and_requests_are_counted(curator):
    told = await curator("get_model_repository_index")
    listed = told if isinstance(told, list) else told.models
    assert {(field(one, "name"), field(one, "version"), field(one, "state")) for one in listed} == {
        ("dummy", "1", "READY"),
        ("two", "1", "READY"),
    }
    tensor = curator.given("b", np.zeros((1, 10), np.float32), "FP32")
    for _ in range(3):
        await curator("infer", "dummy", [tensor])
    (counts,) = field(await curator("get_inference_statistics", "dummy"), "model_stats")
    assert int(field(counts, "inference_count")) == 3
    assert int(field(field(field(counts, "inference_stats"), "success"), "count")) == 3
    await curator("unload_model", "dummy")
    assert not await curator("is_model_ready", "dummy")
    with pytest.raises(InferenceServerException):
        await curator("infer", "dummy", [tensor])
    await curator("load_model", "dummy")
    assert await curator("is_model_ready", "dummy")
    await curator("infer", "dummy", [tensor])
