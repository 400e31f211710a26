"""The REST front: the applications of its two ports, made of the HTTP table."""

import asyncio
import re
from collections.abc import Iterable

from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette.routing import Route as BareRoute
from starlette.types import ASGIApp

from modelserver.dataplane.backend import Backend
from modelserver.dataplane.status import Health
from modelserver.front.http.asgi import Receive, Reply, Scope, Send
from modelserver.front.rest.infer import InferApp, Inference
from modelserver.front.rest.inputs import Monitor
from modelserver.front.rest.route import Route
from modelserver.front.rest.routes import ROUTES, STATUS
from modelserver.front.rest.status import NoMetrics
from modelserver.front.traffic import Traffic
from modelserver.telemetry.heartbeat import Heartbeat
from modelserver.telemetry.labels import Interface

_ENCODED_COLON = re.compile(rb"(/v1/models/.+)%3[Aa]((?:predict|classify|regress)/?)")


class RestApp:
    """Inference as bare ASGI, FastAPI for everything that is not hot."""

    def __init__(self, backend: Backend, *, metrics: bool = True, status: bool = True) -> None:
        """Whether this port has /metrics and /status."""
        self._traffic = Traffic(backend.metrics, Interface.REST)
        hot = [(route.pattern, route.handler) for route in ROUTES if isinstance(route.handler, Inference)]
        self._infer = InferApp(hot, backend, self._traffic)
        offered = {"/metrics": metrics, "/status": status}
        routes = [route for route in ROUTES if offered.get(route.path, True)]
        self._routed = Routed(routes, backend=backend, monitor=Monitor(backend.health))
        if not metrics:
            self._routed.router.routes += [BareRoute(path, NoMetrics()) for path in ("/metrics", "/metrics/")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        reply = Reply(send, self._traffic.answered)
        found = self._infer.find(scope["raw_path"].decode("latin-1"))
        try:
            if found is not None:
                await self._infer.answer(found, scope, receive, reply)
            else:
                await self._answer_other(with_colon(scope), receive, reply)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it is answered and logged
            await reply.fail(error, scope, receive)

    async def _answer_other(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        """One request whose path, as it came, is none of inference."""
        found = self._infer.find(scope["raw_path"].decode("latin-1"))
        if found is not None:
            await self._infer.answer(found, scope, receive, reply)
        else:
            await self._routed.answer(scope, receive, reply)


def with_colon(scope: Scope) -> Scope:
    """The colon in front of a method of TensorFlow Serving may come percent-encoded (RFC 3986, section 2.2).

    Only in POST: by GET, which has no such methods, it belongs to a model's name.
    """
    path = scope["raw_path"]
    if scope["method"] != "POST" or not (match := _ENCODED_COLON.fullmatch(path)):
        return scope
    return {**scope, "raw_path": b"%b:%b" % match.groups()}


class StatusApp:
    """The status port, where it is one of its own."""

    def __init__(self, health: Health, *, heartbeat: Heartbeat | None = None) -> None:
        """`heartbeat` is the main loop's, where this runs on another."""
        self._routed = Routed(STATUS, monitor=Monitor(health, heartbeat))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, which counts as nobody's traffic."""
        reply = Reply(send, lambda _status: None)
        try:
            await self._routed.answer(scope, receive, reply)
        except Exception as error:  # noqa: BLE001 - it is answered and logged
            await reply.fail(error, scope, receive)


class Routed(FastAPI):
    """The rows that FastAPI has. Without its error handling: errors go up to where hot routes send theirs."""

    def __init__(self, routes: Iterable[Route], **state: object) -> None:
        """`state` is what the handlers' inputs come from."""
        # The OpenAPI document is ours.
        super().__init__(openapi_url=None, redirect_slashes=False)
        for name, value in state.items():
            setattr(self.state, name, value)
        for route in routes:
            if not isinstance(route.handler, Inference):
                for path in (*route.paths, *(path + "/" for path in route.paths if route.slash)):
                    self.add_api_route(path, route.handler, methods=[route.method], response_model=None)

    def build_middleware_stack(self) -> ASGIApp:
        """Only what FastAPI's own routes ask for."""
        return AsyncExitStackMiddleware(self.router)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; raises what is wrong with it.

        Paths stay percent-encoded, so that a slash in a name is part of the name. HEAD is GET, whose body
        uvicorn leaves out.
        """
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        path = scope["raw_path"].decode("latin-1")
        await self({**scope, "path": path, "method": method}, receive, send)  # type: ignore[arg-type]
