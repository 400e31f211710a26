"""HTTP as ASGI speaks it: whole answers, whole bodies, and the one shape of every error."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

import orjson

from modelserver.admission import Held
from modelserver.codec.compressed import Unpacker
from modelserver.errors import InvalidRequest, NotFound
from modelserver.front.http.offload import ON_LOOP_BYTES

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
JSON = "application/json"
LINGER_SECONDS = 5.0
STEP_BYTES = 1 << 16
"""How much more of an announced body has its room before it is read: about what uvicorn reads ahead."""


async def respond(send: Send, status: int, body: bytes, *headers: tuple[str, str], media: str = JSON) -> None:
    """One whole answer."""
    await send(_start(status, body, media, *headers))
    await send({"type": "http.response.body", "body": body})


def _start(status: int, body: bytes, media: str, *headers: tuple[str, str]) -> dict[str, Any]:
    raw = [(b"content-type", media.encode()), (b"content-length", str(len(body)).encode())]
    raw += [(name.encode(), value.encode()) for name, value in headers]
    return {"type": "http.response.start", "status": status, "headers": raw}


def error_body(message: str) -> bytes:
    """The one shape of every error."""
    return orjson.dumps({"error": message})


async def respond_error(send: Send, status: int, message: str, *headers: tuple[str, str]) -> None:
    """An error as the whole answer."""
    await respond(send, status, error_body(message), *headers)


async def respond_too_large(receive: Receive, send: Send, message: str) -> None:
    """An error, and time for a caller that is still sending: a reset connection would hide the error."""
    body = error_body(message)
    await send(_start(413, body, JSON, ("connection", "close")))
    await send({"type": "http.response.body", "body": body, "more_body": True})
    with suppress(TimeoutError, asyncio.CancelledError):  # the stopping server cancels
        async with asyncio.timeout(LINGER_SECONDS):
            while (await receive()).get("more_body", False):
                pass
    await send({"type": "http.response.body", "body": b""})


def matched(pattern: re.Pattern[str], scope: Mapping[str, Any]) -> re.Match[str]:
    """A request's path by its parts; raises NotFound.

    Names are percent-encoded, so they are cut out of the raw path before they are decoded.
    """
    path = scope["raw_path"].decode("latin-1").partition("?")[0]
    match = pattern.fullmatch(path)
    if match is None:
        raise NotFound(f"There is nothing at {unquote(path)}")
    return match


def is_long(headers: dict[bytes, bytes]) -> bool:
    """Whether the body is not worth reading for a request that will be refused."""
    announced = headers.get(b"content-length")
    # 100 kB; chunked ones do not tell, and compressed ones tell too little.
    return announced is None or len(announced) > 5 or b"content-encoding" in headers


async def read_body(headers: dict[bytes, bytes], receive: Receive, held: Held, unpacking: Executor) -> bytes:
    """The whole body, unpacked and joined once; refused before it is read when it announces too much."""
    coding = headers.get(b"content-encoding")
    if coding is not None and coding.lower() != b"identity":
        receive = _Unpacked(coding, receive, held, unpacking)
    length = headers.get(b"content-length", b"0")
    announced = int(length) if length.isdigit() else 0
    held.announce(announced)
    parts, size = [], 0
    while True:
        held.reach(min(announced, size + STEP_BYTES))
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidRequest("The connection was closed before the whole body had come")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        held.reach(size)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


class _Unpacked:
    """Receives a compressed body as if it had been sent uncompressed, in pieces.

    Whoever reads looks at the limits after each of them: never is more than one piece beyond them in memory.
    """

    def __init__(self, coding: bytes, receive: Receive, held: Held, thread: Executor) -> None:
        self._unpacker = Unpacker(coding.decode("latin-1"))
        self._receive = receive
        self._held = held
        self._thread = thread
        self._is_all = False
        self._packed = self._unpacked = 0

    async def __call__(self) -> dict[str, Any]:
        """The next piece, or the news that no more can come."""
        if self._unpacker.is_used_up:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return message
            self._feed(message.get("body", b""))
            self._is_all = not message.get("more_body", False)
        piece = await self._take()
        is_last = self._is_all and self._unpacker.is_used_up
        if is_last:
            self._unpacker.finish()
        return {"type": "http.request", "body": piece, "more_body": not is_last}

    def _feed(self, part: bytes) -> None:
        self._packed += len(part)
        self._held.reach(self._packed)  # what unpacks to nothing may still have no end
        self._unpacker.feed(part)

    async def _take(self) -> bytes:
        if max(self._packed, self._unpacked) > ON_LOOP_BYTES:
            piece = await asyncio.get_running_loop().run_in_executor(self._thread, self._unpacker.take)
        else:
            piece = self._unpacker.take()
        self._unpacked += len(piece)
        return piece


async def disconnected(receive: Receive) -> None:
    """Returns when the connection is closed; after the body nothing else can come."""
    while (await receive())["type"] != "http.disconnect":
        pass
