"""grpc.health.v1 and reflection, and what all streams have in common: they end when the server stops."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from modelserver import proto
from modelserver.dataplane.plane import DataPlane
from modelserver.dataplane.status import Health
from modelserver.front.rpc.calls import Context
from modelserver.proto import tfs

T = TypeVar("T")
_APIS = (proto.SERVICE, tfs.PREDICTION_SERVICE, tfs.MODEL_SERVICE)
WATCH_SECONDS = 0.2


class Stopping:
    """Set once: streams that nobody would ever end by themselves end here."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def begin(self) -> None:
        """From now on no stream takes another message."""
        self._event.set()

    async def within(self, seconds: float) -> bool:
        """Sleeps; True as soon as the server stops."""
        try:
            await asyncio.wait_for(self._event.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def messages(self, source: AsyncIterator[T], context: Context) -> AsyncIterator[T]:
        """The stream's messages; a stream that waits for its caller while the server stops is aborted."""
        stopped = asyncio.ensure_future(self._event.wait())
        message: asyncio.Future[T | None] | None = None
        try:
            while True:
                message = asyncio.ensure_future(anext(source, None))
                await asyncio.wait((message, stopped), return_when=asyncio.FIRST_COMPLETED)
                if not message.done():
                    await self.abort(context)
                if (taken := message.result()) is None:
                    return
                yield taken
        finally:
            stopped.cancel()
            if message is not None:
                message.cancel()

    async def abort(self, context: Context) -> None:
        """UNAVAILABLE makes a client connect again, to another server."""
        await context.abort(grpc.StatusCode.UNAVAILABLE, "The server is stopping")


class HealthServicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """grpc.health.v1: the empty name is the server, any other a model."""

    def __init__(self, plane: DataPlane, health: Health, stopping: Stopping) -> None:
        self._plane = plane
        self._health = health
        self._stopping = stopping

    async def Check(self, request: Any, context: Context) -> Any:  # noqa: N802 - gRPC's name
        """Now."""
        status = self._look(request.service)
        if status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"unknown model {request.service}")
        return health_pb2.HealthCheckResponse(status=status)

    async def Watch(self, request: Any, context: Context) -> AsyncIterator[Any]:  # noqa: N802 - gRPC's name
        """Now, and whenever it changes."""
        reported, is_stopping = None, False
        while True:
            status = self._look(request.service)
            if status != reported:
                reported = status
                yield health_pb2.HealthCheckResponse(status=status)
            if is_stopping:
                await self._stopping.abort(context)
            is_stopping = await self._stopping.within(WATCH_SECONDS)

    def _look(self, service: str) -> int:
        states = health_pb2.HealthCheckResponse
        if service in ("", *_APIS):
            return int(states.SERVING if self._health.is_ready() else states.NOT_SERVING)
        is_served = self._plane.is_served(service)
        if is_served is None:
            return int(states.SERVICE_UNKNOWN)
        return int(states.SERVING if is_served else states.NOT_SERVING)


class _Reflection(reflection.aio.ReflectionServicer):  # type: ignore[misc]
    """grpc's own, but it ends with the server."""

    def __init__(self, names: tuple[str, ...], stopping: Stopping) -> None:
        super().__init__(names, proto.POOL)
        self._stopping = stopping

    async def ServerReflectionInfo(  # noqa: N802 - gRPC's name
        self, request_iterator: AsyncIterator[Any], unused_context: Context
    ) -> AsyncIterator[Any]:
        """One answer per question."""
        messages = self._stopping.messages(request_iterator, unused_context)
        async for answer in super().ServerReflectionInfo(messages, unused_context):
            yield answer


def add_services(server: grpc.aio.Server, plane: DataPlane, health: Health, stopping: Stopping) -> None:
    """Health and reflection. Our messages live in a pool of their own; the health service's file joins it."""
    health_pb2_grpc.add_HealthServicer_to_server(HealthServicer(plane, health, stopping), server)
    if health_pb2.DESCRIPTOR.name not in _known_files():
        proto.POOL.AddSerializedFile(health_pb2.DESCRIPTOR.serialized_pb)
    names = (
        *_APIS,
        health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
        reflection.SERVICE_NAME,
    )
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(_Reflection(names, stopping), server)


def _known_files() -> set[str]:
    try:
        return {proto.POOL.FindFileByName(health_pb2.DESCRIPTOR.name).name}
    except KeyError:
        return set()
