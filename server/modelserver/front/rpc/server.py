"""The gRPC front: one server, the services of every API, and its end."""

from collections.abc import Mapping

import grpc

from modelserver import proto
from modelserver.dataplane.backend import Backend
from modelserver.errors import BindFailed
from modelserver.front.rpc.access import AccessInterceptor
from modelserver.front.rpc.calls import telling_errors
from modelserver.front.rpc.health import Stopping, add_services
from modelserver.front.rpc.tfs import ModelService, PredictionService
from modelserver.front.rpc.v2 import V2Service
from modelserver.front.traffic import Traffic
from modelserver.proto import tfs
from modelserver.settings.limits import MAX_HEADER_BYTES
from modelserver.telemetry.labels import Interface

MAX_MESSAGE_BYTES = (1 << 31) - 1
"""gRPC counts in 32 bits."""
PING_SECONDS = 5
"""Clients keep idle connections alive by a ping every 10 s or so; those that ping faster are disconnected."""
_SOFT, _HARD = "grpc.max_metadata_size", "grpc.absolute_max_metadata_size"


def channel_options(max_bytes: int, given: Mapping[str, int | str]) -> tuple[tuple[str, int | str], ...]:
    """For `grpc.server`; those given win. `max_bytes` is the biggest message to receive.

    Metadata between the soft and the hard limit is refused at random, so there is one limit for both.
    """
    metadata = given.get(_HARD, given.get(_SOFT, MAX_HEADER_BYTES))
    ours: dict[str, int | str] = {
        "grpc.max_receive_message_length": min(max_bytes, MAX_MESSAGE_BYTES),
        "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
        "grpc.so_reuseport": 0,
        _SOFT: metadata,
        _HARD: metadata,
        "grpc.keepalive_permit_without_calls": 1,
        "grpc.http2.min_ping_interval_without_data_ms": PING_SECONDS * 1000,
    }
    return tuple({**ours, **given}.items())


class RpcServer:
    """The gRPC front."""

    def __init__(self, backend: Backend, *, access_log: bool = False) -> None:
        self._backend = backend
        self._stopping = Stopping()
        self._traffic = Traffic(backend.metrics, Interface.GRPC)
        self._interceptors = [AccessInterceptor()] if access_log else []
        self._server: grpc.aio.Server | None = None

    async def start(self, targets: list[str], arguments: tuple[tuple[str, int | str], ...]) -> None:
        """Answer from now on; BindFailed when an address is taken."""
        # What config.json allows more than at the start, gRPC's own limit refuses on.
        options = channel_options(self._backend.limits.now.max_request_bytes, dict(arguments))
        server = grpc.aio.server(interceptors=self._interceptors, options=options)
        self._add_services(server)
        for target in targets:
            try:
                server.add_insecure_port(target)
            except RuntimeError as error:
                raise BindFailed(
                    f"Cannot listen on {target} for gRPC: the address is in use or unknown"
                ) from error
        await server.start()
        self._server = server

    def _add_services(self, server: grpc.aio.Server) -> None:
        backend, traffic = self._backend, self._traffic
        services = {
            proto.SERVICE: V2Service(backend, self._stopping, traffic).handlers(),
            tfs.PREDICTION_SERVICE: PredictionService(backend, traffic).handlers(),
            tfs.MODEL_SERVICE: ModelService(backend.plane, backend.control.reload).handlers(),
        }
        server.add_generic_rpc_handlers(
            tuple(
                grpc.method_handlers_generic_handler(
                    name, {method: telling_errors(handler, traffic) for method, handler in handlers.items()}
                )
                for name, handlers in services.items()
            )
        )
        add_services(server, backend.plane, backend.health, self._stopping)

    async def stop(self, grace: float) -> None:
        """Send GOAWAY, finish what is in flight, at most for `grace` seconds."""
        self._stopping.begin()
        if self._server is not None:
            await self._server.stop(grace)
