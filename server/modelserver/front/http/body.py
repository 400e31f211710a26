"""Whole bodies of requests, unpacked and within the limits."""

import asyncio
from concurrent.futures import Executor
from typing import Any

from modelserver.admission import Held
from modelserver.codec.compressed import Unpacker
from modelserver.errors import InvalidRequest
from modelserver.front.http.asgi import Receive
from modelserver.front.http.headers import Headers
from modelserver.front.http.offload import ON_LOOP_BYTES

STEP_BYTES = 1 << 16
"""How much more of an announced body has its room before it is read: about what uvicorn reads ahead."""

LEAST_BYTES = 1 << 10
"""What a piece costs however short it is: a thousand tiny members of a gzip body are work for a thread."""


async def read_body(headers: Headers, receive: Receive, held: Held, unpacking: Executor) -> bytes:
    """The whole body, unpacked (a big one in the thread for that) and joined once.

    What comes next has room before it is read, but never more than a step ahead: an announcement costs its
    sender nothing.
    """
    coding = headers.get(b"content-encoding")
    if coding is not None and coding.strip().lower() != b"identity":
        receive = _Unpacked(coding, receive, held, unpacking)
    parts, come = [], 0
    while True:
        if held.size < held.announced:
            held.reach(min(held.announced, come + STEP_BYTES))
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidRequest("The connection was closed before the whole body had come")
        parts.append(message.get("body", b""))
        come += len(parts[-1])
        if come > held.size:
            held.reach(come)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


class _Unpacked:
    """Receives a compressed body as if it had been sent uncompressed, in pieces.

    The reader checks the limits after each of them: never is more than one piece beyond them in memory.
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
        self._unpacked += max(len(piece), LEAST_BYTES)
        return piece
