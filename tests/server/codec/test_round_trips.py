"""What is sent to a running server comes back: every datatype, shape and encoding, REST, gRPC and bare numpy.

Bit by bit; only NaNs lose their payload in JSON, which has one word for all of them.
"""

import http.client
import json
from dataclasses import dataclass

import grpc
import numpy as np
import openvino as ov
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from openvino import opset13 as ops

from modelserver import proto
from modelserver.codec import binary
from modelserver.tensors import NUMPY, from_bf16, to_bf16
from tests.support import models
from tests.support.server_process import ServerProcess

HEADER = "inference-header-content-length"
RANKS = range(5)
MIXED = ("FP32", "INT64", "BYTES", "FP16", "BOOL")
CONTENTS = {
    "BOOL": "bool", "INT8": "int", "INT16": "int", "INT32": "int", "INT64": "int64", "UINT8": "uint",
    "UINT16": "uint", "UINT32": "uint", "UINT64": "uint64", "FP32": "fp32", "FP64": "fp64", "BYTES": "bytes",
}  # fmt: skip
steady = settings(max_examples=25, derandomize=True, deadline=None, database=None)


@dataclass
class Peer:
    """Both ways to one server, over connections that stay open."""

    rest: http.client.HTTPConnection
    rpc: grpc.UnaryUnaryMultiCallable

    def post(self, model, head, *tails):
        """Outputs as the JSON tells them, and the bytes behind it."""
        text = json.dumps(head).encode()
        headers = {HEADER: str(len(text))} if tails else {}
        self.rest.request("POST", f"/v2/models/{model}/infer", text + b"".join(tails), headers)
        answer = self.rest.getresponse()
        raw = answer.read()
        assert answer.status == 200, raw
        length = int(answer.headers.get(HEADER, len(raw)))
        return strict(raw[:length])["outputs"], raw[length:]

    def call(self, request):
        return proto.ModelInferResponse.FromString(self.rpc(request.SerializeToString(), timeout=30))


def strict(text):
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    root = tmp_path_factory.mktemp("every")
    for datatype, dtype in models.DTYPES.items():
        for rank in RANKS:
            models.save(models.passthrough(dtype, [-1] * rank), root / f"{datatype}-{rank}" / "1")
    models.save(mixed_model(), root / "mixed" / "1")
    entries = [{"config": {"name": path.name, "base_path": str(path)}} for path in sorted(root.iterdir())]
    config = root / "config.json"
    config.write_text(json.dumps({"model_config_list": entries}))
    with ServerProcess("--config_path", str(config)) as server, grpc.insecure_channel(server.grpc) as channel:
        server.wait_ready()
        rest = http.client.HTTPConnection(server.rest, timeout=30)
        yield Peer(rest, channel.unary_unary(f"/{proto.SERVICE}/ModelInfer"))
        rest.close()


def mixed_model():
    inputs = []
    for datatype in MIXED:
        node = ops.parameter(ov.PartialShape([-1, -1]), models.DTYPES[datatype], name=datatype)
        node.output(0).set_names({datatype})
        inputs.append(node)
    return ov.Model([ops.result(node) for node in inputs], inputs, "mixed")


TEXTS = st.text(max_size=6).map(str.encode)
RAWS = st.binary(max_size=6)


def arrays(datatype, elements=TEXTS, ranks=RANKS):
    shapes = st.sampled_from(ranks).flatmap(
        lambda rank: st.lists(st.integers(0, 3), min_size=rank, max_size=rank).map(tuple)
    )
    if datatype == "BYTES":
        return shapes.flatmap(lambda shape: strings(shape, elements))
    return shapes.flatmap(lambda shape: hnp.arrays(NUMPY[datatype], shape))


def strings(shape, elements):
    count = int(np.prod(shape, dtype=int))
    lists = st.lists(elements, min_size=count, max_size=count)
    return lists.map(lambda values: binary.as_objects("x", shape, values))


def bits(datatype, array):
    return bytes(binary.encode(datatype, array))


def told(datatype, array, *, nested):
    """The array as a client writes it in JSON."""
    if datatype == "BYTES":
        values = np.array([raw.decode() for raw in array.ravel()], object).reshape(array.shape)
    else:
        values = (from_bf16(array) if datatype == "BF16" else array).astype(object)
    if array.dtype.kind == "f" or datatype == "BF16":
        values = np.vectorize(worded, [object])(values) if array.size else values
    return values.tolist() if nested and array.ndim else values.ravel().tolist()


def worded(number):
    number = float(number)
    return (
        number if np.isfinite(number) else {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(number)]
    )


def read(datatype, output):
    """An output in JSON as an array."""
    if datatype == "BYTES":
        return binary.as_objects("x", tuple(output["shape"]), [text.encode() for text in output["data"]])
    values = [float(v) if isinstance(v, str) else v for v in output["data"]]
    flat = to_bf16(np.array(values, np.float32)) if datatype == "BF16" else np.array(values, NUMPY[datatype])
    return flat.reshape(output["shape"])


def without_payloads(datatype, array):
    """Every NaN the same: JSON has one word for them."""
    if datatype == "BF16":
        return to_bf16(from_bf16(array))
    return np.where(np.isnan(array), array.dtype.type("nan"), array) if array.dtype.kind == "f" else array


def same(datatype, first, second):
    return first.shape == second.shape and bits(datatype, first) == bits(datatype, second)


def described(datatype, array, **more):
    return {"name": "x", "shape": array.shape, "datatype": datatype, **more}


@pytest.mark.parametrize("nested", [True, False], ids=["nested", "flat"])
@pytest.mark.parametrize("datatype", models.DTYPES)
def test_json_comes_back_by_value_as_json_and_as_binary(peer, datatype, nested):
    @steady
    @given(arrays(datatype))
    def law(array):
        head = {"inputs": [described(datatype, array, data=told(datatype, array, nested=nested))]}
        want = without_payloads(datatype, array)
        (output,), _ = peer.post(f"{datatype}-{array.ndim}", head)
        assert same(datatype, without_payloads(datatype, read(datatype, output)), want)
        (output,), raw = peer.post(
            f"{datatype}-{array.ndim}", head | {"parameters": {"binary_data_output": True}}
        )
        assert (tuple(output["shape"]), raw) == (array.shape, bits(datatype, want))

    law()


@pytest.mark.parametrize("datatype", models.DTYPES)
def test_binary_comes_back_bit_by_bit_with_and_without_its_size(peer, datatype):
    @steady
    @given(arrays(datatype, RAWS))
    def law(array):
        raw, model = bits(datatype, array), f"{datatype}-{array.ndim}"
        asked = {"parameters": {"binary_data_output": True}}
        sized = described(datatype, array, parameters={"binary_data_size": len(raw)})
        (output,), back = peer.post(model, asked | {"inputs": [sized]}, raw)
        assert (tuple(output["shape"]), back) == (array.shape, raw)
        if datatype != "BYTES":
            assert peer.post(model, asked | {"inputs": [described(datatype, array)]}, raw)[1] == raw

    law()


@pytest.mark.parametrize("datatype", models.DTYPES)
def test_grpc_raw_and_typed_contents_come_back_bit_by_bit(peer, datatype):
    @steady
    @given(arrays(datatype, RAWS))
    def law(array):
        raw = bits(datatype, array)
        sent = proto.ModelInferRequest(model_name=f"{datatype}-{array.ndim}", raw_input_contents=[raw])
        tensor = sent.inputs.add(name="x", datatype=datatype, shape=array.shape)
        assert list(peer.call(sent).raw_output_contents) == [raw]
        if datatype in CONTENTS:
            sent.ClearField("raw_input_contents")
            getattr(tensor.contents, f"{CONTENTS[datatype]}_contents").extend(array.ravel().tolist())
            answer = peer.call(sent)
            assert (tuple(answer.outputs[0].shape), answer.raw_output_contents[0]) == (array.shape, raw)

    law()


def test_inputs_and_outputs_of_one_request_mix_their_encodings_freely(peer):
    @settings(steady, max_examples=60)
    @given(
        st.tuples(*(arrays(datatype, ranks=[2]) for datatype in MIXED)),
        st.lists(st.booleans(), min_size=len(MIXED), max_size=len(MIXED)),
        st.permutations(MIXED).flatmap(
            lambda order: st.lists(st.booleans(), min_size=5, max_size=5).map(
                lambda f: dict(zip(order, f, strict=True))
            )
        ),
    )
    def law(sent, are_binary, wanted):
        head = {"inputs": [], "outputs": [output(name, flag) for name, flag in wanted.items()]}
        tails = [b""]
        for datatype, array, is_binary in zip(MIXED, sent, are_binary, strict=True):
            raw = bits(datatype, array)
            tails += [raw] if is_binary else []
            way = (
                {"parameters": {"binary_data_size": len(raw)}}
                if is_binary
                else {"data": told(datatype, array, nested=False)}
            )
            head["inputs"].append(described(datatype, array, **way) | {"name": datatype})
        outputs, behind = peer.post("mixed", head, *tails)
        assert [one["name"] for one in outputs] == list(wanted)
        for one in outputs:
            datatype, array = one["name"], sent[MIXED.index(one["name"])]
            want = without_payloads(datatype, array)
            if wanted[datatype]:
                size = one["parameters"]["binary_data_size"]
                array, behind = (
                    binary.decode("x", datatype, tuple(one["shape"]), behind[:size]),
                    behind[size:],
                )
            else:
                array = read(datatype, one)
            assert same(datatype, without_payloads(datatype, array), want)
        assert behind == b""

    law()


def output(name, is_binary):
    return {"name": name, "parameters": {"binary_data": is_binary}}
