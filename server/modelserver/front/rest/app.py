"""The REST front: inference as bare ASGI, FastAPI for everything that is not hot."""

from typing import Any

from modelserver.dataplane.backend import Backend
from modelserver.front.http.asgi import Receive, Scope, Send
from modelserver.front.http.methods import listing
from modelserver.front.rest import tfs, v2
from modelserver.front.rest.infer import InferApp
from modelserver.front.rest.routes import build_cold_app
from modelserver.front.rest.status import StatusApp
from modelserver.front.traffic import Traffic
from modelserver.telemetry.labels import Interface

ROUTES = (v2.ROUTE, *tfs.ROUTES)


class RestApp:
    """Picks the hot routes by their raw path and leaves the rest to FastAPI."""

    def __init__(self, backend: Backend, status: StatusApp) -> None:
        self._status = status
        self._traffic = Traffic(backend.metrics, Interface.REST)
        self._infer = InferApp(ROUTES, backend, self._traffic)
        self._cold = build_cold_app(backend)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        send = listing(scope, self._counting(send))
        found = self._infer.find(scope["raw_path"].partition(b"?")[0])
        if found is not None:
            await self._infer.answer(*found, (scope, receive, send))
        elif self._status.serves(scope["path"]):
            await self._status(scope, receive, send)
        else:
            await self._cold(_plain(scope), receive, send)  # type: ignore[arg-type]

    def _counting(self, send: Send) -> Send:
        traffic = self._traffic

        async def counted(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                traffic.answered(message["status"])
            await send(message)

        return counted


def _plain(scope: Scope) -> Scope:
    """HEAD is GET whose body uvicorn leaves out; routes and `Allow` need not know."""
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
