"""The status port: liveness, readiness, /metrics and /status, plain HTTP and nothing else."""

from collections.abc import Awaitable, Callable

import orjson

from modelserver.dataplane.status import Health
from modelserver.front.http.asgi import Receive, Scope, Send, respond, respond_error
from modelserver.front.http.methods import listing
from modelserver.telemetry.heartbeat import Heart
from modelserver.telemetry.metrics import CONTENT_TYPE


class StatusApp:
    """Routes by hand: four paths, answered without waiting for anything."""

    def __init__(
        self, health: Health, *, metrics: bool = True, status: bool = True, heart: Heart | None = None
    ) -> None:
        """`heart` is the main loop's, where another one answers here: that proves only itself alive."""
        self._health = health
        self._heart = heart
        self._routes: dict[str, Callable[[Send], Awaitable[None]]] = {
            "/v2/health/live": self._live,
            "/v2/health/ready": self._ready,
        }
        self._routes["/metrics"] = self._metrics if metrics else self._no_metrics
        if status:
            self._routes["/status"] = self._status

    def serves(self, path: str) -> bool:
        """Whether this path is answered here."""
        return _plain(path) in self._routes

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """One request."""
        send = listing(scope, send)
        route = self._routes.get(_plain(scope["path"]))
        if route is None:
            await respond_error(send, 404, f"There is nothing at {scope['path']}")
        elif scope["method"] not in ("GET", "HEAD") and route != self._no_metrics:
            await respond_error(send, 405, f"{scope['path']} answers GET only", ("allow", "GET"))
        else:
            await route(send)

    async def _live(self, send: Send) -> None:
        await _probed(send, b'{"live":true}', self._stuck())

    async def _ready(self, send: Send) -> None:
        trouble = self._stuck() or (None if self._health.is_ready() else "Server is not ready")
        await _probed(send, b'{"ready":true}', trouble)

    def _stuck(self) -> str | None:
        """A main loop that is stuck is neither live nor ready; None while it moves."""
        seconds = None if self._heart is None else self._heart.stopped_for()
        if seconds is None:
            return None
        return f"The server's main loop has been stuck for {seconds:.0f} s: no request is answered"

    async def _metrics(self, send: Send) -> None:
        await respond(send, 200, self._health.metrics(), media=CONTENT_TYPE)

    async def _no_metrics(self, send: Send) -> None:
        await respond_error(
            send,
            404,
            "Metrics are not offered on this port: start the server with --metrics_enable, or with"
            " --status_port on a port of its own, which always has them",
        )

    async def _status(self, send: Send) -> None:
        await respond(send, 200, orjson.dumps(self._health.status()))


async def _probed(send: Send, good: bytes, trouble: str | None) -> None:
    if trouble is None:
        await respond(send, 200, good)
    else:
        await respond_error(send, 503, trouble)


def _plain(path: str) -> str:
    """OVMS allows a slash at the end."""
    return path.removesuffix("/")
