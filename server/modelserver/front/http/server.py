"""An ASGI application on sockets of ours, on the loop that is already running."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from modelserver.admission import LiveLimits
from modelserver.errors import BindFailed
from modelserver.front.addresses import Address, addresses
from modelserver.front.http.protocol import GuardedProtocol, Timeouts

BACKLOG = 2048
_CLOSE = (b"connection", b"close")


def bind(hosts: tuple[str, ...], port: int) -> list[socket.socket]:
    """Listening sockets for one port on several addresses; BindFailed says which one failed and why."""
    sockets = []
    for address in addresses(hosts, port):
        try:
            sockets.append(_bind_one(address))
        except OSError as error:
            raise BindFailed(f"Cannot listen on {address}: {error.strerror or error}") from error
    return sockets


def _bind_one(address: Address) -> socket.socket:
    listener = socket.socket(address.family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if address.family is socket.AF_INET6:  # the system's default differs from host to host
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address.v6_only)
    listener.bind(address.place)
    listener.listen(BACKLOG)
    return listener


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: the life cycle is the application's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """One ASGI application being served."""

    def __init__(self, app: Any, sockets: list[socket.socket], limits: LiveLimits) -> None:
        config = uvicorn.Config(
            app, http=GuardedProtocol, ws="none", lifespan="off", loop="none", log_config=None,
            access_log=False, server_header=False, date_header=False, proxy_headers=False,
            timeout_keep_alive=75, backlog=BACKLOG,
        )  # fmt: skip
        self._server = _Server(config)
        self._timeouts = Timeouts(self._server.server_state.connections, limits)
        self._sockets = sockets
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Answer from now on."""
        self._task = asyncio.get_running_loop().create_task(self._server.serve(self._sockets))
        while not self._server.started:
            if self._task.done():
                self._task.result()
            await asyncio.sleep(0.005)
        self._timeouts.begin()

    def drain(self) -> None:
        """Every answer from now on is the last one of its connection, so that callers connect elsewhere."""
        # uvicorn renews the headers of all answers from the configuration's once a second.
        self._server.config.encoded_headers.append(_CLOSE)
        self._server.server_state.default_headers = [_CLOSE]

    async def stop(self, grace: float) -> None:
        """Close the listeners, finish what is in flight, at most for `grace` seconds."""
        self.end(grace)
        await self.ended()

    def end(self, grace: float) -> None:
        """Begin to stop: uvicorn looks for it ten times a second, so any thread may say it."""
        self._server.config.timeout_graceful_shutdown = max(1, int(grace))
        self._server.should_exit = True

    async def ended(self) -> None:
        """Wait until it has stopped."""
        if self._task is not None:
            await self._task
        self._timeouts.end()
