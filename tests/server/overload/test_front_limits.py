"""What the fronts refuse before it costs anything: big, slow, endless and broken requests."""

import contextlib
import json
import select
import socket

import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton

from tests.support.server_process import ServerProcess
from tests.support.waiting import until

LIMIT = 100_000
INFER = "/v2/models/dynamic/infer"
INDEX = "/v2/repository/index"


@pytest.fixture(scope="module")
def strict(repository):
    """Small bodies, two of them at a time, and little patience."""
    model = ("--model_name", "dynamic", "--model_path", str(repository / "dynamic"))
    limits = ("--max_request_bytes", str(LIMIT), "--grpc_memory_quota", str(LIMIT * 3 // 2))
    with ServerProcess(*model, *limits, "--client_timeout_seconds", "1.5") as running:
        yield running.wait_ready()


class Wire:
    """A connection on which everything is written by hand."""

    def __init__(self, server) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.rest_port), timeout=30)
        self.headers: list[str] = []
        """Of the last answer, in small letters."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, text: str | bytes) -> None:
        self.socket.sendall(text if isinstance(text, bytes) else text.encode())

    def answer(self) -> tuple[int, dict]:
        """Status and document of the next answer."""
        raw = b""
        while b"\r\n\r\n" not in raw:
            raw += self._more()
        head, _, body = raw.partition(b"\r\n\r\n")
        self.headers = head.decode().lower().split("\r\n")[1:]
        length = int(next(line for line in self.headers if line.startswith("content-length"))[15:])
        while len(body) < length:
            body += self._more()
        return int(head.split()[1]), json.loads(body[:length])

    def is_closed(self) -> bool:
        """Whether the server ends the connection; waits for it."""
        try:
            return not self.socket.recv(1)
        except ConnectionResetError:
            return True

    def _more(self) -> bytes:
        more = self.socket.recv(65536)
        assert more, "the connection was closed without an answer"
        return more


def post(length: int | str, path: str = INFER) -> str:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"


def body_of(values: int) -> bytes:
    tensor = {"name": "b", "shape": [1, values], "datatype": "FP32", "data": [0] * values}
    return json.dumps({"inputs": [tensor]}).encode()


@pytest.mark.parametrize("path", [INFER, INDEX])
def test_a_body_that_announces_too_much_is_refused_before_it_is_sent(strict, path):
    with Wire(strict) as wire:
        wire.send(post(LIMIT + 1, path))
        status, document = wire.answer()
        assert (status, "connection: close" in wire.headers) == (413, True)
        assert str(LIMIT) in document["error"]
        assert wire.is_closed()


@pytest.mark.parametrize("path", [INFER, INDEX])
def test_a_caller_that_sends_its_whole_body_first_still_reads_the_refusal(strict, path):
    """Closing at once would reset the connection under a caller that is still sending."""
    status, body, headers = strict.post(path, b" " * (50 << 20))
    assert (status, headers["connection"]) == (413, "close")
    assert str(LIMIT) in json.loads(body)["error"]


def test_a_caller_that_reads_no_answer_is_let_go(repository):
    """A megabyte lies in the server until somebody reads it."""
    model = ("--model_name", "dynamic", "--model_path", str(repository / "dynamic"))
    with ServerProcess(*model, "--client_timeout_seconds", "1.5", grpc=False) as server:
        server.wait_ready()
        body = body_of(2_000_000)
        with Wire(server) as wire:
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            wire.send(post(len(body)))
            wire.send(body)
            process = psutil.Process(server.process.pid)
            until("the connection", lambda: _connections(process, server) == 1, timeout=30)
            until("the connection's end", lambda: _connections(process, server) == 0, timeout=60)


def _connections(process, server) -> int:
    found = process.net_connections("tcp")
    return sum(one.status == "ESTABLISHED" and one.laddr.port == server.rest_port for one in found)


def test_a_body_that_was_refused_and_never_comes_is_answered_once(strict):
    with Wire(strict) as wire:
        wire.send(f"POST /v2/models/nobody/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {LIMIT}\r\n\r\nhalf")
        assert wire.answer()[0] == 404
        assert wire.is_closed()


def test_a_chunked_body_is_refused_where_it_becomes_too_big(strict):
    with Wire(strict) as wire:
        wire.send(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            wire.send(f"{LIMIT // 2:x}\r\n".encode() + b" " * (LIMIT // 2) + b"\r\n")
        assert wire.answer()[0] == 413


def test_a_body_just_below_the_limit_is_served(strict):
    values = (LIMIT - 200) // 3
    status, body, _ = strict.post(INFER, body_of(values))
    assert status == 200
    assert json.loads(body)["outputs"][0]["shape"] == [1, values]


def test_a_big_grpc_message_is_resource_exhausted(strict):
    tensor = triton.InferInput("b", [1, LIMIT], "FP32")
    tensor.set_data_from_numpy(np.zeros((1, LIMIT), np.float32))
    with triton.InferenceServerClient(strict.grpc) as client:
        with pytest.raises(triton.InferenceServerException, match="RESOURCE_EXHAUSTED"):
            client.infer("dynamic", [tensor])
        assert client.is_server_ready()


@pytest.mark.parametrize("path", [INFER, INDEX])
def test_bodies_beyond_the_memory_quota_are_told_to_come_later(strict, path):
    with Wire(strict) as first, Wire(strict) as second:
        first.send(post(LIMIT) + " " * (LIMIT - 1))
        until("the first body has come but for a byte", lambda: _is_held(strict), timeout=30)
        second.send(post(LIMIT, path))
        status, document = second.answer()
        assert (status, "retry-after: 1" in second.headers) == (429, True)
        assert "try again later" in document["error"]
    until("the first body's room is free again", lambda: not _is_held(strict), timeout=30)


MEGABYTE = 1_000_000


@pytest.fixture
def roomy(repository):
    """Bodies of 10 MB, two of them at a time."""
    model = ("--model_name", "dynamic", "--model_path", str(repository / "dynamic"))
    limits = ("--max_request_bytes", str(10 * MEGABYTE), "--grpc_memory_quota", str(20 * MEGABYTE))
    with ServerProcess(*model, *limits) as running:
        yield running.wait_ready()


def _is_awaited(wire: Wire, length: int) -> None:
    """Announces a body; the server has seen that and waits for it."""
    head = post(length).removesuffix("\r\n") + "Expect: 100-continue\r\n\r\n"
    wire.send(head)
    assert wire.socket.recv(100).startswith(b"HTTP/1.1 100")


def test_bodies_that_are_announced_and_never_come_hold_nobody_up(roomy):
    with contextlib.ExitStack() as idle, triton.InferenceServerClient(roomy.grpc) as client:
        for _ in range(4):
            _is_awaited(idle.enter_context(Wire(roomy)), 10 * MEGABYTE)
        for values in (10, 3 * MEGABYTE):
            assert roomy.post(INFER, body_of(values))[0] == 200
        for values in (10, 2 * MEGABYTE):
            tensor = triton.InferInput("b", [1, values], "FP32")
            tensor.set_data_from_numpy(np.zeros((1, values), np.float32))
            assert client.infer("dynamic", [tensor]).as_numpy("a").shape == (1, values)


def test_the_quota_bounds_what_has_come_however_many_send_at_a_time(roomy):
    process = psutil.Process(roomy.process.pid)
    before = process.memory_info().rss
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(roomy)) for _ in range(12)]
        for wire in wires:
            _is_awaited(wire, 10 * MEGABYTE)
        for wire in wires:
            wire.send(b" " * (10 * MEGABYTE - 1))
        until("all but two to be refused", lambda: sum(map(_is_answered, wires)) >= 10, timeout=30)
        assert {wire.answer()[0] for wire in wires if _is_answered(wire)} == {429}
        assert process.memory_info().rss - before < 60 * MEGABYTE
        assert roomy.get("/v2/health/ready")[0] == 200
    until("room again", lambda: roomy.post(INFER, body_of(3 * MEGABYTE))[0] == 200, timeout=30)


def _is_answered(wire: Wire) -> bool:
    return bool(select.select([wire.socket], [], [], 0)[0])


def _is_held(server) -> bool:
    """Whether another body of the full size has no room."""
    with Wire(server) as wire:
        wire.send(post(LIMIT))
        wire.send(b"x" * LIMIT)
        return wire.answer()[0] == 429


@pytest.mark.parametrize("begun", ["GET /v2 HTTP/1.1\r\nHost: x\r\n", post(100) + "half", "GE"])
def test_a_request_that_stops_half_way_is_told_and_closed(strict, begun):
    with Wire(strict) as wire:
        wire.send(begun)
        assert wire.answer() == (408, {"error": "The request did not come in time"})
        assert wire.is_closed()


def test_headers_that_trickle_for_ever_are_closed(strict):
    with Wire(strict) as wire:
        wire.send("GET /v2 HTTP/1.1\r\n")

        def is_refused() -> bool:
            with contextlib.suppress(OSError):
                wire.send("X-More: 1\r\n")
            return bool(select.select([wire.socket], [], [], 0.1)[0])

        until("an answer while headers still come", is_refused, timeout=30)
        assert wire.answer()[0] == 408


def test_a_connection_that_never_asks_anything_is_closed(strict):
    with Wire(strict) as wire:
        assert wire.is_closed()


def test_a_slow_answer_is_no_slow_caller(repository):
    """The caller's patience counts only while its request is incomplete."""
    model = ("--model_name", "slow", "--model_path", str(repository / "slow"))
    with ServerProcess(*model, "--client_timeout_seconds", "0.001", grpc=False) as running:
        running.wait_ready()
        raw = np.zeros((64, 1024), np.float32).tobytes()
        tensor = {"name": "x", "shape": [64, 1024], "datatype": "FP32"}
        head = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": len(raw)}}]}).encode()
        for _ in range(20):
            answer = running.post(
                "/v2/models/slow/infer", head + raw, Inference_Header_Content_Length=str(len(head))
            )
            assert answer[0] == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("NONSENSE\r\n\r\n", 400),
        ("GET /v2 HTTP/9.9\r\n\r\n", 400),
        ("GET /v2 HTTP/1.1\r\nbad header\r\n\r\n", 400),
        ("GET /v2 HTTP/1.1\r\nHost: x\r\n" + "X: " + "y" * 40_000 + "\r\nZ: " + "y" * 300_000, 431),
        (f"POST {INFER} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (post("minus"), 400),
        ("CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (post(-1), 400),
    ],
)
def test_what_is_no_http_gets_an_error_of_the_usual_shape(server, sent, status):
    with Wire(server) as wire:
        wire.send(sent)
        told, document = wire.answer()
        assert told == status
        assert document["error"]
        assert wire.is_closed()
    assert server.get("/v2")[0] == 200


def test_a_client_that_offers_http2_is_answered_in_http1(server):
    """Java's HttpClient asks for h2c with every first request."""
    body = json.dumps(
        {"inputs": [{"name": "b", "shape": [1, 10], "datatype": "FP32", "data": [0] * 10}]}
    ).encode()
    offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    head = f"POST /v2/models/dummy/infer HTTP/1.1\r\nHost: x\r\n{offer}Content-Length: {len(body)}\r\n\r\n"
    with Wire(server) as wire:
        for cut in (len(head), 100):
            whole = head.encode() + body
            wire.send(whole[:cut])
            wire.send(whole[cut:])
            assert wire.answer()[0] == 200
        wire.send(f"GET /v2 HTTP/1.1\r\nHost: x\r\n{offer}\r\n")
        assert wire.answer()[0] == 200
