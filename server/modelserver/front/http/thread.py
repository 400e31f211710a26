"""An HTTP server on a thread and an event loop of its own: it answers however busy the main loop is."""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

import uvloop

from modelserver.front.http.server import HttpServer

LOG = logging.getLogger(__name__)
MARGIN_SECONDS = 5.0
"""uvicorn ends within the grace time and a moment; a thread that has not ended by then never will."""


class HttpThread:
    """Started and stopped from the main loop, like the server it runs."""

    def __init__(
        self, server: HttpServer, died: Callable[[BaseException], None], margin: float = MARGIN_SECONDS
    ) -> None:
        """`died` is called on the main loop when the thread ends although nobody stopped it."""
        self._margin = margin
        self._server = server
        self._died = died
        self._is_stopping = False
        self._started: Future[None] = Future()
        self._main: asyncio.AbstractEventLoop | None = None
        # A daemon: the interpreter waits for all others at its end, even for one that is stuck.
        self._thread = threading.Thread(target=self._run, name="status", daemon=True)

    async def start(self) -> None:
        """Answer from now on; raises what keeps the server from it."""
        self._main = asyncio.get_running_loop()
        self._thread.start()
        await asyncio.wrap_future(self._started)

    async def stop(self, grace: float) -> None:
        """As the server does; the thread has ended afterwards, or the log says that it is stuck."""
        self._is_stopping = True
        self._server.end(grace)
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, grace + self._margin)
        if self._thread.is_alive():
            LOG.error("the status-port thread did not stop in time")

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - above a thread's first function nobody sees it
            self._tell(error)

    async def _serve(self) -> None:
        await self._server.start()
        self._started.set_result(None)
        await self._server.ended()
        if not self._is_stopping:
            raise RuntimeError("the server ended unexpectedly")

    def _tell(self, error: BaseException) -> None:
        """To the caller that waits for the start, or else to the main loop; not while it is stopping."""
        if not self._started.done():
            self._started.set_exception(error)
        elif self._is_stopping or self._main is None:
            LOG.error("the status-port thread crashed", exc_info=error)
        else:
            with suppress(RuntimeError):  # the loop is closed: the process is ending anyway
                self._main.call_soon_threadsafe(self._died, error)
