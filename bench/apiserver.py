"""As much of a Kubernetes API server as the operator needs: lists, watches, server-side apply, status.

It keeps objects in memory, defaults and checks nothing, and tells the watches of children only when it is
allowed to, so that a pass of the operator can be seen alone. It also answers as the one pod's status port.
"""

import asyncio
import contextlib
import itertools
import json
import threading
from collections.abc import Iterator
from typing import Any

import yaml
from aiohttp import web

Raw = dict[str, Any]
KINDS = {
    "serviceaccounts": ("v1", "ServiceAccount"),
    "configmaps": ("v1", "ConfigMap"),
    "services": ("v1", "Service"),
    "pods": ("v1", "Pod"),
    "deployments": ("apps/v1", "Deployment"),
    "modelservers": ("modelserver.dev/v1alpha1", "ModelServer"),
}
"""By plural: apiVersion and kind."""
DISCOVERED = KINDS | {
    "namespaces": ("v1", "Namespace"),
    "customresourcedefinitions": ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
}
"""kopf does not start before it has seen these two; it never lists them."""
SERVERS = "modelservers"
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
TIME = "2026-01-01T00:00:00Z"


class ApiServer:
    """Runs in a thread of its own; everything below `start` is for other threads."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Raw] = {}
        """By plural and name: one namespace is enough."""
        self.watches = 0
        self.statuses = 0
        """Written so far."""
        self.report: Raw = {}
        """What the pod answers to GET /status."""
        self.reports = 0
        """Given so far."""
        self.is_silent = True
        """Whether changes of children wait before the watches hear of them."""
        self._versions = itertools.count(1)
        self._watching: dict[str, list[asyncio.Queue[Raw]]] = {plural: [] for plural in KINDS}
        self._held: list[tuple[str, Raw]] = []
        self._loop = asyncio.new_event_loop()
        self.port = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """On a port of its own."""
        runner = web.AppRunner(self._application(), shutdown_timeout=0.1)
        self._loop.run_until_complete(self._listen(runner))
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            asyncio.run_coroutine_threadsafe(self._end(runner), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def put(self, plural: str, body: Raw) -> Raw:
        """As if somebody else wrote it; its watch hears of it."""
        return asyncio.run_coroutine_threadsafe(self._put(plural, body), self._loop).result(10)

    def speak(self) -> None:
        """Let the watches hear of everything that waited, and of all that comes."""
        self._loop.call_soon_threadsafe(self._speak)

    async def _listen(self, runner: web.AppRunner) -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]

    async def _end(self, runner: web.AppRunner) -> None:
        for watching in self._watching.values():
            for changes in watching:
                changes.put_nowait({})
        await runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/version", _version)
        application.router.add_get("/status", self._report)
        application.router.add_get("/api", _api)
        application.router.add_get("/apis", _groups)
        for root in {_root(version) for version, _ in DISCOVERED.values()}:
            application.router.add_get(root, _resources)
            for path in ("/{plural}", "/namespaces/{namespace}/{plural}"):
                application.router.add_get(root + path, self._list)
            application.router.add_post(root + "/namespaces/{namespace}/{plural}", _created)
            application.router.add_get(root + "/namespaces/{namespace}/{plural}/{name}", self._get)
            for path in ("", "/status"):
                full = root + "/namespaces/{namespace}/{plural}/{name}" + path
                application.router.add_patch(full, self._patch)
        return application

    async def _report(self, _request: web.Request) -> web.Response:
        self.reports += 1
        return _json(self.report)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        plural = request.match_info["plural"]
        if request.query.get("watch") == "true":
            return await self._watch(request, plural)
        items = [item for (kind, _), item in self.objects.items() if kind == plural]
        metadata = {"resourceVersion": str(next(self._versions))}
        version, kind = KINDS[plural]
        return web.json_response(
            {"apiVersion": version, "kind": f"{kind}List", "metadata": metadata, "items": items}
        )

    async def _watch(self, request: web.Request, plural: str) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        changes: asyncio.Queue[Raw] = asyncio.Queue()
        self._watching[plural].append(changes)
        self.watches += 1
        while change := await changes.get():
            await answer.write(json.dumps(change).encode() + b"\n")
        return answer

    async def _get(self, request: web.Request) -> web.Response:
        found = self.objects.get((request.match_info["plural"], request.match_info["name"]))
        return web.json_response({"message": "not found"}, status=404) if found is None else _json(found)

    async def _patch(self, request: web.Request) -> web.Response:
        plural, body = request.match_info["plural"], yaml.safe_load(await request.text())
        name = request.match_info["name"]
        old = self.objects.get((plural, name), {})
        if request.path.endswith("/status"):
            self.statuses += 1
            body = {**old, "status": body["status"]}
        return _json(await self._put(plural, body))

    async def _put(self, plural: str, body: Raw) -> Raw:
        key = plural, body["metadata"]["name"]
        is_new = key not in self.objects
        old = self.objects.get(key, {"metadata": {"uid": f"uid-{plural}-{key[1]}"}})
        added = {
            "uid": old["metadata"]["uid"], "namespace": "default", "creationTimestamp": TIME,
            "generation": 1, "resourceVersion": str(next(self._versions)),
        }  # fmt: skip
        version, kind = KINDS[plural]
        kept = {"status": old["status"]} if "status" in old else {}
        new = {**kept, "apiVersion": version, "kind": kind, **body, "metadata": body["metadata"] | added}
        self.objects[key] = new
        self._tell(plural, {"type": "ADDED" if is_new else "MODIFIED", "object": new})
        return new

    def _tell(self, plural: str, change: Raw) -> None:
        if self.is_silent and (plural != SERVERS or change["type"] != "ADDED"):
            self._held.append((plural, change))
            return
        for changes in self._watching[plural]:
            changes.put_nowait(change)

    def _speak(self) -> None:
        self.is_silent = False
        held, self._held = self._held, []
        for plural, change in held:
            self._tell(plural, change)


def _json(body: Raw) -> web.Response:
    return web.json_response(body)


def _root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


async def _version(_request: web.Request) -> web.Response:
    return _json({"major": "1", "minor": "34", "gitVersion": "v1.34.0"})


async def _api(_request: web.Request) -> web.Response:
    return _json({"kind": "APIVersions", "versions": ["v1"]})


async def _groups(_request: web.Request) -> web.Response:
    found = []
    for version in sorted({version for version, _ in DISCOVERED.values() if "/" in version}):
        entry = {"groupVersion": version, "version": version.partition("/")[2]}
        found.append({"name": version.partition("/")[0], "versions": [entry], "preferredVersion": entry})
    return _json({"kind": "APIGroupList", "apiVersion": "v1", "groups": found})


async def _resources(request: web.Request) -> web.Response:
    version = request.path.removeprefix("/apis/").removeprefix("/api/")
    found = [
        {"name": plural, "singularName": kind.lower(), "kind": kind, "namespaced": True, "verbs": VERBS}
        for plural, (of, kind) in DISCOVERED.items()
        if of == version
    ]
    return _json({"kind": "APIResourceList", "groupVersion": version, "resources": found})


async def _created(request: web.Request) -> web.Response:
    """Events, which nobody reads here."""
    return web.json_response(await request.json(), status=201)
