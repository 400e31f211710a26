"""The shell around it all: kopf watches, events feed the store and wake the queue. No decision here.

`on.event` alone leaves no annotation and no finalizer on any object.
"""

import asyncio
import contextlib
import datetime as dt
from collections.abc import Coroutine
from typing import Any

import kopf

from modelserver_operator import naming
from modelserver_operator.api import GROUP, KIND, PLURAL, VERSION
from modelserver_operator.clients.kubernetes import Cluster, connect
from modelserver_operator.clients.servers import Prober
from modelserver_operator.controller.relist import Relist
from modelserver_operator.controller.workqueue import WorkQueue
from modelserver_operator.errors import ApiError, NotFound, NotInstalled
from modelserver_operator.observed.store import Key, Store
from modelserver_operator.reconcile import Reconciler
from modelserver_operator.settings import Settings

_WATCHED: dict[str, tuple[str, str, str]] = {
    KIND: (GROUP, VERSION, PLURAL),
    **{
        kind: (version.rpartition("/")[0], version.rpartition("/")[2], plural)
        for kind, (version, plural) in {**naming.CHILD_KINDS, "Pod": ("v1", "pods")}.items()
    },
}


def _now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Application:
    """Everything that runs, started and stopped by kopf."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = Store()
        self._queue: WorkQueue[Key] = WorkQueue(self._reconcile)
        self._tasks: list[asyncio.Task[None]] = []
        self._relist = Relist(tuple(_WATCHED), settings.relist_seconds, self._list)
        self._cluster: Cluster | None = None
        self._prober: Prober | None = None
        self._reconciler: Reconciler | None = None

    async def start(self) -> None:
        """Know all children before the first pass: what is not known would be written again."""
        self._cluster, self._prober = await connect(), Prober()
        self._reconciler = Reconciler(
            store=self._store,
            cluster=self._cluster,
            prober=self._prober,
            images=self._settings.images,
            now=_now,
            resync_seconds=self._settings.resync_seconds,
        )
        try:
            await self._list(KIND)
        except NotFound:
            raise NotInstalled(
                f"the CRD {PLURAL}.{GROUP} is not installed: kubectl apply -f crds/{PLURAL}.{GROUP}.yaml"
            ) from None
        for kind in (*naming.CHILD_KINDS, "Pod"):
            await self._list(kind)
        self._spawn(self._relist.run())
        for _ in range(self._settings.workers):
            self._spawn(self._queue.work())

    async def stop(self) -> None:
        """End own tasks first: kopf would wait seconds for them."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for closable in (self._prober, self._cluster):
            if closable is not None:
                await closable.close()

    def seen(self, kind: str, change: str | None, body: kopf.Body) -> None:
        """An object was there, came, changed or went."""
        raw = dict(body)
        self._relist.hear(kind, change, raw["metadata"]["uid"])
        key = self._store.drop(kind, raw) if change == "DELETED" else self._store.put(kind, raw)
        self._wake(key)

    def health(self) -> int:
        """How many keys wait; fails when a task has ended that should run for ever."""
        if any(task.done() for task in self._tasks):
            raise kopf.PermanentError("a task of the operator has ended")
        return self._queue.depth()

    async def _reconcile(self, key: Key) -> float | None:
        if self._reconciler is None:
            raise RuntimeError("the queue runs before the start")
        return await self._reconciler.reconcile(key)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def _list(self, kind: str) -> None:
        if self._cluster is None:
            raise RuntimeError("no connection yet")
        for namespace in self._settings.namespaces or (None,):
            seen: set[str] = set()
            version = 0
            async for items, listed in self._cluster.pages(kind, namespace):
                version = listed
                for item in items:
                    seen.add(item["metadata"]["uid"])
                    self._wake(self._store.put(kind, item))
            for place, name, uid in self._store.missing(kind, seen, version):
                if namespace in (None, place):
                    self._wake(self._store.forget(kind, place, name, uid))

    def _wake(self, key: Key | None) -> None:
        if key is not None:
            self._queue.wake(key)


def register(registry: kopf.OperatorRegistry, settings: Settings) -> Application:
    """Connect an application to kopf; importing this module registers nothing."""
    application = Application(settings)

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        _configure(settings)
        try:
            await application.start()
        except (ApiError, NotInstalled) as error:
            raise kopf.PermanentError(str(error)) from None

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        await application.stop()

    @kopf.on.login(registry=registry)
    def login(**arguments: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)

    @kopf.on.probe(registry=registry, id="waiting")
    def waiting(**_: Any) -> int:
        return application.health()

    for kind, (group, version, plural) in _WATCHED.items():
        _watch(registry, application, kind, (group, version, plural))
    return application


def _watch(
    registry: kopf.OperatorRegistry, application: Application, kind: str, resource: tuple[str, str, str]
) -> None:
    @kopf.on.event(*resource, registry=registry, id=f"seen-{kind.lower()}")
    async def seen(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf's name
        application.seen(kind, type, body)


def _configure(settings: kopf.OperatorSettings) -> None:
    settings.persistence.progress_storage = _NoProgress()
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.posting.enabled = False
    settings.queueing.idle_timeout = 1.0
    settings.watching.reconnect_backoff = 1.0
    settings.networking.connect_timeout = 10.0
    # The watched kinds are fixed; looking for new ones would need rights on CRDs and namespaces.
    settings.scanning.disabled = True
    for kind, resource in _WATCHED.items():
        if kind != KIND:
            group, version, plural = resource
            settings.watching.label_selectors[group, version, plural] = naming.OWN_SELECTOR


class _NoProgress(kopf.ProgressStorage):
    """Nothing is kept on objects: reading their annotations costs a quarter of the start-up."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None

    def purge(self, **_: Any) -> None:
        return None

    def touch(self, **_: Any) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence


class _NoDiffBase(kopf.DiffBaseStorage):
    """The same for the last-seen state."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None
