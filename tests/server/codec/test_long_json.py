"""Long JSON bodies: parsed slice by slice beside the loop, with the very results of the short way."""

import asyncio
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from modelserver.codec import v2_json
from modelserver.codec.body import HEADER
from modelserver.codec.json_text import SLICE_BYTES, slices
from modelserver.errors import DeadlineExceeded, InvalidRequest
from modelserver.front.http.offload import Parser
from tests.support import rest
from tests.support.signatures import signature_of

INT64 = [0, -1, 2**53 + 1, 2**63 - 1, -(2**63)]
DOUBLES = [1 / 3, 5e-324, 1.7976931348623157e308, -0.0, 1e22, 12]


def body(datatype, data, shape=None, **dumps):
    item = rest.one_input("x", shape or [len(data)], datatype, data)
    return json.dumps(item, **dumps).encode()


def decoded(raw):
    """For a model that takes what is sent."""
    datatype = re.search(rb'"datatype": ?"([A-Z0-9]+)"', raw)[1].decode()
    rank = len(re.search(rb'"shape": ?\[([^]]*)\]', raw)[1].split(b","))
    takes = signature_of(("x", datatype, [(0, -1)] * rank))
    (array,) = v2_json.decode(raw, {}, takes).request.arrays
    return array


def times(values):
    """How often they have to be repeated to make several slices."""
    return 3 * SLICE_BYTES // len(json.dumps(values))


@pytest.mark.parametrize(
    "text", ["[0]", "[1,22,333,4444,55555]", "[[[1,2],[3]],[[44]]]", "[[1.5,-2e3],\n [true,null]]"]
)
def test_an_array_may_be_cut_behind_every_value(text):
    flat = re.findall(r"[^][, \n]+", text)
    for size in range(1, len(text) + 1):
        parts = list(slices(text.encode(), size))
        assert [value for part in parts for value in json.loads(part)] == json.loads(f"[{','.join(flat)}]")
        assert len(parts) <= -(-len(text) // size)
    assert len(list(slices(text.encode(), 1))) == len(flat)


@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        ("INT64", INT64 * 3),
        ("UINT64", [2**64 - 1, 0, 2**63]),
        ("FP64", DOUBLES * 3),
        ("FP32", [0.1, 3, -2.5e-3]),
        ("BOOL", [True, False, True]),
        ("BF16", [1.0, 2.5, -3.0]),
    ],
)
def test_slices_give_every_value_exactly(datatype, values):
    few = decoded(body(datatype, values))
    many = decoded(body(datatype, values * (count := times(values))))

    assert many.dtype == few.dtype
    assert many.tobytes() == few.tobytes() * count


@pytest.mark.parametrize("indent", [None, 1])
def test_nested_rows_are_flattened_whatever_the_white_space(indent):
    want = np.arange(200_000, dtype=np.int32).reshape(-1, 10, 4)

    got = decoded(body("INT32", want.tolist(), list(want.shape), indent=indent))

    assert np.array_equal(got, want)


def test_the_words_for_what_is_not_finite_are_read_in_long_bodies_too():
    values = [1.0, "NaN", "Infinity", "-Infinity"]
    got = decoded(body("FP32", values * (count := times(values))))

    assert np.array_equal(got, np.array([1, np.nan, np.inf, -np.inf] * count, np.float32), equal_nan=True)


MANY = SLICE_BYTES // 2


def refusal(text, count):
    """Its words; places and numbers of values are left out."""
    raw = f'{{"inputs":[{{"name":"x","shape":[{count}],"datatype":"INT32","data":{text}}}]}}'.encode()
    with pytest.raises(InvalidRequest) as refused:
        decoded(raw)
    return re.sub(r"\d+", "N", str(refused.value))


@pytest.mark.parametrize(
    "text",
    [
        "[11111,2222,]",
        "[,11111,2222]",
        "[11111,,2222]",
        "[11111,[2222]]",
        "[[11111],2222]",
        "[[11111],[[2222]]]",
        "[11111,01111]",
        "[11111,22 22]",
        "[11111,1.5]",
        "[11111,true]",
        "[11111,null]",
        "[11111,{}]",
        "[11111,99999999999999999999]",
        "[11111,2222,33333]",
    ],
)
def test_what_the_short_way_refuses_is_refused_with_the_same_words(text):
    assert refusal(text, 2) == refusal(text.replace("11111", ",".join(["11111"] * MANY)), MANY + 1)


def test_an_array_without_a_number_is_refused_however_long_it_is():
    assert refusal("[[[[[[]]]]]]", 2) == refusal(f"[[[[[[{' ' * SLICE_BYTES}]]]]]]", 2)


@pytest.fixture
def parser():
    with ThreadPoolExecutor(1) as thread:
        yield Parser(thread)


async def test_the_loop_goes_on_while_a_long_text_is_parsed(parser):
    released = threading.Event()

    def decode():
        return released.wait(30)

    parsing = asyncio.ensure_future(parser.parse(decode, None))
    await asyncio.sleep(0)
    released.set()

    assert await parsing, "the loop was not free to release this"


async def test_a_request_whose_turn_to_be_parsed_comes_too_late_is_told_so(parser):
    released = threading.Event()

    def decode():
        released.wait(30)

    first = asyncio.ensure_future(parser.parse(decode, None))
    with pytest.raises(DeadlineExceeded):
        await parser.parse(decode, asyncio.get_running_loop().time() + 0.05)
    released.set()

    await first


def test_only_the_text_of_a_request_counts_as_text():
    head = b'{"inputs":[]}'

    assert v2_json.text_bytes(head, {}) == len(head)
    assert v2_json.text_bytes(head + bytes(1000), {HEADER: str(len(head)).encode()}) == len(head)
    assert v2_json.text_bytes(head, {HEADER: b"no number"}) == 0


def test_a_long_json_body_is_answered_with_every_value(server):
    array = np.random.default_rng(2).random((300, 400), np.float32)
    item = rest.one_input("b", array.shape, "FP32", array.astype(float).tolist())

    status, answer = rest.infer(server, "dynamic", item)

    assert status == 200, answer
    assert np.allclose(answer["outputs"][0]["data"], array.ravel() + 1, rtol=1e-2)
