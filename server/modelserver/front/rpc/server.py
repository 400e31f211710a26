"""The gRPC front: one server, the services of every API, and its end."""

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
from modelserver.telemetry.labels import Interface

MAX_MESSAGE_BYTES = (1 << 31) - 1
"""gRPC counts in 32 bits."""


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
        allowed = self._backend.limits.now.max_request_bytes
        options = (
            ("grpc.max_receive_message_length", min(allowed, MAX_MESSAGE_BYTES)),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
            *arguments,
        )
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
