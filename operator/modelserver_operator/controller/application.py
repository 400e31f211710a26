"""Everything that runs between kopf's start-up and its clean-up, and what ends it."""

import asyncio
import contextlib
import datetime as dt
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelserver_operator import metrics, naming
from modelserver_operator.api import GROUP, KIND, PLURAL
from modelserver_operator.changes.nudge import Nudger
from modelserver_operator.clients import lease
from modelserver_operator.clients.asking import Asking
from modelserver_operator.clients.context import is_in_pod
from modelserver_operator.clients.installed import InstalledCrd
from modelserver_operator.clients.kubernetes import Cluster, Event, connect
from modelserver_operator.clients.nodes import lift_quota
from modelserver_operator.clients.scaling.loads import Loads
from modelserver_operator.clients.servers import ServerClient
from modelserver_operator.controller.endpoint import Endpoint
from modelserver_operator.controller.leadership import Leadership
from modelserver_operator.controller.others import OthersPoll
from modelserver_operator.controller.relist import Relist
from modelserver_operator.controller.scale import ScaleEndpoint
from modelserver_operator.controller.watches import Watches
from modelserver_operator.controller.workqueue import WorkQueue
from modelserver_operator.errors import NotFound, NotInstalled, NotLeading, OperatorError
from modelserver_operator.observed.store import Key, Store
from modelserver_operator.reconcile import Reconciler
from modelserver_operator.settings import Settings

HANG_SECONDS = 900.0
"""A pass makes some dozens of requests of at most 30 s each: one that takes longer never ends."""
_RECHECK_SECONDS = 600.0
"""Every settled object gets a pass in about this time, although events and answers report all changes."""
_CANCEL_SECONDS = 1.0
"""How long a task that was cancelled has to end before it is cancelled again."""
SILENT_SECONDS = 180.0
"""A watch that was quiet for 75 s is opened again."""


@dataclass
class Application:
    """Everything that runs between kopf's start-up and its clean-up."""

    cluster: Cluster
    store: Store
    queue: WorkQueue[Key]
    relist: Relist
    leadership: Leadership
    installed: InstalledCrd
    scale: ScaleEndpoint
    others: OthersPoll
    connections: contextlib.AsyncExitStack
    ended: asyncio.Event
    """Set when a task has failed; kopf stops then."""
    failure: BaseException | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self, settings: Settings) -> None:
        """Begin to work; the election begins last, when this process knows everything."""
        await self._observe(settings.liveness_port)
        self.connections.push_async_callback(self.scale.close)
        await self.scale.start(settings.scale_port)
        self.spawn(self.relist.run())
        self.spawn(self.others.run())
        self.spawn(self.installed.watch(self.wake_all))
        watches = Watches(self.cluster, self.relist, self.seen)
        for stream in self.relist.streams():
            self.spawn(watches.follow(stream))
        for _ in range(settings.workers):
            self.spawn(self.queue.work())
        self.spawn(self.leadership.run(self.wake_all, self._tell, self.cluster.leases))
        api = lease.connect(in_cluster=is_in_pod())
        for each in self.leadership.leases:
            each.start(api)

    async def _observe(self, port: int) -> None:
        """Answer probes and Prometheus until the connections are closed."""
        live = metrics.Live(self.queue.depth, self.queue.oldest_seconds, self.store.servers.values)
        metrics.REGISTRY.register(live)
        self.connections.callback(metrics.REGISTRY.unregister, live)
        metrics.LEADER.set_function(lambda: any(each.may_write() for each in self.leadership.leases))
        endpoint = Endpoint({"/healthz": self.live, "/readyz": self.ready})
        self.connections.push_async_callback(endpoint.close)
        await endpoint.start(port)

    async def _tell(self, event: Event, metadata: Mapping[str, Any]) -> None:
        await self.cluster.announce(event, metadata, _now())

    def wake_all(self) -> None:
        """Look at every object."""
        for key in self.store.servers:
            self.queue.wake(key)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run until `stop`."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._note_end)
        self.tasks.append(task)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self.failure = task.exception() or OperatorError("a task of the operator has ended")
            self.ended.set()

    async def stop(self) -> None:
        """End the tasks, for which kopf would wait seconds, release the Leases and close the connections."""
        self.ended.set()  # kopf's own task waits for it
        await cancel(self.tasks)
        await asyncio.gather(*(asyncio.to_thread(each.stop) for each in self.leadership.leases))
        await self.connections.aclose()

    def seen(self, kind: str, change: str, body: Mapping[str, Any]) -> None:
        """Take over an event: an object was ADDED, MODIFIED or DELETED."""
        key = self.store.drop(kind, body) if change == "DELETED" else self.relist.take(kind, body)
        if key is not None:
            self.queue.wake(key)

    def live(self) -> tuple[int, dict[str, Any]]:
        """Whether it would help to start the process again."""
        problems = [*self._hanging(), *(f"the watch of {name} is silent" for name in self._silent())]
        return 500 if problems else 200, {"waiting": self.queue.depth(), "problems": problems}

    def ready(self) -> tuple[int, dict[str, Any]]:
        """Whether this process writes, or takes over when another pod of its installation ends."""
        problem = self.leadership.problem()
        leads = [each.namespace for each in self.leadership.leases if each.may_write()]
        return 503 if problem else 200, {"leads": leads, "problem": problem}

    def _silent(self) -> list[str]:
        return self.relist.silent(SILENT_SECONDS)

    def _hanging(self) -> Iterator[str]:
        if (seconds := self.queue.longest()) > HANG_SECONDS:
            yield f"a pass has been running for {seconds:.0f} s"


async def prepare(settings: Settings, ended: asyncio.Event) -> Application:
    """List all children before the first pass: an unknown one would be written again."""
    async with contextlib.AsyncExitStack() as connections:
        leadership = Leadership(_leases(settings), is_cluster_wide=not settings.namespaces)
        cluster = await connect(leadership.check)
        connections.push_async_callback(cluster.close)
        servers = ServerClient()
        connections.push_async_callback(servers.close)
        asking = Asking(servers, _around(settings.resync_seconds))
        connections.push_async_callback(asking.close)
        loads = Loads(servers)
        connections.push_async_callback(loads.close)
        store = Store()
        reconciler = _reconciler(settings, store, cluster, asking)
        reconciler.lifts_quota = await lift_quota(cluster)
        queue = WorkQueue(where_leading(leadership, reconciler))
        asking.wake = reconciler.wake = queue.wake
        relist = Relist(cluster, store, queue.wake, settings)
        await _list_all(relist)
        await reconciler.installed.refresh()
        for item in [] if settings.namespaces else await cluster.leases():
            leadership.seen(None, item)
        scale = ScaleEndpoint(store, loads, reconciler.scaling.read_scaler)
        others = OthersPoll(cluster, reconciler.scaling.apis, store, queue.wake, settings.namespaces)
        await others.look()
        parts = (store, queue, relist, leadership, reconciler.installed, scale, others)
        return Application(cluster, *parts, connections.pop_all(), ended)


def _reconciler(settings: Settings, store: Store, cluster: Cluster, asking: Asking) -> Reconciler:
    return Reconciler(
        store=store,
        cluster=cluster,
        asking=asking,
        nudger=Nudger(cluster, time.monotonic),
        images=settings.images,
        now=_now,
        resync_seconds=_around(_RECHECK_SECONDS),
        rejection_retry_seconds=settings.rejection_retry_seconds,
        scale_url=settings.scale_url,
    )


def _around(seconds: float) -> Callable[[], float]:
    """Random, so that objects that were first seen together spread out."""
    return lambda: seconds * random.uniform(0.75, 1.25)


def _leases(settings: Settings) -> list[lease.Lease]:
    terms = lease.Terms(settings.identity, settings.lease_seconds, must_wait=bool(settings.namespaces))
    return [lease.Lease(name, terms) for name in settings.namespaces or (settings.lease_namespace,)]


async def cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    """End these tasks. One whose cancellation meets an answer can lose it, so it is cancelled again."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=_CANCEL_SECONDS)
        await asyncio.gather(*done, return_exceptions=True)


def where_leading(leadership: Leadership, reconciler: Reconciler) -> Callable[[Key], Awaitable[float | None]]:
    """Passes over objects where this process may write; elsewhere another operator works on them."""
    reconcile = metrics.measured(reconciler.reconcile)

    async def process(key: Key) -> float | None:
        """Not yet where not every kind could be listed: a template not seen yet would be replaced.

        All objects there are woken when that is known, or when this process begins to lead.
        """
        namespace = key[0]
        if leadership.leads(namespace):
            if not reconciler.store.is_complete(namespace):
                return None
            with contextlib.suppress(NotLeading):
                return await reconcile(key)
        reconciler.rest(key)
        leadership.turn_away(namespace)
        return None

    return process


async def _list_all(relist: Relist) -> None:
    for kind in naming.KINDS:
        try:
            await relist.list(kind)
        except NotFound:
            if kind != KIND:
                raise
            raise NotInstalled(
                f"the CRD {PLURAL}.{GROUP} is not installed: set crds.install=true in the chart, or "
                f"kubectl apply -f crds/{PLURAL}.{GROUP}.yaml"
            ) from None
    for kind in naming.OPTIONAL:
        await relist.list_optional(kind)


def _now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
