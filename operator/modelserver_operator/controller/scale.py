"""GET /scale/NAMESPACE/NAME?key=…: the load of an object's pods, for KEDA. Every pod of the operator answers.

The key is in the object's ScaledObject: who may read that may read these figures, and nobody else. Whatever
is wrong, the object, the key or both, the answer is the same, after the same time.
"""

import asyncio
import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from modelserver_operator import metrics, naming
from modelserver_operator.clients.scaling.loads import Loads
from modelserver_operator.controller.endpoint import Port
from modelserver_operator.errors import ApiError
from modelserver_operator.observed.scaling.report import ScaledObjectReport
from modelserver_operator.observed.store import Key, Store

_LONGEST_KEY = 256
_REFRESH_SECONDS, _REMEMBERED = 5.0, 10_000
_PAUSE_SECONDS = 0.2
"""After each read for a question with a wrong key: anyone who reaches the port can ask such questions."""
_logger = logging.getLogger(__name__)


class ScaleEndpoint:
    """The HTTP server that KEDA asks."""

    def __init__(self, store: Store, loads: Loads, refresh: Callable[[Key], Awaitable[None]]) -> None:
        """`refresh` reads an object's ScaledObject: this process may not have heard of its key yet."""
        self._store = store
        self._loads = loads
        self._refresh = refresh
        self._refreshed: dict[Key, float] = {}
        self._reading: dict[Key, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()
        self._nobodys = secrets.token_urlsafe()
        application = web.Application()
        application.add_routes([web.get("/scale/{namespace}/{name}", self._handle)])
        self._port = Port(application)

    async def start(self, port: int) -> None:
        """Answer from now on."""
        await self._port.start(port)

    async def close(self) -> None:
        """Stop listening."""
        tasks = list(self._reading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._port.close()

    async def _handle(self, request: web.Request) -> web.Response:
        answer = await self._answer(request)
        metrics.SCALE_ANSWERS.labels(answer.status).inc()
        return answer

    async def _answer(self, request: web.Request) -> web.Response:
        key: Key = (request.match_info["namespace"], request.match_info["name"])
        expected = self._expected(key)
        if not _is_same(request.query.get("key", ""), expected or self._nobodys) or not expected:
            self._look_again(key)
            return web.json_response({"problem": "no such object, or another key"}, status=404)
        if not self._store.is_complete(key[0]):
            return web.json_response({"problem": "not all pods are known yet"}, status=503)
        load = await self._loads.of(key, self._store.snapshot(key).pods)
        if load is None:
            problem = "no pod is ready, or not every ready pod has reported its load yet"
            return web.json_response({"problem": problem}, status=503)
        return web.json_response(
            {
                "requestsPerStream": round(load.requests_per_stream, 3),
                "concurrency": round(load.concurrency, 3),
            }
        )

    def _expected(self, key: Key) -> str:
        """Empty where no question is allowed."""
        server = self._store.servers.get(key)
        child = self._store.snapshot(key).children.get((naming.SCALED_OBJECT, key[1]))
        if server is None or child is None or child.owner_uid != server["metadata"]["uid"]:
            return ""
        return child.report.key if isinstance(child.report, ScaledObjectReport) else ""

    def _look_again(self, key: Key) -> None:
        """Only the pod that leads hears of a new ScaledObject; in the background, for the next question."""
        now, server = time.monotonic(), self._store.servers.get(key)
        if server is None or not server["spec"].get("autoscaling") or key in self._reading:
            return
        if now - self._refreshed.get(key, float("-inf")) < _REFRESH_SECONDS:
            return
        self._refreshed.pop(key, None)
        self._refreshed[key] = now
        while len(self._refreshed) > _REMEMBERED:
            del self._refreshed[next(iter(self._refreshed))]
        self._reading[key] = asyncio.create_task(self._read(key))

    async def _read(self, key: Key) -> None:
        """One after the other, each some time after the last one."""
        try:
            async with self._turn:
                await self._refresh(key)
                await asyncio.sleep(_PAUSE_SECONDS)
        except ApiError as error:
            _logger.warning("the ScaledObject of %s/%s cannot be read: %s", *key, error)
        finally:
            self._reading.pop(key, None)


def _is_same(given: str, expected: str) -> bool:
    """In constant time, whatever the lengths are."""
    digests = (
        hashlib.sha256(text[:_LONGEST_KEY].encode(errors="replace")).digest() for text in (given, expected)
    )
    return hmac.compare_digest(*digests)
