"""Liveness, readiness, /metrics and /status: answered without waiting for anything."""

from starlette.responses import Response

from modelserver.errors import NotFound, NotReady
from modelserver.front.http.asgi import JSON, Receive, Scope, Send
from modelserver.front.rest.inputs import Monitor, Monitored
from modelserver.telemetry.as_json import as_json
from modelserver.telemetry.metrics import CONTENT_TYPE


async def live(monitor: Monitored) -> Response:
    """Whether the main loop moves."""
    _require_moving(monitor)
    return Response(b'{"live":true}', media_type=JSON)


async def ready(monitor: Monitored) -> Response:
    """Whether models are served."""
    _require_moving(monitor)
    if not monitor.health.is_ready():
        raise NotReady("Server is not ready")
    return Response(b'{"ready":true}', media_type=JSON)


async def metrics(monitor: Monitored) -> Response:
    """Prometheus' page."""
    return Response(monitor.health.metrics(), headers={"content-type": CONTENT_TYPE})


async def status(monitor: Monitored) -> Response:
    """The document that the operator reads."""
    return Response(as_json(monitor.health.status()), media_type=JSON)


class NoMetrics:
    """An application in place of /metrics, for ports without it: no method has an answer there."""

    async def __call__(self, _scope: Scope, _receive: Receive, _send: Send) -> None:
        """One request."""
        raise NotFound(
            "Metrics are not offered on this port: start the server with --metrics_enable, or with"
            " --status_port on a port of its own, which always has them"
        )


def _require_moving(monitor: Monitor) -> None:
    """A main loop that is stuck is neither live nor ready."""
    seconds = None if monitor.heartbeat is None else monitor.heartbeat.stopped_for()
    if seconds is not None:
        raise NotReady(f"The server's main loop has been stuck for {seconds:.0f} s: no request is answered")
