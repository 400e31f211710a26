"""Liveness and readiness for the kubelet and GET /metrics for Prometheus, on IPv4 and IPv6."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from modelserver_operator import metrics

Answer = Callable[[], tuple[int, Mapping[str, Any]]]
"""An HTTP status and what is shown as JSON."""
_WITHOUT = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
"""The host has no addresses of this family."""
MOST_CONNECTIONS = 256
"""Of one port. Anyone who reaches it could otherwise open enough of them to fill the memory."""


def listeners(port: int) -> list[socket.socket]:
    """One for each family: a pod's address may be of either; raises OSError when the port is taken."""
    sockets = []
    for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            sockets.append(socket.create_server((host, port), family=family))
        except OSError as error:
            if error.errno not in _WITHOUT:
                raise
    return sockets


class Port:
    """Serves an application on a port of the pod; beyond a bound the oldest connections are closed."""

    def __init__(self, application: web.Application) -> None:
        self._runner = web.AppRunner(application, handle_signals=False, shutdown_timeout=1.0, access_log=None)
        self._servers: list[asyncio.Server] = []

    async def start(self, port: int) -> None:
        """Answer from now on."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        for listener in listeners(port):
            self._servers.append(await loop.create_server(self._accept, sock=listener))

    async def close(self) -> None:
        """Stop listening."""
        for server in self._servers:
            server.close()
        with contextlib.suppress(OSError):
            await self._runner.cleanup()

    def _accept(self) -> asyncio.Protocol:
        """A client that asks is answered long before its connection is among the oldest."""
        if (server := self._runner.server) is None:
            return asyncio.Protocol()
        present = [one for one in server.connections if one.transport is not None]
        for oldest in present[: max(0, len(present) + 1 - MOST_CONNECTIONS)]:
            oldest.force_close()
        return server()


class Endpoint:
    """The HTTP server of the operator's pod."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        """`answers`: by path, what is answered beside /metrics."""
        application = web.Application()
        application.add_routes([web.get(path, _handler(answer)) for path, answer in answers.items()])
        application.add_routes([web.get("/metrics", _metrics)])
        self._port = Port(application)

    async def start(self, port: int) -> None:
        """Answer from now on."""
        await self._port.start(port)

    async def close(self) -> None:
        """Stop listening."""
        await self._port.close()


def _handler(answer: Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(_: web.Request) -> web.Response:
        status, shown = answer()
        return web.json_response(dict(shown), status=status)

    return handle


async def _metrics(_: web.Request) -> web.Response:
    return web.Response(
        body=metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    )
