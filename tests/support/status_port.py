"""Small status ports on loopback, on the test's own event loop, that answer as a test wants it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

Respond = Callable[[asyncio.StreamWriter], Awaitable[None]]


def head(length: int | None, *lines: str, status: str = "200 OK") -> bytes:
    """The head of an answer; None: its body ends with the connection."""
    sized = [] if length is None else [f"Content-Length: {length}"]
    return "\r\n".join([f"HTTP/1.1 {status}", *sized, *lines, "", ""]).encode()


@contextlib.asynccontextmanager
async def status_port(respond: Respond, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """The port of a server that answers every request by `respond`."""

    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                await respond(writer)
                await writer.drain()
        finally:
            running.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, host, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        left = list(running)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def whole(body: bytes) -> Respond:
    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(head(len(body)) + body)

    return respond


def in_parts(body: bytes, size: int, pause: float) -> Respond:
    """`size` bytes at a time, as a network delivers what is larger than a segment."""

    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(head(len(body)))
        for start in range(0, len(body), size):
            writer.write(body[start : start + size])
            await writer.drain()
            await asyncio.sleep(pause)

    return respond


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """A port whose connections are neither accepted nor refused: its queue is full, so SYNs are dropped."""
    with socket.socket() as listener, socket.socket() as first:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        first.connect(listener.getsockname())
        yield listener.getsockname()[1]
