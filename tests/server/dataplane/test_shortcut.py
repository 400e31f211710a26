"""Requests that say what an earlier one said take a short way; nobody must see it in the answers."""

import json

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from modelserver import proto
from modelserver.codec import v2_proto
from modelserver.dataplane.plane import DataPlane
from modelserver.settings.config_file import ModelSettings
from modelserver.telemetry.labels import Interface
from modelserver.tensors import Call
from tests.support import models
from tests.support.parts import Parts
from tests.support.server_process import ServerProcess
from tests.support.waiting import until, until_async

ZEROS = np.zeros((1, 10), np.float32)


def given(name, data, datatype="FP32"):
    tensor = triton.InferInput(name, list(data.shape), datatype)
    tensor.set_data_from_numpy(data)
    return tensor


def pair():
    """Two inputs of one shape each: sum = x + n, copy = n + 0."""
    network = models.two()
    network.reshape({"x": [3, 2], "n": [3, 2]})
    return network


@pytest.fixture
def base(tmp_path):
    models.save(models.dummy(1), tmp_path / "dummy" / "1")
    models.save(pair(), tmp_path / "pair" / "1")
    return tmp_path


@pytest.fixture
def running(base):
    entries = [{"config": {"name": name, "base_path": str(base / name)}} for name in ("dummy", "pair")]
    (base / "config.json").write_text(json.dumps({"model_config_list": entries}))
    options = ("--config_path", str(base / "config.json"), "--file_system_poll_wait_seconds", "1")
    with ServerProcess(
        *options, "--metrics_enable", "--access_log", "true", "--log_format", "json"
    ) as server:
        server.wait_ready()
        until("both models on the loop", lambda: are_inline(server), timeout=60)
        yield server


def are_inline(server):
    """Whether all are; those that a busy machine made look slow are loaded again."""
    slow = [model["name"] for model in server.status()["models"] if not model["inline"]]
    for name in slow:
        for order in ("unload", "load"):
            assert server.post(f"/v2/repository/models/{name}/{order}", b"")[0] == 200
    return not slow


@pytest.fixture
def client(running):
    with triton.InferenceServerClient(running.grpc) as client:
        yield client


def first(client, **more):
    """The first number of an answer to zeros, and the version that gave it."""
    answer = client.infer("dummy", [given("b", ZEROS)], **more)
    return float(answer.as_numpy("a")[0, 0]), answer.get_response().model_version


def test_each_request_gets_the_answer_to_its_own_data_and_its_own_id(client):
    for number in range(20):
        data = np.full((1, 10), number, np.float32)
        name = f"request {number}" if number % 3 else ""
        answer = client.infer("dummy", [given("b", data)], request_id=name)
        assert np.array_equal(answer.as_numpy("a"), data + 1)
        assert answer.get_response().id == name


@pytest.mark.parametrize("order", [("x", "n"), ("n", "x")])
@pytest.mark.parametrize("outputs", [["sum", "copy"], ["copy", "sum"], ["copy"], None])
def test_inputs_and_outputs_keep_their_order(client, order, outputs):
    wanted = None if outputs is None else [triton.InferRequestedOutput(name) for name in outputs]
    for number in range(3):
        data = {"x": np.full((3, 2), 0.5 + number, np.float32), "n": np.full((3, 2), number, np.int32)}
        kinds = {"x": "FP32", "n": "INT32"}
        inputs = [given(name, data[name], kinds[name]) for name in order]
        answer = client.infer("pair", inputs, outputs=wanted)
        expected = {"sum": data["x"] + data["n"], "copy": data["n"]}
        told = [output.name for output in answer.get_response().outputs]
        assert told == (outputs or ["sum", "copy"])
        assert all(np.array_equal(answer.as_numpy(name), expected[name]) for name in told)


def test_data_of_another_length_is_refused_in_the_usual_words_and_nothing_is_lost(running):
    request = proto.ModelInferRequest(model_name="dummy")
    request.inputs.add(name="b", datatype="FP32", shape=[1, 10])
    with grpc.insecure_channel(running.grpc) as channel:
        rpc = channel.unary_unary(f"/{proto.SERVICE}/ModelInfer")

        def answer(*raw):
            del request.raw_input_contents[:]
            request.raw_input_contents.extend(raw)
            return proto.ModelInferResponse.FromString(rpc(request.SerializeToString(), timeout=20))

        good = ZEROS.tobytes()
        for wrong, words in (
            ((good[:-4],), "Expected: 40 bytes; Actual: 36 bytes"),
            ((good + good,), "Expected: 40 bytes; Actual: 80 bytes"),
            ((good, good), "Size of raw_input_contents: 2 is different"),
        ):
            assert answer(good).raw_output_contents == [np.ones(10, np.float32).tobytes()]
            with pytest.raises(grpc.RpcError, match=words) as failure:
                answer(*wrong)
            assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert answer(good).raw_output_contents == [np.ones(10, np.float32).tobytes()]


def test_a_new_version_answers_at_once_and_the_retired_one_no_longer(running, client, base):
    for _ in range(3):
        assert first(client) == first(client, model_version="1") == (1.0, "1")
    models.save(models.dummy(2), base / "dummy" / "2")
    until("version 2", lambda: running.answers("/v2/models/dummy/versions/2/ready"), timeout=30)
    for _ in range(3):
        assert first(client) == first(client, model_version="2") == (2.0, "2")
    until(
        "the end of version 1", lambda: not running.answers("/v2/models/dummy/versions/1/ready"), timeout=30
    )
    with pytest.raises(InferenceServerException, match="retired"):
        first(client, model_version="1")


def test_an_unloaded_model_answers_nobody_until_it_is_loaded_again(client):
    first(client), first(client)
    client.unload_model("dummy")
    with pytest.raises(InferenceServerException, match="unloaded by request"):
        first(client)
    client.load_model("dummy")
    assert first(client) == first(client) == (1.0, "1")


def test_every_request_is_counted_and_logged(running, client):
    for _ in range(7):
        first(client, headers={"x-request-id": "the same"})
    text = running.get("/metrics")[1].decode()
    labels = '{api="KServe",interface="gRPC",method="ModelInfer",name="dummy",version="1"}'
    assert f"ovms_requests_success{labels} 7" in text
    for name in ("ovms_inference_time_us", "ovms_wait_for_infer_req_time_us"):
        assert f'{name}_count{{name="dummy",version="1"}} 7' in text
    (told,) = client.get_inference_statistics("dummy").model_stats
    assert (told.inference_count, told.inference_stats.success.count) == (7, 7)
    assert told.inference_stats.compute_infer.ns > 0

    def lines():
        found = [json.loads(line) for line in running.log().splitlines() if '"the same"' in line]
        return len(found) == 7 and found

    assert {line["model"] for line in until("seven lines", lines, timeout=30)} == {"dummy"}


def message(data, name="dummy", version=""):
    request = proto.ModelInferRequest(model_name=name, model_version=version)
    request.inputs.add(name="b", datatype="FP32", shape=data.shape)
    request.raw_input_contents.append(data.tobytes())
    return request.SerializeToString()


class Plane:
    """The data plane with a catalogue of its own, asked as the gRPC front asks it."""

    def __init__(self, base, decode_images=None):
        self._parts = parts = Parts()
        self.catalogue, self.converger = parts.catalogue, parts.converger
        self._plane = DataPlane(parts.catalogue, parts.recovery, parts.metrics, decode_images)
        self._base = base

    async def __aenter__(self):
        await self.converger.apply([ModelSettings("dummy", str(self._base / "dummy"))], None)
        return self

    async def __aexit__(self, *_):
        self._parts.threads.end()

    async def long(self, data):
        """By the long way; gives what was remembered, too."""
        return await self.ask(message(data))

    async def ask(self, sent):
        """The same for a message of any kind."""
        parsed = v2_proto.parse(sent)
        with self._plane.enter(Call(Interface.GRPC, parsed.head.model, parsed.head.version)) as visit:
            request = v2_proto.decode(parsed, visit.signature)
            outputs = values(await visit.run(request))
        visit.remember(parsed.head, parsed.head.names, request)
        return outputs, self._plane.shortcut(parsed.head)

    def short(self, sent):
        """The shortcut for such a message, if there is one."""
        return self._plane.shortcut(v2_proto.parse(sent).head)


def values(response):
    return [tensor.data.copy() for tensor in response.outputs]


def answered(shortcut, raw):
    """What the short way gives."""
    response = shortcut.run(raw)
    if response is None:
        return None
    outputs = values(response)
    shortcut.finish()
    return outputs


async def test_a_small_model_on_the_loop_offers_the_short_way_until_something_is_loaded(base):
    async with Plane(base) as plane:
        (answer,), shortcut = await plane.long(ZEROS)
        raw = [memoryview((ZEROS + 4).tobytes())]
        assert np.array_equal(answer, ZEROS + 1)
        assert np.array_equal(answered(shortcut, raw)[0], ZEROS + 5)
        assert answered(shortcut, [raw[0][:-1]]) is None
        assert answered(shortcut, raw * 2) is None
        assert answered(shortcut, []) is None
        models.save(models.dummy(2), base / "dummy" / "2")
        await plane.converger.converge(None)
        assert plane.short(message(ZEROS)) is None
        (answer,), shortcut = await plane.long(ZEROS)
        assert np.array_equal(answer, ZEROS + 2)
        assert np.array_equal(answered(shortcut, raw)[0], ZEROS + 6)


async def test_what_is_remembered_of_a_retired_model_keeps_nothing_of_openvino(base):
    async with Plane(base) as plane:
        _, shortcut = await plane.long(ZEROS)
        assert shortcut.loaded._slots
        await plane.converger.unload("dummy")
        await until_async("the closing thread", lambda: not shortcut.loaded._slots, timeout=30)
        assert plane.short(message(ZEROS)) is None


async def test_openvino_sees_the_requests_own_memory_on_the_short_way_too(base):
    async with Plane(base) as plane:
        _, shortcut = await plane.long(ZEROS)
        data = ZEROS.tobytes()
        assert shortcut.run([memoryview(data)]) is not None
        (tensor,) = shortcut.loaded._slots[0].bound
        assert tensor.data.ctypes.data == np.frombuffer(data, np.uint8).ctypes.data
        shortcut.finish()
        assert not shortcut.loaded._slots[0].bound


async def test_a_model_that_goes_while_an_image_is_decoded_for_it_answers_all_the_same(base):
    pixels = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(1, 8, 6, 3)

    async def decode(_images, _spec):
        await plane.converger.unload("dummy")
        return pixels

    models.save(models.picture(), base / "dummy" / "1")
    request = proto.ModelInferRequest(model_name="dummy", raw_input_contents=[b"\x01\x00\x00\x00x"])
    request.inputs.add(name="image", datatype="BYTES", shape=[1])
    async with Plane(base, decode) as plane:
        assert plane.catalogue.find("dummy", None).serving.inline
        (answer,), shortcut = await plane.ask(request.SerializeToString())
        assert np.array_equal(answer, pixels)
        assert shortcut is None


@pytest.mark.parametrize(
    "other",
    [
        message(ZEROS + 2),
        message(ZEROS + 2, name="dumm2"),
        message(ZEROS + 2, version="7")[:-4] + b"abcd",
        message(ZEROS[:, :9]) + b"\x1a\x02id",
    ],
    ids=["other data", "another model", "another version", "an id at its end"],
)
def test_a_message_is_read_the_same_whatever_was_read_before_it(other):
    expected = proto.ModelInferRequest.FromString(other)
    for _ in range(2):
        v2_proto.parse(message(ZEROS))
        parsed = v2_proto.parse(other)
        assert parsed.head.model == expected.model_name
        assert parsed.head.version == (int(expected.model_version) if expected.model_version else None)
        assert parsed.request_id == expected.id
        assert [bytes(part) for part in parsed.raw] == list(expected.raw_input_contents)
