"""The connection to kopf: it watches, its events update the store and wake the queue. It decides nothing.

`on.event` alone leaves no annotation and no finalizer on any object.
"""

import asyncio
import contextlib
import datetime as dt
import random
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Self

import kopf

from modelserver_operator import naming
from modelserver_operator.api import GROUP, KIND, PLURAL
from modelserver_operator.clients.kubernetes import connect
from modelserver_operator.clients.servers import ServerClient
from modelserver_operator.controller.relist import Relist
from modelserver_operator.controller.workqueue import WorkQueue
from modelserver_operator.errors import ApiError, NotFound, NotInstalled
from modelserver_operator.observed.store import Key, Store
from modelserver_operator.reconcile import Reconciler
from modelserver_operator.settings import Settings


def _now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Application:
    """Everything that runs between kopf's start-up and its clean-up."""

    store: Store
    queue: WorkQueue[Key]
    relist: Relist
    connections: contextlib.AsyncExitStack
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @classmethod
    async def start(cls, settings: Settings) -> Self:
        """List all children before the first pass: an unknown one would be written again."""
        async with contextlib.AsyncExitStack() as connections:
            cluster = await connect()
            connections.push_async_callback(cluster.close)
            servers = ServerClient()
            connections.push_async_callback(servers.close)
            store = Store()
            reconciler = Reconciler(
                store=store,
                cluster=cluster,
                servers=servers,
                images=settings.images,
                now=_now,
                resync_seconds=lambda: settings.resync_seconds * random.uniform(0.75, 1.25),
            )
            queue = WorkQueue(reconciler.reconcile)
            relist = Relist(cluster, store, queue.wake, settings)
            await _list_all(relist)
            application = cls(store, queue, relist, connections.pop_all())
        application.spawn(relist.run())
        for _ in range(settings.workers):
            application.spawn(queue.work())
        return application

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run until `stop`."""
        self.tasks.append(asyncio.create_task(work))

    async def stop(self) -> None:
        """End the tasks and close the connections; kopf would wait seconds for the tasks."""
        for task in self.tasks:
            task.cancel()
        for task in self.tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.connections.aclose()

    def seen(self, kind: str, change: str | None, body: kopf.Body) -> None:
        """Take over an event: an object existed already (None), or was ADDED, MODIFIED or DELETED."""
        raw = dict(body)
        self.relist.notice(kind, change, raw["metadata"]["uid"])
        key = self.store.drop(kind, raw) if change == "DELETED" else self.store.put(kind, raw)
        if key is not None:
            self.queue.wake(key)

    def health(self) -> int:
        """How many keys are waiting; fails when a task that should run forever has ended."""
        if any(task.done() for task in self.tasks):
            raise kopf.PermanentError("a task of the operator has ended")
        return self.queue.depth()


async def _list_all(relist: Relist) -> None:
    for kind in naming.KINDS:
        try:
            await relist.list(kind)
        except NotFound:
            if kind != KIND:
                raise
            raise NotInstalled(
                f"the CRD {PLURAL}.{GROUP} is not installed: kubectl apply -f crds/{PLURAL}.{GROUP}.yaml"
            ) from None


def register(registry: kopf.OperatorRegistry, settings: Settings) -> None:
    """Register the handlers; importing this module registers nothing. kopf's memo holds the application."""
    operator_settings = settings

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: Any) -> None:
        _configure(settings)
        try:
            memo.application = await Application.start(operator_settings)
        except (ApiError, NotInstalled) as error:
            raise kopf.PermanentError(str(error)) from None

    @kopf.on.cleanup(registry=registry)
    async def stop(memo: kopf.Memo, **_: Any) -> None:
        await _application(memo).stop()

    @kopf.on.login(registry=registry)
    def login(**arguments: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)

    @kopf.on.probe(registry=registry, id="waiting")
    def waiting(memo: kopf.Memo, **_: Any) -> int:
        return _application(memo).health()

    for kind in naming.KINDS:
        _watch(registry, kind)


def _watch(registry: kopf.OperatorRegistry, kind: str) -> None:
    @kopf.on.event(*naming.KINDS[kind], registry=registry, id=f"seen-{kind.lower()}")
    async def seen(type: str | None, body: kopf.Body, memo: kopf.Memo, **_: Any) -> None:  # noqa: A002 - kopf's name
        _application(memo).seen(kind, type, body)


def _application(memo: kopf.Memo) -> Application:
    """What `start` put there: kopf calls no other handler before it."""
    application: Application = memo.application
    return application


def _configure(settings: kopf.OperatorSettings) -> None:
    settings.persistence.progress_storage = _NoProgress()
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.posting.enabled = False
    settings.queueing.idle_timeout = 1.0
    settings.watching.reconnect_backoff = 1.0
    settings.networking.connect_timeout = 10.0
    # The watched kinds are fixed; looking for new ones would need rights on CRDs and namespaces.
    settings.scanning.disabled = True
    for kind, (group, version, plural) in naming.KINDS.items():
        if kind != KIND:
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
