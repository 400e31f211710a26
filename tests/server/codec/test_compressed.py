"""Compressed bodies: unpacked as they come within the limits of all bodies, or refused saying why."""

import gzip
import http.client
import json
import re
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from itertools import pairwise

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserver.admission import Held, LiveLimits
from modelserver.codec.compressed import MAX_MEMBERS, PIECE_BYTES, Unpacker
from modelserver.errors import InvalidRequest, Overloaded, TooLarge
from modelserver.front.http.body import STEP_BYTES, read_body
from modelserver.front.http.headers import announced
from modelserver.settings.limits import Limits
from tests.support.rest import INFER, one_input
from tests.support.server_process import ServerProcess

RNG = np.random.default_rng(5)
LIMIT = 2_000_000
FEW_BYTES = 100_000
"""Of everything but the body that is in memory while it is read."""
DUMMY = one_input("b", [1, 10], "FP32", list(range(10)))


def raw_deflate(body):
    packing = zlib.compressobj(wbits=-15)
    return packing.compress(body) + packing.flush()


PACKED = {"gzip": gzip.compress, "deflate": zlib.compress, "raw deflate": raw_deflate}
FORMS = pytest.mark.parametrize("form", PACKED)


def coding(form):
    return form.rpartition(" ")[2]


def unpacked(form, parts):
    """The pieces, of at most 7 bytes, of a body that comes in these parts."""
    unpacker = Unpacker(coding(form), piece_bytes=7)
    pieces = []
    for part in parts:
        unpacker.feed(part)
        while not unpacker.is_used_up:
            pieces.append(unpacker.take())
    unpacker.finish()
    return pieces


def cut(raw, places):
    edges = sorted({0, len(raw), *(place % (len(raw) + 1) for place in places)})
    return [raw[start:end] for start, end in pairwise(edges)]


async def whole(headers, caller, held, begun=lambda: None):
    """The body, read as a front does; `begun` is called when the thread for unpacking begins."""
    held.announce(announced(headers).size)
    with ThreadPoolExecutor(1, "unpack", begun) as thread:
        return await read_body(headers, caller, held, thread)


BODIES = st.binary(max_size=200) | st.binary(min_size=1, max_size=3).map(lambda few: few * 300)
PLACES = st.lists(st.integers(0, 1000), max_size=8)
BEHIND = st.binary(min_size=1, max_size=9).filter(lambda more: more[0] != gzip.compress(b"")[0])
"""What cannot be another member of a gzip file."""


@FORMS
def test_a_body_comes_out_whole_in_small_pieces_wherever_it_is_cut(form):
    @given(BODIES, PLACES)
    def law(body, places):
        pieces = unpacked(form, cut(PACKED[form](body), places))
        assert b"".join(pieces) == body
        assert all(len(piece) <= 7 for piece in pieces)

    law()


@FORMS
def test_a_body_that_lacks_its_end_or_goes_on_behind_it_is_refused(form):
    @given(BODIES, PLACES, st.integers(1, 1000), BEHIND)
    def law(body, places, lacking, more):
        whole = PACKED[form](body)
        with pytest.raises(InvalidRequest, match="data after the end"):
            unpacked(form, cut(whole + more, places))
        with pytest.raises(InvalidRequest, match="ends before the end"):
            unpacked(form, cut(whole[: -1 - lacking % (len(whole) - 1)], places))

    law()


@FORMS
def test_a_damaged_body_is_an_invalid_request_or_none_but_never_another_error(form):
    @given(BODIES, PLACES, st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 255)), max_size=4))
    def law(body, places, changes):
        damaged = bytearray(PACKED[form](body))
        for place, byte in changes:
            damaged[place % len(damaged)] = byte
        with suppress(InvalidRequest):
            unpacked(form, cut(bytes(damaged), places))

    law()


@contextmanager
def traced_memory():
    """Gives a function for the highest number of bytes that were allocated meanwhile and not yet freed."""
    tracemalloc.start()
    peaks = []
    try:
        yield lambda: peaks[0]
    finally:
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()


class Caller:
    """Sends parts, as ASGI hands them over; None hangs up."""

    def __init__(self, *parts):
        self._parts = list(parts)

    async def __call__(self):
        part = self._parts.pop(0)
        if part is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": bool(self._parts)}

    @property
    def left(self):
        return len(self._parts)


async def read(form, caller, limits, **headers):
    told = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    with Held(limits) as held:
        body = await whole({b"content-encoding": coding(form).encode(), **told}, caller, held)
        return body, limits.held


@FORMS
@pytest.mark.parametrize("size", [0, 10, PIECE_BYTES, 5 * PIECE_BYTES + 3])
async def test_what_is_held_for_a_body_is_its_size_unpacked(form, size):
    limits, body = LiveLimits(Limits()), bytes(size)
    packed = PACKED[form](body)

    got, held = await read(form, Caller(packed[:3], b"", packed[3:]), limits)

    assert got == body
    assert held == max(size, len(packed))
    assert limits.held == 0


@FORMS
async def test_a_bomb_is_refused_a_piece_beyond_the_limit_and_the_rest_of_it_stays_away(form):
    limits = LiveLimits(Limits(max_request_bytes=LIMIT))
    packed = PACKED[form](bytes(200 << 20))
    caller = Caller(*cut(packed, range(0, len(packed), 10_000)))
    parts = caller.left

    with traced_memory() as peak, pytest.raises(TooLarge, match=str(LIMIT)):
        await read(form, caller, limits, content_length=str(len(packed)))

    # The piece is in memory twice for a moment: zlib grows its blocks first, then joins them.
    assert LIMIT < peak() <= LIMIT + 2 * PIECE_BYTES + FEW_BYTES
    assert caller.left >= parts - 2
    assert limits.held == 0


async def test_a_stream_without_end_that_unpacks_to_nothing_is_refused_too():
    limits = LiveLimits(Limits(max_request_bytes=LIMIT))
    nothing = b"\0\0\0\xff\xff" * 10_000

    with pytest.raises(TooLarge):
        await read("raw deflate", Caller(*[nothing] * 1000), limits)

    assert limits.held == 0


async def test_a_body_that_has_no_room_when_it_is_unpacked_is_told_to_come_later():
    limits = LiveLimits(Limits(memory_quota=LIMIT))
    limits.hold(LIMIT // 2)

    with pytest.raises(Overloaded):
        await read("gzip", Caller(gzip.compress(bytes(LIMIT * 3 // 4))), limits)

    assert limits.held == LIMIT // 2


async def test_room_is_held_for_what_has_come_and_a_step_of_what_was_announced():
    limits, seen = LiveLimits(Limits()), []
    caller = Caller(*[bytes(100_000)] * 10)

    async def receive():
        seen.append(limits.held)
        return await caller()

    with Held(limits) as held:
        await whole({b"content-length": b"1000000"}, receive, held)
        assert limits.held == 1_000_000
    assert seen == [STEP_BYTES + size for size in range(0, 900_000, 100_000)] + [
        min(900_000 + STEP_BYTES, 1_000_000)
    ]
    assert limits.held == 0


async def test_a_body_whose_room_ends_half_way_is_refused_for_now_and_gives_back_what_it_had():
    limits = LiveLimits(Limits(memory_quota=1_000_000))
    caller = Caller(*[bytes(100_000)] * 10)

    async def receive():
        if caller.left == 5:
            limits.hold(300_000)  # another one's
        return await caller()

    with pytest.raises(Overloaded), Held(limits) as held:
        await whole({b"content-length": b"1000000"}, receive, held)
    assert (limits.held, caller.left) == (300_000, 3)


async def test_an_announced_body_that_has_no_room_now_is_not_even_read():
    limits, caller = LiveLimits(Limits(memory_quota=1_000_000)), Caller(b"")
    limits.hold(300_000)
    with pytest.raises(Overloaded), Held(limits) as held:
        await whole({b"content-length": b"800000"}, caller, held)
    assert (limits.held, caller.left) == (300_000, 1)


async def test_a_packed_body_that_announces_too_much_is_not_even_read():
    caller = Caller(b"")

    with pytest.raises(TooLarge):
        await read("gzip", caller, LiveLimits(Limits(max_request_bytes=LIMIT)), content_length=str(LIMIT + 1))

    assert caller.left == 1


async def test_a_caller_that_hangs_up_half_way_is_gone():
    with pytest.raises(InvalidRequest, match="closed before the whole body"):
        await read("gzip", Caller(gzip.compress(b"body")[:9], None), LiveLimits(Limits()))


@pytest.mark.parametrize(("size", "is_beside"), [(1000, False), (1 << 20, True)])
async def test_only_big_bodies_are_unpacked_beside_the_loop(size, is_beside):
    threads = []
    caller = Caller(gzip.compress(bytes(size)))
    with Held(LiveLimits(Limits())) as held:
        await whole({b"content-encoding": b"gzip"}, caller, held, lambda: threads.append("unpack"))

    assert threads == ["unpack"] * is_beside


def headers(form, **more):
    return {"Content-Encoding": coding(form), **more}


@FORMS
def test_packed_json_is_answered_as_if_it_were_none(server, form):
    status, raw, _ = server.post(
        INFER.format("dummy"), PACKED[form](json.dumps(DUMMY).encode()), **headers(form)
    )
    assert (status, json.loads(raw)["outputs"][0]["data"]) == (200, list(range(1, 11)))


def test_answers_are_not_packed_even_for_callers_that_accept_it(server):
    text = json.dumps(one_input("b", [1, 5000], "FP32", [0] * 5000)).encode()
    status, raw, answered = server.post(
        INFER.format("dynamic"), gzip.compress(text), Accept_Encoding="gzip, deflate", **headers("gzip")
    )
    assert (status, answered["content-encoding"]) == (200, None)
    assert json.loads(raw)["outputs"][0]["data"] == [1] * 5000


@pytest.mark.parametrize("told", ["GZIP", "x-gzip", "X-Gzip"])
def test_gzip_has_two_names_however_they_are_written(server, told):
    packed = gzip.compress(json.dumps(DUMMY).encode())
    assert server.post(INFER.format("dummy"), packed, Content_Encoding=told)[0] == 200


def test_a_body_that_says_it_is_not_packed_is_not(server):
    assert server.post(INFER.format("dummy"), DUMMY, Content_Encoding="Identity")[0] == 200


@FORMS
@pytest.mark.parametrize("rows", [3, 300])
def test_the_length_of_the_json_is_counted_in_the_unpacked_body(server, form, rows):
    """As tritonclient counts."""
    data = RNG.random((rows, 1000), np.float32)
    tensor = {"name": "b", "shape": data.shape, "datatype": "FP32"}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    packed = PACKED[form](head + data.tobytes())

    status, raw, answered = server.post(
        INFER.format("dynamic"),
        packed,
        **headers(form, Inference_Header_Content_Length=str(len(head))),
    )

    assert status == 200, raw
    tail = raw[int(answered["Inference-Header-Content-Length"]) :]
    assert np.array_equal(np.frombuffer(tail, np.float32).reshape(data.shape), data + 1)


@pytest.mark.parametrize("size", [1, 7, 40, 1 << 20], ids=lambda size: f"members of {size}")
@pytest.mark.parametrize("step", [1, 30, 1 << 20], ids=lambda step: f"sent by {step}")
def test_a_gzip_body_may_have_several_members(server, size, step):
    """As written by tools that pack in blocks or append to a file: RFC 1952 calls all of it one gzip file."""
    text = json.dumps(DUMMY).encode()
    packed = b"".join(map(gzip.compress, cut(text, range(size, len(text), size)))) + gzip.compress(b"")
    with closing(http.client.HTTPConnection(server.rest, timeout=30)) as connection:
        parts = cut(packed, range(step, len(packed), step))
        connection.request("POST", INFER.format("dummy"), iter(parts), headers("gzip"))
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["outputs"][0]["data"][0]) == (200, 1)


def test_members_without_end_are_refused_before_they_take_long(server):
    body = gzip.compress(b"") * (MAX_MEMBERS + 1)
    process = psutil.Process(server.process.pid)
    before = sum(process.cpu_times()[:2])
    status, raw, _ = server.post(INFER.format("dummy"), body, **headers("gzip"))
    assert (status, "members" in json.loads(raw)["error"]) == (400, True)
    assert sum(process.cpu_times()[:2]) - before < 5


@FORMS
def test_white_space_around_the_name_of_the_coding_is_none_of_it(server, form):
    told = {"Content-Encoding": f" {coding(form).upper()} \t"}
    assert server.post(INFER.format("dummy"), PACKED[form](json.dumps(DUMMY).encode()), **told)[0] == 200


@FORMS
def test_tensorflow_serving_takes_packed_bodies(server, form):
    packed = PACKED[form](b'{"instances": [[1, 2], [3, 4]]}')
    status, raw, _ = server.post("/v1/models/dynamic:predict", packed, **headers(form))
    assert (status, json.loads(raw)) == (200, {"predictions": [[2, 3], [4, 5]]})


@FORMS
def test_so_do_the_routes_of_the_repository(server, form):
    index = "/v2/repository/index"
    want = server.post(index, {"ready": True})[1]
    assert server.post(index, PACKED[form](b'{"ready": true}'), **headers(form))[:2] == (200, want)
    assert server.post(index, b"", **headers(form))[0] == 200


@FORMS
def test_a_packed_body_may_come_in_chunks(server, form):
    packed = PACKED[form](json.dumps(DUMMY).encode())
    with closing(http.client.HTTPConnection(server.rest, timeout=30)) as connection:
        for _ in range(2):  # on one connection
            connection.request(
                "POST", INFER.format("dummy"), iter(cut(packed, range(0, 99, 9))), headers(form)
            )
            answer = connection.getresponse()
            assert (answer.status, json.loads(answer.read())["outputs"][0]["data"][0]) == (200, 1)


GOOD = gzip.compress(json.dumps(DUMMY).encode())


@pytest.mark.parametrize(
    ("told", "body", "message"),
    [
        pytest.param("gzip", GOOD[:-1], "ends before the end of its gzip", id="truncated"),
        pytest.param("gzip", GOOD[:5], "ends before the end of its gzip", id="a part of the header"),
        pytest.param("gzip", GOOD[:-8] + bytes(8), "not valid gzip: incorrect data check", id="checksum"),
        pytest.param("gzip", b"{}", "not valid gzip: incorrect header check", id="no gzip"),
        pytest.param("gzip", zlib.compress(b"{}"), "not valid gzip", id="deflate, not gzip"),
        pytest.param("deflate", GOOD, "not valid deflate", id="gzip, not deflate"),
        pytest.param("deflate", b"\xff" * 20, "not valid deflate", id="no deflate"),
        pytest.param("gzip", GOOD + b"\n", "data after the end of the gzip stream", id="trailing byte"),
        pytest.param("gzip", GOOD + GOOD, "not valid json: .*trailing characters", id="twice"),
        pytest.param("gzip", GOOD + GOOD[:9], "ends before the end of its gzip", id="half a second member"),
        pytest.param("gzip", GOOD + GOOD[:-8] + bytes(8), "incorrect data check", id="a wrong second member"),
        pytest.param(
            "deflate", zlib.compress(b"{}") * 2, "data after the end of the deflate", id="two deflates"
        ),
        pytest.param("gzip", b"", "The request body is empty", id="empty"),
        pytest.param("gzip", gzip.compress(b""), "The request body is empty", id="nothing inside"),
        pytest.param("br", GOOD, "Content-Encoding br is not supported", id="unknown"),
        pytest.param("gzip, gzip", gzip.compress(GOOD), "gzip, gzip is not supported", id="two codings"),
        pytest.param("", GOOD, "send the body as gzip, deflate or uncompressed", id="no name"),
    ],
)
def test_what_cannot_be_unpacked_is_a_400_that_says_why(server, told, body, message):
    status, raw, _ = server.post(INFER.format("dummy"), body, Content_Encoding=told)
    assert (status, list(json.loads(raw))) == (400, ["error"])
    assert re.search(message, json.loads(raw)["error"])


@pytest.mark.parametrize("path", [INFER.format("dummy"), "/v1/models/dummy:predict", "/v2/repository/index"])
@pytest.mark.parametrize("second", ["gzip", "identity", "br"])
def test_codings_in_two_lines_are_two_codings(server, path, second):
    with closing(http.client.HTTPConnection(server.rest, timeout=30)) as connection:
        connection.putrequest("POST", path)
        for name, value in [("Content-Encoding", "gzip"), ("X-Seen", "1"), ("Content-Encoding", second)]:
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(GOOD)))
        connection.endheaders(GOOD)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["error"].partition(":")[0]) == (
            400,
            f"Content-Encoding gzip, {second} is not supported",
        )


def test_other_headers_may_come_in_several_lines(server):
    with closing(http.client.HTTPConnection(server.rest, timeout=30)) as connection:
        connection.putrequest("POST", INFER.format("dummy"))
        for name, value in [("X-Forwarded-For", "a"), ("Content-Encoding", "gzip"), ("X-Forwarded-For", "b")]:
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(GOOD)))
        connection.endheaders(GOOD)
        assert connection.getresponse().status == 200


def test_a_caller_that_is_still_sending_reads_what_is_wrong_and_asks_again(server):
    with closing(http.client.HTTPConnection(server.rest, timeout=30)) as connection:
        for body, status, told in [(bytes(20 << 20), 400, b"not valid gzip"), (GOOD, 200, b"outputs")]:
            connection.request("POST", INFER.format("dummy"), body, headers("gzip"))
            answer = connection.getresponse()
            assert (answer.status, told in answer.read()) == (status, True)


@pytest.fixture(scope="module")
def limited(repository):
    """Room for a body of 2 MB, and for half another one."""
    model = ("--model_name", "dynamic", "--model_path", str(repository / "dynamic"))
    limits = ("--max_request_bytes", str(LIMIT), "--grpc_memory_quota", str(LIMIT * 3 // 2))
    with ServerProcess(*model, *limits) as running:
        yield running.wait_ready()


@FORMS
def test_a_bomb_is_a_413_and_leaves_the_room_of_a_whole_body(limited, form):
    bomb = PACKED[form](b" " * (100 << 20))
    assert len(bomb) < LIMIT // 10
    for _ in range(3):
        status, raw, _ = limited.post(INFER.format("dynamic"), bomb, **headers(form))
        assert (status, str(LIMIT) in json.loads(raw)["error"]) == (413, True)
    text = json.dumps(one_input("b", [1, 1], "FP32", [1])).encode()
    assert limited.post(INFER.format("dynamic"), text.ljust(LIMIT))[0] == 200
    assert limited.post(INFER.format("dynamic"), PACKED[form](text.ljust(LIMIT)), **headers(form))[0] == 200
    assert (
        limited.post(INFER.format("dynamic"), PACKED[form](text.ljust(LIMIT + 1)), **headers(form))[0] == 413
    )
