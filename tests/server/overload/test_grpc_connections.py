"""What a gRPC connection may cost: metadata up to one limit, and pings up to one rate."""

import itertools
import socket
import struct
import time

import grpc
import pytest

from modelserver import proto
from modelserver.front.rpc.server import PING_SECONDS, channel_options
from modelserver.settings.limits import MAX_HEADER_BYTES
from tests.support.server_process import ServerProcess

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, PING, GOAWAY = 4, 6, 7
ACK = 1


def live(target: str, size: int) -> str:
    """The code of a call with that much metadata; the client has no limit of its own."""
    with grpc.insecure_channel(target) as channel:
        call = channel.unary_unary(f"/{proto.SERVICE}/ServerLive")
        try:
            call(b"", metadata=(("x-filler", "x" * size),), timeout=20)
        except grpc.RpcError as error:
            return error.code().name
        return "OK"


@pytest.mark.parametrize(
    ("size", "code"),
    [
        (7_000, "OK"),
        (12_000, "OK"),
        (60_000, "OK"),
        (66_000, "RESOURCE_EXHAUSTED"),
        (90_000, "RESOURCE_EXHAUSTED"),
    ],
)
def test_metadata_is_taken_up_to_one_limit_and_never_refused_at_random(server, size, code):
    assert {live(server.grpc, size) for _ in range(20)} == {code}


def test_channel_arguments_win_and_one_limit_of_metadata_is_both():
    limit = "grpc.max_metadata_size"
    ours = dict(channel_options(1000, {}))
    assert (ours[limit], ours["grpc.absolute_max_metadata_size"]) == (MAX_HEADER_BYTES,) * 2
    for given in (limit, "grpc.absolute_max_metadata_size"):
        options = dict(channel_options(1000, {given: 99, "grpc.so_reuseport": 1}))
        assert (options[limit], options["grpc.absolute_max_metadata_size"]) == (99, 99)
        assert options["grpc.so_reuseport"] == 1
    both = dict(channel_options(1000, {limit: 50, "grpc.absolute_max_metadata_size": 99}))
    assert (both[limit], both["grpc.absolute_max_metadata_size"]) == (50, 99)


class Connection:
    """HTTP/2 by hand: nothing but frames without a stream."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 20)
        self._socket.sendall(PREFACE)
        self._buffer = b""
        self._numbers = itertools.count(1)
        assert self.is_kept()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def _send(self, kind: int, payload: bytes = b"", flags: int = 0) -> None:
        self._socket.sendall(len(payload).to_bytes(3, "big") + bytes([kind, flags]) + bytes(4) + payload)

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            part = self._socket.recv(4096)
            if not part:
                return b""
            self._buffer += part
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def ping(self) -> str:
        """What the server answers: "yes", or its reason to say goodbye."""
        return self._ask(PING, struct.pack(">Q", next(self._numbers)))

    def is_kept(self) -> bool:
        """Whether the server has not said goodbye so far."""
        return self._ask(SETTINGS) == "yes"

    def _ask(self, kind: int, payload: bytes = b"") -> str:
        self._send(kind, payload)
        while head := self._take(9):
            size, came, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
            content = self._take(size)
            if came == GOAWAY:
                return content[8:].decode()
            if (came, flags, content) == (kind, ACK, payload):
                return "yes"
            if came in (SETTINGS, PING) and flags != ACK:
                self._send(came, content if came == PING else b"", ACK)
        return "closed"


def test_pings_of_an_idle_connection_are_answered_and_a_flood_of_them_is_not(repository):
    """Two strikes instead of three, to be shorter; time is what this test is about."""
    strikes = ("--grpc_channel_arguments", "grpc.http2.max_ping_strikes=1")
    model = ("--model_name", "m", "--model_path", str(repository / "dummy"))
    with ServerProcess(*model, *strikes) as server:
        server.wait_ready()
        with Connection(server.grpc_port) as idle, Connection(server.grpc_port) as flooding:
            answers = [flooding.ping() for _ in range(4)]
            assert "too_many_pings" in answers
            for _ in range(2):
                assert idle.ping() == "yes"
                time.sleep(PING_SECONDS + 0.2)
            assert idle.ping() == "yes"
            assert idle.is_kept()
        assert live(server.grpc, 10) == "OK"
