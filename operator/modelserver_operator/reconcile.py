"""One pass: parse, render, plan, apply, ask, judge, and write the status if it changed.

Level-triggered: a pass looks at everything and does not depend on what triggered it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from modelserver_operator.api import KIND, ModelServer, Status, parse
from modelserver_operator.api.status import ConditionType
from modelserver_operator.changes.apply import Applier
from modelserver_operator.changes.in_place import replaces_in_place
from modelserver_operator.changes.plan import plan
from modelserver_operator.clients.kubernetes import Cluster, Event
from modelserver_operator.clients.servers import ServerClient
from modelserver_operator.conditions import is_settled, judge, reject
from modelserver_operator.desired import Images, render
from modelserver_operator.errors import Conflict, Invalid, NamespaceEnding, NotFound
from modelserver_operator.observed.facts import Facts, Outcome
from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.report import Reply
from modelserver_operator.observed.store import Key, Store

_QUICK, _SLOW, _QUICK_TRIES = 5.0, 30.0, 24
_WITH_EVENTS = (ConditionType.ACCEPTED, ConditionType.APPLIED, ConditionType.READY)


@dataclass
class Reconciler:
    """Reconciles one object at a time; returns the seconds after which it wants to look again."""

    store: Store
    cluster: Cluster
    servers: ServerClient
    images: Images
    now: Callable[[], str]
    resync_seconds: Callable[[], float]
    """When a settled object is looked at again; random, so that objects first seen together spread out."""
    _tries: dict[Key, int] = field(default_factory=dict)

    async def reconcile(self, key: Key) -> float | None:
        """One pass."""
        body = self.store.servers.get(key)
        if body is None or body["metadata"].get("deletionTimestamp"):
            self._tries.pop(key, None)
            return None
        previous = _status(body)
        try:
            server = parse(body)
        except Invalid as error:
            status = reject(error, body["metadata"].get("generation", 0), previous, self.now())
            await self._write(body, previous, status)
            return None
        try:
            return await self._make_true(key, body, server, previous)
        except NamespaceEnding:
            # The namespace's deletion takes the children first and this object last.
            return self.resync_seconds()

    async def _make_true(
        self, key: Key, body: Mapping[str, Any], server: ModelServer, previous: Status
    ) -> float:
        before = self.store.snapshot(key)
        in_place = replaces_in_place(server, before.rollout(server), before.pods, self.now())
        desired = render(server, self.images, in_place=in_place)
        wanted = plan(desired.children, before.children, server.uid, self.store.settled())
        applier = Applier(self.cluster, self.store, server.uid)
        outcome = await applier.apply(wanted, paused=server.spec.paused)
        facts = await self._look(key, server, outcome, desired.revision)
        status = judge(server, facts, desired.revision, previous, self.now())
        if await self._write(body, previous, status, outcome.corrections):
            self._tries.pop(key, None)
        return self._again(key, status, outcome)

    async def _look(self, key: Key, server: ModelServer, outcome: Outcome, revision: str) -> Facts:
        """Everything is judged as it was at one moment, after the writes."""
        seen = self.store.snapshot(key)
        replies = await self.servers.ask(seen.pods, server.spec.ports.status)
        if outcome.is_complete():
            await self._nudge(seen.pods, revision, replies)
        return Facts(seen.rollout(server), seen.pods, replies, outcome)

    async def _nudge(self, pods: Iterable[Pod], revision: str, replies: Mapping[str, Reply]) -> None:
        for pod in pods:
            status = replies[pod.uid].status if pod.uid in replies else None
            is_behind = status is not None and status.revision != revision
            if is_behind and pod.revision_annotation != revision:
                await self.cluster.nudge(pod, revision)

    async def _write(
        self, body: Mapping[str, Any], previous: Status, status: Status, corrections: Iterable[str] = ()
    ) -> bool:
        """Whether the status changed and was written."""
        metadata = body["metadata"]
        document = _document(status)
        is_new = document != _document(previous)
        if is_new:
            try:
                self.store.put(KIND, await self.cluster.apply_status(metadata, document))
            except (NotFound, Conflict):
                # The object has been deleted meanwhile; the event will follow.
                return False
        corrected = [Event("DriftCorrected", message, is_warning=True) for message in corrections]
        for event in [*corrected, *_transitions(previous, status)]:
            await self.cluster.post(event, metadata, self.now())
        return is_new

    def _again(self, key: Key, status: Status, outcome: Outcome) -> float:
        """Soon while something is in progress; that costs requests to the servers, none to the API server."""
        if is_settled(status):
            self._tries.pop(key, None)
            return self.resync_seconds()
        tries = self._tries[key] = self._tries.get(key, 0) + 1
        if outcome.taken or outcome.refused:
            return min(60.0, 2.0 ** min(tries, 6))
        return min(_QUICK, 2.0 ** (tries - 1)) if tries < _QUICK_TRIES else _SLOW


def _document(status: Status) -> dict[str, Any]:
    return status.model_dump(by_alias=True, exclude_none=True)


def _status(body: Mapping[str, Any]) -> Status:
    """The status as last written; one of another version that this one cannot read counts as none."""
    try:
        return Status.model_validate(body.get("status") or {})
    except ValidationError:
        return Status()


def _transitions(previous: Status, status: Status) -> list[Event]:
    before = {condition.type: condition for condition in previous.conditions}
    events = []
    for condition in status.conditions:
        old = before.get(condition.type)
        is_same = old and (old.status, old.reason) == (condition.status, condition.reason)
        if condition.type not in _WITH_EVENTS or is_same:
            continue
        is_bad = condition.status == "False" and condition.type != ConditionType.READY
        if is_bad or condition.type == ConditionType.READY:
            message = f"{condition.type} is {condition.status}: {condition.message or condition.reason}"
            events.append(Event(condition.reason, message, is_warning=is_bad))
    return events
