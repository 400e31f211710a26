"""HTTP as ASGI speaks it: whole answers, errors among them."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from modelserver.front.http.errors import error_answer

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
JSON = "application/json"
OCTETS = "application/octet-stream"
LINGER_SECONDS = 5.0
_BEFORE_THE_BODY = {413, 501}
"""Refusals whose body has not been read: the caller may still be sending it."""


def _start(status: int, headers: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return {"type": "http.response.start", "status": status, "headers": raw}


@dataclass(slots=True)
class Reply:
    """What one request is answered with; a `Send` that counts it by its status."""

    send: Send
    answered: Callable[[int], None]
    has_begun: bool = False

    async def respond(self, body: bytes, *headers: tuple[bytes, bytes], media: str = JSON) -> None:
        """200, and one whole body."""
        self.has_begun = True
        self.answered(200)
        content = [(b"content-type", media.encode()), (b"content-length", b"%d" % len(body)), *headers]
        await self.send({"type": "http.response.start", "status": 200, "headers": content})
        await self.send({"type": "http.response.body", "body": body})

    async def __call__(self, message: dict[str, Any]) -> None:
        """A part of it."""
        if message["type"] == "http.response.start":
            self.has_begun = True
            self.answered(message["status"])
        await self.send(message)

    async def fail(self, error: BaseException, scope: Scope, receive: Receive) -> None:
        """Answer with this error; raises it where another answer has begun."""
        if self.has_begun:
            raise error
        answer = error_answer(error, scope)
        await self(_start(answer.status, answer.headers))
        is_unread = answer.status in _BEFORE_THE_BODY
        await self({"type": "http.response.body", "body": answer.body, "more_body": is_unread})
        if is_unread:
            await _linger(receive)
            await self({"type": "http.response.body", "body": b""})


async def _linger(receive: Receive) -> None:
    """Time for a caller that is still sending: a reset connection would hide the error."""
    with suppress(TimeoutError, asyncio.CancelledError):  # the stopping server cancels
        async with asyncio.timeout(LINGER_SECONDS):
            while (await receive()).get("more_body", False):
                pass


async def disconnected(receive: Receive) -> None:
    """Returns when the connection is closed; after the body nothing else can come."""
    while (await receive())["type"] != "http.disconnect":
        pass
