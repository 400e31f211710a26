"""Long JSON bodies: parsed slice by slice beside the loop, with the very results of the short way."""

import asyncio
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from modelserver.codec import json_text, v2_json
from modelserver.codec.body import HEADER
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


@pytest.fixture(autouse=True)
def short_slices(monkeypatch):
    """So that a few values make many slices, cut at every place there is."""
    monkeypatch.setattr(json_text, "SLICE_BYTES", 4)
    monkeypatch.setattr(v2_json, "SLICE_BYTES", 4)


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
def test_slices_give_every_value_exactly(datatype, values, monkeypatch):
    sliced = decoded(body(datatype, values))
    monkeypatch.setattr(v2_json, "SLICE_BYTES", 1 << 30)
    whole = decoded(body(datatype, values))

    assert sliced.dtype == whole.dtype
    assert sliced.tobytes() == whole.tobytes()


@pytest.mark.parametrize("indent", [None, 1])
def test_nested_rows_are_flattened_whatever_the_white_space(indent):
    want = np.arange(24, dtype=np.int32).reshape(2, 3, 4)

    got = decoded(body("INT32", want.tolist(), [2, 3, 4], indent=indent))

    assert np.array_equal(got, want)


def test_the_words_for_what_is_not_finite_are_read_in_long_bodies_too():
    got = decoded(body("FP32", [1.0, "NaN", "Infinity", "-Infinity"]))

    assert np.array_equal(got, np.array([1, np.nan, np.inf, -np.inf], np.float32), equal_nan=True)


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
        "[[[[[[]]]]]]",
        "[11111,2222,33333]",
    ],
)
def test_what_the_short_way_refuses_is_refused_with_the_same_words(text, monkeypatch):
    raw = b'{"inputs":[{"name":"x","shape":[2],"datatype":"INT32","data":' + text.encode() + b"}]}"
    with pytest.raises(InvalidRequest) as sliced:
        decoded(raw)
    monkeypatch.setattr(v2_json, "SLICE_BYTES", 1 << 30)
    with pytest.raises(InvalidRequest) as whole:
        decoded(raw)

    assert str(sliced.value) == str(whole.value)


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
