"""The one story: parse, gather, render, plan, apply, ask, judge, and write the status if it changed.

Level-triggered: a pass looks at everything and needs to know nothing of what woke it.
"""

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from modelserver_operator.api import ModelServer, Status, parse
from modelserver_operator.changes.apply import Work
from modelserver_operator.changes.in_place import replaces_in_place
from modelserver_operator.changes.plan import plan
from modelserver_operator.clients.kubernetes import Cluster, Event
from modelserver_operator.clients.servers import Prober
from modelserver_operator.conditions import Type, is_settled, judge, reject
from modelserver_operator.desired import Images, render, revision
from modelserver_operator.errors import Conflict, Invalid, NamespaceEnding, NotFound
from modelserver_operator.observed.child import Rollout
from modelserver_operator.observed.facts import Facts, Outcome
from modelserver_operator.observed.report import Report
from modelserver_operator.observed.store import Key, Store

_QUICK, _SLOW, _QUICK_TRIES = 5.0, 30.0, 24
_TOLD = (Type.ACCEPTED, Type.APPLIED, Type.READY)
_logger = logging.getLogger(__name__)


@dataclass
class Reconciler:
    """Makes one object true at a time; answers after how many seconds it wants to look again."""

    store: Store
    cluster: Cluster
    prober: Prober
    images: Images
    now: Callable[[], str]
    resync_seconds: float
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
            await self._write(body, previous, status, [])
            return None
        try:
            return await self._make_true(key, body, server, previous)
        except NamespaceEnding:
            # The namespace's deletion takes the children first and this object last.
            return self.resync_seconds

    async def _make_true(
        self, key: Key, body: Mapping[str, Any], server: ModelServer, previous: Status
    ) -> float:
        work = Work(self.cluster, self.store, server.uid)
        in_place = replaces_in_place(server, self._rollout(key, server), self.store.pods(key), self.now())
        desired = render(server, self.images, in_place=in_place)
        wanted = plan(desired, self.store.children(key), server.uid, self.store.settled())
        outcome = await work.carry_out(wanted, paused=server.spec.paused)
        facts = await self._look(key, server, outcome)
        status = judge(server, facts, revision(server), previous, self.now())
        if await self._write(body, previous, status, work.events):
            self._tries.pop(key, None)
        return self._again(key, status, outcome)

    async def _look(self, key: Key, server: ModelServer, outcome: Outcome) -> Facts:
        pods = self.store.pods(key)
        reports = await self.prober.ask(pods, server.spec.ports.status)
        if outcome == Outcome():
            await self._nudge(key, revision(server), reports)
        return Facts(self._rollout(key, server), pods, reports, outcome)

    def _rollout(self, key: Key, server: ModelServer) -> Rollout | None:
        deployment = self.store.children(key).get(("Deployment", server.name))
        return deployment.rollout if deployment and deployment.owner_uid == server.uid else None

    async def _nudge(self, key: Key, wanted: str, reports: Mapping[str, Report]) -> None:
        for pod in self.store.pods(key):
            report = reports.get(pod.uid)
            behind = report is not None and report.said is not None and report.said.revision != wanted
            if behind and pod.revision_annotation != wanted:
                await self.cluster.nudge(pod, wanted)

    async def _write(
        self, body: Mapping[str, Any], previous: Status, status: Status, events: list[Event]
    ) -> bool:
        """Whether there was anything new to write."""
        metadata = body["metadata"]
        document = _document(status)
        is_new = document != _document(previous)
        if is_new:
            try:
                self.store.put("ModelServer", await self.cluster.apply_status(metadata, document))
            except (NotFound, Conflict):
                # It was deleted meanwhile; its event is on the way.
                return False
        for event in [*events, *_transitions(previous, status)]:
            await self.cluster.tell(metadata, event, self.now())
        return is_new

    def _again(self, key: Key, status: Status, outcome: Outcome) -> float:
        """Soon while something is on its way; servers are asked then, not the API server."""
        if is_settled(status):
            self._tries.pop(key, None)
            # Many objects that were seen together at the start are not asked together for ever.
            return self.resync_seconds * random.uniform(0.75, 1.25)
        tries = self._tries[key] = self._tries.get(key, 0) + 1
        if outcome.taken or outcome.refused:
            return min(60.0, 2.0 ** min(tries, 6))
        return min(_QUICK, 2.0 ** (tries - 1)) if tries < _QUICK_TRIES else _SLOW


def _document(status: Status) -> dict[str, Any]:
    return status.model_dump(by_alias=True, exclude_none=True)


def _status(body: Mapping[str, Any]) -> Status:
    """The status as written before; what another version wrote and this one cannot read counts as none."""
    try:
        return Status.model_validate(body.get("status") or {})
    except ValidationError:
        return Status()


def _transitions(previous: Status, status: Status) -> list[Event]:
    before = {condition.type: condition for condition in previous.conditions}
    events = []
    for condition in status.conditions:
        old = before.get(condition.type)
        if condition.type not in _TOLD or (
            old and (old.status, old.reason) == (condition.status, condition.reason)
        ):
            continue
        is_bad = condition.status == "False" and condition.type != Type.READY
        if is_bad or condition.type == Type.READY:
            message = f"{condition.type} is {condition.status}: {condition.message or condition.reason}"
            events.append(Event(condition.reason, message, is_warning=is_bad))
    return events
