"""The load of an object's pods, asked when somebody wants it: at most once in two seconds for each pod.

Independent of who leads: any pod of the operator can answer.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from modelserver_operator.clients.servers import ServerClient
from modelserver_operator.clients.slots import FairSlots
from modelserver_operator.observed.inquiry import MISSES, Endpoint, endpoint
from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.report import Answer, ProbeOutcome
from modelserver_operator.observed.scaling.load import NOTHING, Load, read_load, summed
from modelserver_operator.observed.store import Key

FRESH_SECONDS = 2.0
WAIT_SECONDS = 2.3
"""KEDA waits for 3 s by default."""
_ANSWER_SECONDS = 1.5
"""A server that takes longer has missed it: others wait for its turn."""
_SLOTS, _SLOTS_EACH, _REMEMBERED = 64, 8, 5000


@dataclass
class _Asked:
    """One process of a server."""

    where: Endpoint
    load: Load | None = None
    """The last one that it reported."""
    at: float = float("-inf")
    misses: int = 0
    is_silent: bool = False
    """Whether it answered without its load: an older server. Nothing can be said about it."""
    task: asyncio.Task[None] | None = None

    def is_known(self, misses: int) -> bool:
        """Whether it counts: it has reported its load once, or missed this number of requests."""
        return not self.is_silent and (self.load is not None or self.misses >= misses)


@dataclass
class _Object:
    """One ModelServer."""

    servers: dict[str, _Asked] = field(default_factory=dict)
    """By the pod's uid."""
    was_known: bool = False
    """Whether all of them counted once. Then a new pod that misses its first request has no load yet."""


class Loads:
    """What the pods answered last."""

    def __init__(self, client: ServerClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._objects: OrderedDict[Key, _Object] = OrderedDict()
        self._answering: FairSlots[Key] = FairSlots(_SLOTS, _SLOTS_EACH)
        self._silent: FairSlots[Key] = FairSlots(_SLOTS, _SLOTS_EACH)
        """Of those that did not answer the last time: they hold a slot for long."""

    async def of(self, key: Key, pods: Iterable[Pod]) -> Load | None:
        """The sum over the ready pods; None while one of them has not been heard yet, or none is ready.

        A pod that does not answer counts as it did last; one that never answered, as nothing. Without any
        pod, as at zero replicas, the load is nothing.
        """
        staying = [pod for pod in pods if not pod.is_leaving]
        known = self._expect(key, staying)
        if staying and not known.servers:
            return None
        tasks = [self._ask(key, asked) for asked in known.servers.values()]
        waiting = [task for task in tasks if task is not None]
        if waiting:
            await asyncio.wait(waiting, timeout=WAIT_SECONDS)
        servers = list(known.servers.values())
        is_heard = any(asked.load is not None for asked in servers)
        misses = 1 if known.was_known and is_heard else MISSES
        if not all(asked.is_known(misses) for asked in servers):
            return None
        known.was_known = True
        return summed(asked.load or NOTHING for asked in servers)

    async def close(self) -> None:
        """End all requests."""
        tasks = [
            asked.task for known in self._objects.values() for asked in known.servers.values() if asked.task
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _expect(self, key: Key, pods: Iterable[Pod]) -> _Object:
        known = self._objects.setdefault(key, _Object())
        self._objects.move_to_end(key)
        while len(self._objects) > _REMEMBERED:
            self._drop(self._objects.popitem(last=False)[1])
        wanted = {pod.uid: found for pod in pods if pod.is_ready and (found := endpoint(pod)) is not None}
        gone = {uid: asked for uid, asked in known.servers.items() if wanted.get(uid) != asked.where}
        self._drop(_Object(gone))
        kept = {uid: asked for uid, asked in known.servers.items() if uid not in gone}
        known.servers = {uid: kept.get(uid) or _Asked(where) for uid, where in wanted.items()}
        return known

    def _drop(self, known: _Object) -> None:
        for asked in known.servers.values():
            if asked.task is not None:
                asked.task.cancel()

    def _ask(self, key: Key, asked: _Asked) -> asyncio.Task[None] | None:
        """The request under way, or a new one; None while the last answer is fresh."""
        if asked.task is None and self._clock() - asked.at >= FRESH_SECONDS:
            asked.task = asyncio.create_task(self._ask_once(key, asked))
        return asked.task

    async def _ask_once(self, key: Key, asked: _Asked) -> None:
        slots = self._silent if asked.misses else self._answering
        try:
            async with slots.slot(key):
                answer = await self._answer(asked.where)
            load = read_load(answer.document)
            asked.load = asked.load if load is None else load
            asked.misses = asked.misses + 1 if load is None else 0
            is_answered = answer.outcome is ProbeOutcome.ANSWERED
            asked.is_silent = load is None and (asked.is_silent or is_answered)
        finally:
            asked.at, asked.task = self._clock(), None

    async def _answer(self, where: Endpoint) -> Answer:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await self._client.ask(where.address, where.port)
        except TimeoutError:
            return Answer(ProbeOutcome.TIMED_OUT)
