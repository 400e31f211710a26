"""Inference over REST for every API: match the raw path, read the body, ask the data plane, tell errors once.

No request model and no framework in between: this is the hot path.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol
from urllib.parse import unquote

from modelserver.dataplane.backend import Backend
from modelserver.dataplane.plane import Decode
from modelserver.errors import ServerError, TooLarge
from modelserver.front.http.asgi import (  # fmt: skip
    JSON,
    Receive,
    Scope,
    Send,
    disconnected,
    is_long,
    read_body,
    respond,
    respond_error,
    respond_too_large,
)
from modelserver.front.http.offload import ON_LOOP_BYTES, Parser
from modelserver.front.traffic import Traffic
from modelserver.telemetry.labels import API, Interface, Method
from modelserver.tensors import Call, Request, Response, Spec, parse_version

LOG = logging.getLogger(__name__)
_ADVICE = {429: [("retry-after", "1")]}
"""Headers besides an error."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the caller."""

    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    media: str = JSON


class Exchange(Protocol):
    """One request and its answer in the words of one API."""

    @property
    def text_bytes(self) -> int:
        """How much text `decode` has to parse."""

    def decode(self, inputs: Sequence[Spec]) -> Request:
        """The tensors of the body, for a model with these inputs; raises InvalidRequest."""

    def encode(self, response: Response) -> Answer:
        """The answer; the response's arrays are borrowed from the engine until this returns."""


@dataclass(frozen=True)
class Route:
    """One API's way of asking for an inference."""

    path: re.Pattern[bytes]
    """Matches the raw path without its query; the groups `name` and `version` are still percent-encoded."""
    api: API
    method: Method
    begin: Callable[[bytes, Mapping[bytes, bytes]], Exchange]
    """Body and headers of the request."""


class InferApp:
    """All hot routes."""

    def __init__(self, routes: tuple[Route, ...], backend: Backend, traffic: Traffic) -> None:
        self._routes = routes
        self._plane = backend.plane
        self._health = backend.health
        self._limits = backend.limits
        self._parser = Parser(backend.threads.parse)
        self._unpacking = backend.threads.unpack
        self._traffic = traffic

    def find(self, path: bytes) -> tuple[Route, re.Match[bytes]] | None:
        """The route of this path, if it is one of inference."""
        for route in self._routes:
            if match := route.path.fullmatch(path):
                return route, match
        return None

    async def answer(
        self, route: Route, match: re.Match[bytes], exchange: tuple[Scope, Receive, Send]
    ) -> None:
        """One request, whatever happens to it."""
        scope, receive, send = exchange
        if scope["method"] != "POST":
            await respond_error(send, 405, "Inference answers POST only", ("allow", "POST"))
            return
        headers = [("connection", "close")] if self._health.draining else []
        try:
            answer = await self._infer(route, match, scope, receive)
        except TooLarge as error:
            await respond_too_large(receive, send, str(error))
        except ServerError as error:
            headers += _ADVICE.get(error.http, [])
            await respond_error(send, error.http, str(error), *headers)
        except asyncio.CancelledError:
            # Only the stopping server cancels a request: its time to finish is over.
            await respond_error(send, 503, "The server is stopping", ("connection", "close"))
        except Exception:
            LOG.exception("a REST request failed in a way nobody foresaw")
            await respond_error(send, 500, "Internal error; the server's log tells more", *headers)
        else:
            await respond(send, 200, answer.body, *headers, *answer.headers, media=answer.media)

    async def _infer(self, route: Route, match: re.Match[bytes], scope: Scope, receive: Receive) -> Answer:
        call = self._call(route, match, receive)
        headers = dict(scope["headers"])
        if is_long(headers):
            self._plane.require_place(call)
        with self._limits.holding() as held:
            body = await read_body(headers, receive, held, self._unpacking)
            exchange = route.begin(body, headers)
            decode: Decode = exchange.decode
            if exchange.text_bytes > ON_LOOP_BYTES:
                decode = partial(self._parser.decode, exchange.decode, call.deadline)
            answer = await self._plane.infer(call, decode, exchange.encode)
        # What the codecs see: a compressed body counts unpacked, as over gRPC, which hands over nothing else.
        self._traffic.inferred(len(body), len(answer.body))
        return answer

    def _call(self, route: Route, match: re.Match[bytes], receive: Receive) -> Call:
        name, version = match["name"], match["version"]
        seconds = self._limits.now.request_timeout_seconds
        deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
        number = parse_version(None if version is None else version.decode("latin-1"))
        gone = partial(disconnected, receive)
        return Call(
            Interface.REST, unquote(name.decode("latin-1")), number, deadline, gone, route.api, route.method
        )
