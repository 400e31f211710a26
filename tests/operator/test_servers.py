"""One request to a status port, against real servers on loopback."""

import asyncio
import gzip
import socket
import tracemalloc

import pytest

from modelserver_operator.clients.servers import ServerClient
from modelserver_operator.observed.report import Answer, ProbeOutcome
from tests.support.reports import document
from tests.support.server_process import free_port
from tests.support.status_port import Respond, black_hole, head, in_parts, status_port, whole

MODELS = 64


async def ask(port: int, address: str = "127.0.0.1", limit: int | None = None) -> Answer:
    client = ServerClient() if limit is None else ServerClient(limit)
    try:
        return await client.ask(address, port)
    finally:
        await client.close()


async def answer_of(respond: Respond, host: str = "127.0.0.1", limit: int | None = None) -> Answer:
    async with status_port(respond, host) as port:
        return await ask(port, host, limit)


@pytest.mark.parametrize(("size", "pause"), [(1000, 0.005), (14_480, 0.05), (1, 0.0)])
async def test_a_document_that_arrives_in_parts_is_read_to_its_end(size: int, pause: float):
    body = document(models=MODELS if size > 1 else 1)

    answer = await answer_of(in_parts(body, size, pause))

    assert answer == Answer(ProbeOutcome.ANSWERED, body)


async def test_a_document_without_a_length_ends_with_the_connection():
    body = document(models=MODELS)

    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(head(None) + body)

    assert (await answer_of(respond)).document == body


async def test_a_document_that_is_cut_off_is_no_answer():
    body = document()

    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(head(len(body) + 10) + body)

    assert (await answer_of(respond)).outcome is ProbeOutcome.UNREACHABLE


@pytest.mark.parametrize(
    ("length", "outcome"), [(1000, ProbeOutcome.ANSWERED), (1001, ProbeOutcome.TOO_LARGE)]
)
async def test_a_document_is_read_up_to_a_limit(length: int, outcome: ProbeOutcome):
    answer = await answer_of(whole(b"x" * length), limit=1000)

    assert answer.outcome is outcome
    assert len(answer.document) <= 1000


async def test_an_endless_document_ends_at_the_limit():
    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(head(None))
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    assert (await answer_of(respond)).outcome is ProbeOutcome.TOO_LARGE


async def test_many_large_documents_do_not_fill_the_memory():
    """Four megabytes from each of the pods that are asked at the same time are more than the operator has."""

    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(head(None))
        for _ in range(60):
            writer.write(b"x" * 65536)
            await writer.drain()
        await asyncio.sleep(0.2)

    client = ServerClient()
    tracemalloc.start()

    async def outcome(port: int) -> ProbeOutcome:
        return (await client.ask("127.0.0.1", port)).outcome

    try:
        async with status_port(respond) as port:
            outcomes = await asyncio.gather(*(outcome(port) for _ in range(64)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        await client.close()

    assert peak < 150_000_000, peak
    assert set(outcomes) <= {ProbeOutcome.ANSWERED, ProbeOutcome.TIMED_OUT}
    assert outcomes.count(ProbeOutcome.ANSWERED) >= 4


async def test_a_redirect_is_not_followed():
    followed = []

    async def elsewhere(writer: asyncio.StreamWriter) -> None:
        followed.append(True)
        await whole(document())(writer)

    async with status_port(elsewhere) as target:

        async def respond(writer: asyncio.StreamWriter) -> None:
            location = f"Location: http://127.0.0.1:{target}/status"
            writer.write(head(0, location, status="302 Found"))

        answer = await answer_of(respond)

    assert answer.outcome is ProbeOutcome.REJECTED
    assert "302" in answer.problem
    assert followed == []


async def test_a_compressed_document_is_not_expanded():
    """Four megabytes of zeros are four kilobytes."""
    body = gzip.compress(b"0" * 4_000_000)

    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(head(len(body), "Content-Encoding: gzip") + body)

    assert (await answer_of(respond, limit=100_000)).document == body


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
async def test_an_address_of_ipv6_is_asked():
    body = document()

    assert (await answer_of(whole(body), host="::1")).document == body


async def test_a_server_that_accepts_and_is_silent_is_left_after_two_seconds():
    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(head(10))
        await writer.drain()
        await asyncio.sleep(3)

    assert (await answer_of(respond)).outcome is ProbeOutcome.TIMED_OUT


async def test_an_address_that_swallows_connections_is_left_after_two_seconds():
    with black_hole() as port:
        answer = await asyncio.wait_for(ask(port), 3)

    assert answer.outcome is ProbeOutcome.TIMED_OUT
    assert str(port) in answer.problem


async def test_a_closed_port_is_unreachable():
    port = free_port()

    answer = await ask(port)

    assert answer.outcome is ProbeOutcome.UNREACHABLE
    assert f"127.0.0.1:{port} cannot be reached" in answer.problem


async def test_what_is_not_http_is_unreachable():
    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")

    assert (await answer_of(respond)).outcome is ProbeOutcome.UNREACHABLE


async def test_cookies_and_proxies_play_no_part(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    assert (await answer_of(whole(document()))).outcome is ProbeOutcome.ANSWERED
