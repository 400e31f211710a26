"""uvicorn's HTTP protocol with timeouts, and with errors in this server's one shape.

Callers that send a request slowly, or headers without end, or do not read their answer, would hold memory and
connections for ever: no request pays a timer for them, one look at all connections a second finds them.
"""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from modelserver.admission import LiveLimits
from modelserver.front.http.errors import CLOSE, refusal
from modelserver.settings.limits import MAX_HEADER_BYTES

LOOK_SECONDS = 1.0
_OFFER = (b"connection", b"upgrade", b"http2-settings")


class GuardedProtocol(HttpToolsProtocol):
    """One connection; knows since when it waits for its caller."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Waits for the first request from now on."""
        super().connection_made(transport)
        self._awaits_headers = self._awaits_body = False
        self._header_bytes = 0
        self._since = self.loop.time()
        self._has_begun = False
        self._unread = 0
        self._unread_since = self._since

    def data_received(self, data: bytes) -> None:
        """A part of a request, or several."""
        if self._awaits_body:
            self._since = self.loop.time()
        self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except httptools.HttpParserCallbackError:
            self.refuse(400, "the request target is neither a path nor a URL that has one")
        except httptools.HttpParserError:
            self.refuse(400, "not an HTTP/1.1 request")
        if self._awaits_headers:
            self._header_bytes += len(data)
            if self._header_bytes > MAX_HEADER_BYTES:
                self.refuse(431, f"The headers are larger than {MAX_HEADER_BYTES} bytes")

    def _feed(self, data: bytes) -> None:
        """The parser drops the body behind an offer to upgrade: it gets the request again without it."""
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self.parser.get_method() == b"CONNECT":
                    self.refuse(405, "CONNECT is not answered here")
                    return
                data = self._without_offer() + data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
            else:
                return

    def _without_offer(self) -> bytes:
        """The request's head in HTTP/1.1 and nothing else; Java's client offers HTTP/2 with its first one."""
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/1.1"]
        lines += [name + b": " + value for name, value in self.headers if name not in _OFFER]
        return b"\r\n".join([*lines, b"", b""])

    def on_message_begin(self) -> None:
        """The first byte of a request has come."""
        super().on_message_begin()
        self._awaits_headers = self._has_begun = True
        self._header_bytes = 0
        self._since = self.loop.time()

    def on_headers_complete(self) -> None:
        """The request is handed over; its body may still be on the way."""
        if self.parser.should_upgrade():
            return
        super().on_headers_complete()  # raises for a target without a path: it never becomes a request
        self._awaits_headers, self._awaits_body = False, True

    def on_message_complete(self) -> None:
        """Nothing more is awaited."""
        if self.parser.should_upgrade():
            return
        self._awaits_body = False
        super().on_message_complete()

    def is_overdue(self, oldest: float) -> bool:
        """Whether its caller has been silent, or at its headers, since before `oldest`.

        Waiting for the next request is uvicorn's keep-alive; not reading is this server's own doing.
        """
        is_awaited = self._awaits_body or not self._has_begun or (self._awaits_headers and self._is_idle())
        return is_awaited and self._since < oldest and not self.flow.read_paused

    def is_unread(self, oldest: float) -> bool:
        """Whether its caller has taken nothing of an answer since before `oldest`."""
        left = self.transport.get_write_buffer_size()
        if left != self._unread:
            self._unread, self._unread_since = left, self.loop.time()
        return left > 0 and self._unread_since < oldest

    def give_up(self) -> None:
        """Close; with 408 where a request was begun, without a word where nobody reads."""
        if self._unread:
            self.transport.abort()
        elif self._has_begun:
            self.refuse(408, "The request did not come in time")
        else:
            self.transport.close()

    def _is_idle(self) -> bool:
        """Whether no earlier request is being answered on this connection."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def refuse(self, status: int, message: str) -> None:
        """Answer what never becomes a request, or not a whole one, and close."""
        if self.transport.is_closing():
            return
        # The rest of a body that was refused before it was read needs no second answer.
        if not self.cycle.response_started if self._awaits_body else self._is_idle():
            answer = refusal(status, message, CLOSE)
            lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
            lines += [f"{name}: {value}" for name, value in answer.headers]
            self.transport.write("\r\n".join([*lines, "", ""]).encode() + answer.body)
        self.transport.close()


class Timeouts:
    """Looks at all connections of one server from time to time."""

    def __init__(self, connections: Iterable[Any], limits: LiveLimits) -> None:
        self._connections = connections
        self._limits = limits
        self._handle: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Look from now on."""
        self._look()

    def end(self) -> None:
        """Look no more."""
        if self._handle is not None:
            self._handle.cancel()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        oldest = loop.time() - self._limits.now.client_timeout_seconds
        for connection in list(self._connections):
            if connection.is_unread(oldest) or connection.is_overdue(oldest):
                connection.give_up()
        self._handle = loop.call_later(LOOK_SECONDS, self._look)
