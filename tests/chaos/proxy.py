"""A proxy in front of the real API server: it passes on what the operator asks, and does harm on demand."""

import asyncio
import contextlib
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Self

import aiohttp
from aiohttp import web

from tests.chaos.traffic import WRITES, Asked, Fault, Lines, Rule, Seen, read, refusal

LATE_SECONDS = 3.0
Queue = asyncio.Queue[tuple[float, bytes] | None]
"""Lines of a watch, each with the moment when it is due; None ends it."""
_HOP = {"host", "connection", "transfer-encoding", "content-length", "keep-alive"}
_END = b'{"type":"DELETED"'
_EVENTS = (b'{"type":"ADDED"', b'{"type":"MODIFIED"', _END)


class Proxy:
    """Runs in a thread of its own; plain HTTP on loopback, and the caller's own credentials go on."""

    def __init__(self, url: str, authority: str) -> None:
        """`url` of the API server, and its authority's certificate in PEM."""
        self._url = url
        self._tls = ssl.create_default_context(cadata=authority)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self.rules: list[Rule] = []
        self.lines: dict[str, Lines] = {}
        """By namespace, what becomes of the events of its watches."""
        self._seen: dict[str, list[Seen]] = defaultdict(list)
        self._open: dict[str, set[Asked]] = defaultdict(set)
        self._streams: dict[str, set[asyncio.Transport | None]] = defaultdict(set)
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)
        return self

    def __exit__(self, *_) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    async def _start(self) -> None:
        connector = aiohttp.TCPConnector(limit=0, ssl=self._tls)
        no_limit = aiohttp.ClientTimeout(total=None, sock_connect=10)
        self._session = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            timeout=no_limit,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        )
        server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _close(self) -> None:
        await self._runner.cleanup()
        await self._session.close()
        await asyncio.sleep(0)

    def seen(self, namespace: str) -> list[Seen]:
        """All requests about a namespace that were answered or lost, in the order of their ends."""
        return list(self._seen[namespace])

    def writes(self, namespace: str, since: float = 0.0) -> list[Seen]:
        """Writes about objects of a namespace that began later, refused ones included."""
        return [item for item in self.seen(namespace) if item.asked.is_write() and item.asked.at >= since]

    def is_writing(self, namespace: str) -> bool:
        """Whether a write has not been answered yet."""
        return any(asked.is_write() for asked in list(self._open[namespace]))

    def cut_watches(self, namespace: str) -> None:
        """End the open watches of a namespace."""
        self._loop.call_soon_threadsafe(lambda: [_abort(item) for item in self._streams[namespace]])

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = read(request.method, request.path, dict(request.query), time.monotonic())
        body = await request.read()
        rule = next((rule for rule in list(self.rules) if rule.applies(asked)), None)
        if rule is None:
            self._open[asked.namespace].add(asked)
            try:
                return await self._pass(request, asked, body)
            finally:
                self._open[asked.namespace].discard(asked)
        rule.hits.append(asked)
        return await self._harm(request, asked, body, rule)

    async def _harm(
        self, request: web.BaseRequest, asked: Asked, body: bytes, rule: Rule
    ) -> web.StreamResponse:
        if rule.fault in {Fault.LOST, Fault.KILLED_AFTER} and asked.verb in WRITES:
            async with self._upstream(request, body) as answer:
                await answer.read()
            self._note(asked, 0, is_carried_out=True)
        elif rule.fault.value.isdigit():
            self._note(asked, int(rule.fault.value))
            headers = {"Retry-After": "1"} if rule.fault is Fault.BUSY else {}
            return web.json_response(refusal(rule.fault), status=int(rule.fault.value), headers=headers)
        else:
            self._note(asked, 0)
        if rule.kill is not None:
            rule.kill()
        if rule.fault is Fault.NEVER:
            await asyncio.Event().wait()  # until the caller gives up
        _abort(request.transport)
        return web.Response()

    @contextlib.asynccontextmanager
    async def _upstream(self, request: web.BaseRequest, body: bytes) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        url = f"{self._url}{request.raw_path}"
        async with self._session.request(request.method, url, headers=headers, data=body or None) as answer:
            yield answer

    async def _pass(self, request: web.BaseRequest, asked: Asked, body: bytes) -> web.StreamResponse:
        async with self._upstream(request, body) as answer:
            headers = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            if asked.verb == "watch" and answer.status == 200:
                self._note(asked, answer.status, is_carried_out=True)
                return await self._stream(request, asked.namespace, answer, headers)
            content = await answer.read()
        self._note(asked, answer.status, is_carried_out=True)
        return web.Response(body=content, status=answer.status, headers=headers)

    def _note(self, asked: Asked, status: int, *, is_carried_out: bool = False) -> None:
        self._seen[asked.namespace].append(Seen(asked, time.monotonic(), status, is_carried_out))

    async def _stream(
        self, request: web.BaseRequest, namespace: str, answer: aiohttp.ClientResponse, headers: dict
    ) -> web.StreamResponse:
        """A watch, line by line."""
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        queue = Queue()
        writing = asyncio.create_task(_write(response, queue))
        self._streams[namespace].add(request.transport)
        try:
            async for line in _lines(answer):
                self._enqueue(namespace, line, queue)
            queue.put_nowait(None)
            await writing
        except (aiohttp.ClientError, ConnectionError):
            _abort(request.transport)
        finally:
            self._streams[namespace].discard(request.transport)
            writing.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await writing
        return response

    def _enqueue(self, namespace: str, line: bytes, queue: Queue) -> None:
        fault = self.lines.get(namespace) if line.startswith(_EVENTS) else None
        now = self._loop.time()
        if fault is not Lines.DROPPED:
            queue.put_nowait((now + LATE_SECONDS if fault is Lines.LATE else now, line))
        if fault is Lines.DOUBLED:
            queue.put_nowait((now, line))
        if fault is Lines.REPEATED and not line.startswith(_END):
            self._loop.call_later(LATE_SECONDS, queue.put_nowait, (now, line))


async def _lines(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in answer.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line


async def _write(response: web.StreamResponse, queue: Queue) -> None:
    """In the order of the queue, each line not before it is due."""
    loop = asyncio.get_running_loop()
    while True:
        item = await queue.get()
        if item is None:
            return
        due, line = item
        if (pause := due - loop.time()) > 0:
            await asyncio.sleep(pause)
        await response.write(line + b"\n")


def _abort(transport: asyncio.Transport | None) -> None:
    if transport is not None:
        transport.abort()
