"""The gRPC front: one server, the services of every API, and its end."""

import grpc

from modelserver import proto
from modelserver.dataplane import DataPlane
from modelserver.front.access import AccessInterceptor
from modelserver.front.listen import BindFailed
from modelserver.front.services import Stopping, add_services
from modelserver.front.status import Health
from modelserver.front.tfs_rpc import ModelService, PredictionService
from modelserver.front.v2_rpc import V2Service
from modelserver.limits import LiveLimits
from modelserver.proto import tfs

MAX_MESSAGE_BYTES = (1 << 31) - 1
"""gRPC counts in 32 bits."""


class RpcServer:
    """The gRPC front."""

    def __init__(
        self, plane: DataPlane, health: Health, limits: LiveLimits, *, access_log: bool = False
    ) -> None:
        self._plane = plane
        self._health = health
        self._limits = limits
        self._stopping = Stopping()
        self._interceptors = [AccessInterceptor()] if access_log else []
        self._server: grpc.aio.Server | None = None

    async def start(self, addresses: list[str], arguments: tuple[tuple[str, int | str], ...]) -> None:
        """Answer from now on; BindFailed when an address is taken."""
        # What config.json allows more than at the start, gRPC's own limit refuses on.
        options = (
            ("grpc.max_receive_message_length", min(self._limits.now.max_request_bytes, MAX_MESSAGE_BYTES)),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
            *arguments,
        )
        server = grpc.aio.server(interceptors=self._interceptors, options=options)
        self._add_services(server)
        for address in addresses:
            try:
                server.add_insecure_port(address)
            except RuntimeError as error:
                raise BindFailed(
                    f"Cannot listen on {address} for gRPC: the address is in use or unknown"
                ) from error
        await server.start()
        self._server = server

    def _add_services(self, server: grpc.aio.Server) -> None:
        services = {
            proto.SERVICE: V2Service(self._plane, self._health, self._stopping, self._limits).handlers(),
            tfs.PREDICTION_SERVICE: PredictionService(self._plane, self._limits).handlers(),
            tfs.MODEL_SERVICE: ModelService(self._plane, None).handlers(),
        }
        server.add_generic_rpc_handlers(
            tuple(grpc.method_handlers_generic_handler(*service) for service in services.items())
        )
        add_services(server, self._plane, self._health, self._stopping)

    async def stop(self, grace: float) -> None:
        """Send GOAWAY, finish what is in flight, at most for `grace` seconds."""
        self._stopping.begin()
        if self._server is not None:
            await self._server.stop(grace)
