"""Asks the servers in tasks of their own and keeps the answers, so that no other part waits for a pod."""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from modelserver_operator import metrics
from modelserver_operator.clients.servers import ServerClient
from modelserver_operator.clients.slots import FairSlots
from modelserver_operator.observed.inquiry import Endpoint, Inquiry, Question, endpoint
from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.report import ProbeOutcome, Reply
from modelserver_operator.observed.store import Key

_SLOTS, _SLOTS_EACH = 128, 8
_TOGETHER_SECONDS = 5.0
"""Requests that are due in this time or later begin at whole seconds."""
_logger = logging.getLogger(__name__)


@dataclass
class _Asked:
    """One pod's server: what is known, and what runs to find out more."""

    inquiry: Inquiry
    timer: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """End what runs."""
        if self.timer is not None:
            self.timer.cancel()
        if self.task is not None:
            self.task.cancel()
        self.timer = self.task = None


@dataclass
class _Object:
    """One ModelServer."""

    revision: str = ""
    changes: int = 0
    servers: dict[str, _Asked] = field(default_factory=dict)
    """By the pod's uid."""


class Asking:
    """One task for each request."""

    def __init__(self, client: ServerClient, resync_seconds: Callable[[], float]) -> None:
        """`resync_seconds`: how often a server is asked that serves all it should; random, to spread them."""
        self.outcomes: Counter[ProbeOutcome] = Counter()
        """Requests so far."""
        self.wake: Callable[[Key], None] = _ignore
        """Called with a ModelServer when one of its servers has answered differently than before."""
        self._client = client
        self._resync_seconds = resync_seconds
        self._objects: dict[Key, _Object] = {}
        self._answering: FairSlots[Key] = FairSlots(_SLOTS, _SLOTS_EACH)
        # Silent servers hold a slot until a timeout, so they share slots of their own.
        self._silent: FairSlots[Key] = FairSlots(_SLOTS, _SLOTS_EACH)

    def replies(self, key: Key, pods: Iterable[Pod], revision: str) -> Mapping[str, Reply]:
        """The replies known now, by the pod's uid; what is missing or outdated is asked for meanwhile."""
        known = self._objects.setdefault(key, _Object(revision))
        if revision != known.revision:
            known.revision = revision
            known.changes += 1
        endpoints = {pod.uid: (found, pod.is_ready) for pod in pods if (found := endpoint(pod)) is not None}
        for uid in known.servers.keys() - endpoints.keys():
            known.servers.pop(uid).stop()
        for found, is_ready in endpoints.values():
            self._expect(key, found, is_ready=is_ready)
        return self.latest(key)

    def latest(self, key: Key) -> Mapping[str, Reply]:
        """What is known of an object's servers, by the pod's uid; nothing is asked."""
        known = self._objects.get(key)
        replies = {uid: asked.inquiry.known() for uid, asked in known.servers.items()} if known else {}
        return {uid: reply for uid, reply in replies.items() if reply is not None}

    def forget(self, key: Key) -> None:
        """Stop asking the servers of a ModelServer."""
        known = self._objects.pop(key, None)
        for asked in known.servers.values() if known else ():
            asked.stop()

    async def close(self) -> None:
        """End all tasks; those that are cancelled have ended when this returns."""
        tasks = [
            asked.task for known in self._objects.values() for asked in known.servers.values() if asked.task
        ]
        for key in list(self._objects):
            self.forget(key)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _expect(self, key: Key, found: Endpoint, *, is_ready: bool) -> None:
        known = self._objects[key]
        question = Question(found, is_ready, known.revision, known.changes)
        asked = known.servers.get(found.uid)
        if asked is None:
            asked = known.servers[found.uid] = _Asked(Inquiry(question))
            self._plan(key, asked, 0.0)
        elif asked.inquiry.change(question):
            self._plan(key, asked, 0.0)
        else:
            self._freshen(key, asked)

    def _freshen(self, key: Key, asked: _Asked) -> None:
        """Something about the object changed: do not wait for the slow round."""
        loop = asyncio.get_running_loop()
        after = asked.inquiry.freshen(loop.time())
        if asked.timer is not None and after is not None and loop.time() + after < asked.timer.when():
            self._plan(key, asked, after)

    def _plan(self, key: Key, asked: _Asked, after: float) -> None:
        asked.stop()
        loop = asyncio.get_running_loop()
        when = loop.time() + after
        # Requests that begin together cost a third of the CPU of single ones.
        when = math.ceil(when) if after >= _TOGETHER_SECONDS else when
        asked.timer = loop.call_at(when, self._begin, key, asked)

    def _begin(self, key: Key, asked: _Asked) -> None:
        asked.timer = None
        asked.task = asyncio.create_task(self._ask(key, asked))

    async def _ask(self, key: Key, asked: _Asked) -> None:
        try:
            await self._ask_once(key, asked)
        except Exception:
            _logger.exception("the status of a server of %s could not be processed", key)
        asked.task = None
        self._plan(key, asked, asked.inquiry.pause(self._resync_seconds()))

    async def _ask_once(self, key: Key, asked: _Asked) -> None:
        inquiry = asked.inquiry
        where = inquiry.question.endpoint
        async with (self._silent if inquiry.is_silent else self._answering).slot(key):
            answer = await self._client.ask(where.address, where.port)
        before = inquiry.known()
        outcome = inquiry.take(answer, asyncio.get_running_loop().time())
        self.outcomes[outcome] += 1
        metrics.PROBES.labels(outcome).inc()
        if inquiry.known() != before:
            self.wake(key)


def _ignore(_key: Key) -> None:
    """Until someone waits for answers."""
