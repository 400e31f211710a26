"""Inference over REST for every API: match the raw path, read the body, ask the data plane.

No request model and no framework in between: this is the hot path.
"""

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol
from urllib.parse import unquote

from modelserver.admission import Held
from modelserver.codec.body import HEADER, Encoded
from modelserver.dataplane.backend import Backend
from modelserver.front.http.asgi import OCTETS, Receive, Reply, Scope, disconnected
from modelserver.front.http.body import read_body
from modelserver.front.http.errors import method_not_allowed
from modelserver.front.http.headers import Headers, announced, combined
from modelserver.front.http.offload import ON_LOOP_BYTES, Parser
from modelserver.front.traffic import Traffic
from modelserver.signature import Signature
from modelserver.telemetry.labels import API, Interface, Method
from modelserver.tensors import Call, Response, parse_version


class Codec(Protocol):
    """Bodies of one API; `codec.v2_json` and `codec.tfs_json` are such."""

    def text_bytes(self, body: bytes, headers: Headers, /) -> int:
        """How much text `decode` has to parse."""

    def decode(self, body: bytes, headers: Headers, signature: Signature, /) -> Any:
        """The `request`, and what the answer depends on, for a model of this signature."""

    def encode(self, response: Response, asked: Any, /) -> Encoded:
        """The answer; the response's arrays are the engine's memory."""


@dataclass(frozen=True)
class Inference:
    """One API's way of asking for an inference: what answers a hot route."""

    api: API
    method: Method
    codec: Codec
    version: Callable[[str | None], int | None] = parse_version
    """Of the path."""


class InferApp:
    """All hot routes."""

    def __init__(
        self, routes: Iterable[tuple[re.Pattern[str], Inference]], backend: Backend, traffic: Traffic
    ) -> None:
        self._routes = [(pattern.fullmatch, inference) for pattern, inference in routes]
        self._plane = backend.plane
        self._limits = backend.limits
        self._parser = Parser(backend.threads.parse)
        self._unpacking = backend.threads.unpack
        self._traffic = traffic

    def find(self, path: str) -> tuple[Inference, re.Match[str]] | None:
        """What answers this path, if it is one of inference."""
        for match_of, inference in self._routes:
            if match := match_of(path):
                return inference, match
        return None

    async def answer(
        self, found: tuple[Inference, re.Match[str]], scope: Scope, receive: Receive, reply: Reply
    ) -> None:
        """One request; raises what is wrong with it."""
        if scope["method"] != "POST":
            raise method_not_allowed("POST")
        call, codec = self._call(*found, receive), found[0].codec
        headers = dict(lines := scope["headers"])
        if len(headers) < len(lines):
            headers = combined(lines)
        size, is_long = announced(headers)
        if is_long:
            self._plane.require_place(call)
        with Held(self._limits) as held:
            held.announce(size)
            body = await read_body(headers, receive, held, self._unpacking)
            with self._plane.enter(call) as visit:
                if len(body) > ON_LOOP_BYTES and codec.text_bytes(body, headers) > ON_LOOP_BYTES:
                    decode = partial(codec.decode, body, headers, visit.signature)
                    asked = await self._parser.parse(decode, call.deadline)
                else:
                    asked = codec.decode(body, headers, visit.signature)
                response = await visit.run(asked.request)
                encoded = codec.encode(response, asked)
        if encoded.json_bytes is None:
            await reply.respond(encoded.body)
        else:
            await reply.respond(encoded.body, (HEADER, b"%d" % encoded.json_bytes), media=OCTETS)
        # What the codecs see: a compressed body counts unpacked, as over gRPC, which hands over nothing else.
        self._traffic.inferred(len(body), len(encoded.body))

    def _call(self, inference: Inference, match: re.Match[str], receive: Receive) -> Call:
        version = match["version"]
        number = None if version is None else inference.version(version)
        seconds = self._limits.now.request_timeout_seconds
        deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
        gone = partial(disconnected, receive)
        model = unquote(match["model"])
        return Call(Interface.REST, model, number, deadline, gone, inference.api, inference.method)
