"""One pass: parse, render, plan, apply, ask, judge, and write the status if it changed.

Level-triggered: a pass looks at everything and does not depend on what triggered it. Each step gives a
verdict; none keeps the status, which is written last, from being written.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from modelserver_operator.api import KIND, ModelServer, Status
from modelserver_operator.api.status import ConditionType, Reason
from modelserver_operator.changes.apply import Applier, delete_pods
from modelserver_operator.changes.breaker import (
    Clock,
    Scene,
    applied,
    decide,
    due,
    may_limit,
    measures,
    scene,
    superfluous,
)
from modelserver_operator.changes.contest import Contest
from modelserver_operator.changes.in_place import interruption, replaces_in_place
from modelserver_operator.changes.keeping import Keeper, read_history
from modelserver_operator.changes.nudge import Nudger
from modelserver_operator.changes.plan import plan
from modelserver_operator.changes.status import StatusWriter
from modelserver_operator.changes.take_over import running_revision
from modelserver_operator.changes.templates import choose, revisions
from modelserver_operator.clients.asking import Asking
from modelserver_operator.clients.events import EventRecorder
from modelserver_operator.clients.installed import InstalledCrd
from modelserver_operator.clients.kubernetes import Cluster, Event
from modelserver_operator.clients.outlook import Outlook, Outside
from modelserver_operator.clients.scaling.surroundings import Gatherer, followed
from modelserver_operator.clients.waiting import Waiting
from modelserver_operator.conditions import is_applied, is_good, judge, reject, rest_seconds
from modelserver_operator.conditions.transitions import transitions
from modelserver_operator.desired import Images, Surroundings, render_kept
from modelserver_operator.desired.accelerators import Found
from modelserver_operator.desired.config import configuration
from modelserver_operator.errors import ApiError, Invalid, NamespaceEnding, NotLeading, ObjectGone
from modelserver_operator.observed.accepted import Accepted
from modelserver_operator.observed.facts import Facts, Outcome, Rejection, Snapshot
from modelserver_operator.observed.nodes.occupancy import Occupancy
from modelserver_operator.observed.pace import Pace
from modelserver_operator.observed.rejections import CLOSED, Breaker, read_breaker
from modelserver_operator.observed.store import Key, Store
from modelserver_operator.observed.unchanged import Unchanged, content

_CHANGING, _SETTLING = 2.0, 5.0
"""Nothing reports that somebody else's scaler is gone, or that CPUs were asked about in vain."""
Raw = Mapping[str, Any]


class _Given(NamedTuple):
    """What is decided outside of the object."""

    in_place: bool
    around: Surroundings
    devices: Found
    """For GPUs and NPUs."""


@dataclass(frozen=True)
class _Made:
    """What was carried out."""

    outcome: Outcome
    revision: str
    """The configuration that the servers should have."""
    upgrade_available: bool | None = None
    is_idle: bool = False
    """Whether nothing was to be written, so that the same again would give the same again."""
    breaker: Breaker = CLOSED
    is_configuration_back: bool = False
    unadvertised: tuple[str, ...] = ()


@dataclass
class Reconciler:
    """Reconciles one object at a time; returns the seconds after which it wants to look again."""

    store: Store
    cluster: Cluster
    asking: Asking
    nudger: Nudger
    images: Images
    now: Callable[[], str]
    resync_seconds: Callable[[], float]
    """When a settled object is looked at again; random, so that objects first seen together spread out."""
    rejection_retry_seconds: float = 600.0
    """While nodes reject the pods of an object, one is tried in this interval."""
    scale_url: str = ""
    """Where KEDA reaches the operator."""
    lifts_quota: bool = False
    """Whether every kubelet lifts the CPU quota of containers with exclusive CPUs."""
    wake: Callable[[Key], None] = lambda _key: None
    """Called with an object that has to be looked at although nothing of its own has changed."""
    _pace: Pace = field(default_factory=Pace)
    _accepted: Accepted = field(default_factory=lambda: Accepted(lambda server: configuration(server.spec)))
    _contest: Contest = field(default_factory=Contest)
    _unchanged: Unchanged[_Made] = field(default_factory=Unchanged)

    def __post_init__(self) -> None:
        """What it needs beside the clients that are given."""
        self.installed = InstalledCrd(self.cluster)
        self.scaling = Gatherer(self.cluster, self.store, self.scale_url)
        self._occupancy = Occupancy(lambda key: self.wake(key), time.monotonic)  # noqa: PLW0108 - set later
        self._outlook = Outlook(self.cluster, self.scaling, self.asking)
        self._events = EventRecorder(self.cluster, self.now)
        self._status = StatusWriter(self.cluster, self.store, self.installed, self.now)
        self._waiting = Waiting(self.cluster)

    async def reconcile(self, key: Key) -> float | None:
        """One pass."""
        body = self.store.servers.get(key)
        if body is None or body["metadata"].get("deletionTimestamp"):
            self._forget(key)
            return None
        previous = self._status.previous(body)
        try:
            status, outcome = await self._pass(key, body, previous)
            status = await self._tell(key, body, previous, status)
        except NamespaceEnding:
            # The namespace's deletion takes the children first and this object last.
            return self.resync_seconds()
        except ObjectGone:
            self._forget(key)
            return None
        except (ApiError, NotLeading):
            # Not even a minimal status can be written: with back-off until it can.
            raise
        except Exception as error:
            problem = f"the operator failed ({type(error).__name__}: {error}); its log says more"
            await self._status.write_problem(body, previous, Reason.INTERNAL_ERROR, problem)
            raise
        return self._again(key, status, outcome)

    def rest(self, key: Key) -> None:
        """Another operator works on the object: its servers are not asked twice."""
        if key in self.store.servers:
            self.asking.forget(key)
            self._occupancy.forget(key)
        else:
            self._forget(key)

    def _forget(self, key: Key) -> None:
        for part in (
            self._pace, self._accepted, self._unchanged, self._waiting, self.asking, self._occupancy,
            self.nudger, self.scaling, self._status,
        ):  # fmt: skip
            part.forget(key)

    async def _pass(self, key: Key, body: Raw, previous: Status) -> tuple[Status, Outcome]:
        try:
            server, rejection = self._accepted.read(key, body)
        except Invalid as error:
            return await self._leave(key, body, previous, error), Outcome()
        seen = self.store.snapshot(key)
        outside = await self._outlook.look(server, seen)
        server = followed(server, outside.scaling, seen)
        made = await self._make_once(key, server, previous, outside)
        if made.outcome.unscaled:
            self.scaling.refused()
        for message in made.outcome.corrections:
            await self._events.record(Event("DriftCorrected", message, is_warning=True), body["metadata"])
        facts = await self._look(key, server, made.outcome, made.revision)
        facts = replace(
            facts,
            pods=await self._waiting.explain(key, facts.pods),
            rejection=rejection,
            crd_lacks=self.installed.lacks,
            breaker=made.breaker if made.breaker.limits(server.spec.replicas) else CLOSED,
            is_configuration_back=made.is_configuration_back,
            unadvertised=made.unadvertised,
            **outside.facts(),
        )
        status, outcome = await self._judge(key, server, facts, made, previous)
        if outside.scaling.is_changing and not server.spec.paused:
            # What is gone without having been known any more wakes nobody.
            outcome = replace(outcome, due=min(_CHANGING, outcome.due or _CHANGING))
        return status, outcome

    async def _make_once(self, key: Key, server: ModelServer, previous: Status, outside: Outside) -> _Made:
        """Nothing is rendered, hashed or compared again while it would be the same; it is as after a pass."""
        before = self.store.snapshot(key)
        rollout = before.rollout(server)
        in_place = replaces_in_place(server, rollout, before.pods, self.now())
        given = _Given(in_place, outside.around, outside.devices)
        verdicts = [
            (c.status, c.observed_generation) for c in previous.conditions if c.type == ConditionType.APPLIED
        ]
        basis = (server, given, verdicts, content(before))
        is_quiet = not may_limit(rollout, before.pods)
        made = self._unchanged.get(key, basis) if is_quiet else None
        if made is None:
            made = await self._make(server, before, previous, given)
            if made.is_idle and is_quiet:
                self._unchanged.put(key, basis, made)
            else:
                self._unchanged.forget(key)
            return made
        if server.spec.paused:
            return made
        contested = Applier(self.cluster, self.store, server, self._contest).contested(before.children)
        return replace(made, outcome=replace(made.outcome, contested=contested))

    async def _make(self, server: ModelServer, before: Snapshot, previous: Status, given: _Given) -> _Made:
        """Write the children, with the template and config.json that are kept or new ones."""
        past = await read_history(self.cluster, server, before.children, previous)
        choice = choose(server, self.images, past, given.devices)
        at = scene(server, choice, past, before, Clock(self.now(), self.rejection_retry_seconds))
        breaker = self._breaker(server, at, before)
        kept = applied(choice.kept, past, breaker)
        stored = measures(breaker, server.spec.replicas, in_place=given.in_place)
        desired = render_kept(server, kept, stored, given.around)
        if past.unread:
            revision = running_revision(server, before.children) or desired.revision
            return _Made(Outcome(refused=(past.unread,)), revision, previous.upgrade_available)
        children = (*revisions(server, choice.kept, past), *desired.children)
        wanted = plan(children, before.children, server.uid, self.store.settled())
        if wanted.makes_any() and is_applied(previous, server.generation):
            await self._confirm(server)
        await self._announce(server, interruption(server, before.rollout(server), past, kept))
        outcome = await Applier(self.cluster, self.store, server, self._contest).apply(wanted)
        if not server.spec.paused:
            refused = outcome.refused + await delete_pods(self.cluster, superfluous(breaker, at))
            outcome = replace(outcome, refused=refused, due=due(breaker, at))
        return _Made(
            outcome,
            desired.revision,
            choice.is_upgrade_available(),
            is_idle=wanted.is_empty() or server.spec.paused,
            breaker=breaker,
            is_configuration_back=kept.config != choice.kept.config,
            unadvertised=choice.unadvertised,
        )

    async def _announce(self, server: ModelServer, message: str) -> None:
        """Before it happens."""
        if message:
            metadata = {"name": server.name, "namespace": server.namespace, "uid": server.uid}
            await self._events.record(Event(Reason.REPLACING_IN_PLACE, message), metadata)

    async def _confirm(self, server: ModelServer) -> None:
        """Before a child is made again: with the object its children go, and its own event may come last."""
        key = (server.namespace, server.name)
        try:
            body = await self.cluster.get(KIND, *key)
        except ApiError:
            return  # as far as anybody knows it exists
        if body is not None:
            self.store.put(KIND, body)
        elif known := self.store.servers.get(key):
            self.store.drop(KIND, known)
        if body is None or body["metadata"]["uid"] != server.uid or body["metadata"].get("deletionTimestamp"):
            raise ObjectGone

    def _breaker(self, server: ModelServer, at: Scene, before: Snapshot) -> Breaker:
        """While the object is paused, nothing is decided."""
        rollout = before.rollout(server)
        known = read_breaker(rollout.breaker) if rollout else CLOSED
        return known if server.spec.paused else decide(known, at)

    async def _judge(
        self, key: Key, server: ModelServer, facts: Facts, made: _Made, previous: Status
    ) -> tuple[Status, Outcome]:
        """The status, after noting the template as the last good one if it is."""
        now = self.now()
        status = judge(server, facts, made.revision, previous, now)
        # With an open breaker another template than the newest may run.
        is_current = facts.outcome.is_complete() and not made.breaker.is_open
        if is_current and is_good(server, facts, status):
            keeper = Keeper(self.cluster, self.store, self._contest)
            if refused := await keeper.note_good(key, server):
                facts = replace(facts, outcome=replace(facts.outcome, refused=refused))
                status = judge(server, facts, made.revision, previous, now)
        return status.model_copy(update={"upgrade_available": made.upgrade_available}), facts.outcome

    async def _leave(self, key: Key, body: Raw, previous: Status, error: Invalid) -> Status:
        """No accepted form is known, so nothing is applied: only what is there is counted."""
        self._occupancy.forget(key)
        seen, metadata = self.store.snapshot(key), body["metadata"]
        pods = await self._waiting.explain(key, seen.pods)
        facts = Facts(seen.rollout_of(metadata["name"], metadata["uid"]), pods)
        return reject(Rejection(error, metadata.get("generation", 0)), facts, previous, self.now())

    async def _look(self, key: Key, server: ModelServer, outcome: Outcome, revision: str) -> Facts:
        """Everything is judged as it was at one moment, after the writes."""
        seen = self.store.snapshot(key)
        replies = self.asking.replies(key, seen.pods, revision)
        if outcome.is_complete():
            refused = await self.nudger.nudge(key, seen.pods, revision, replies)
            outcome = replace(outcome, refused=refused)
        self._occupancy.note(key, seen.pods, replies, claims=server.spec.cpu_manager_policy != "none")
        overlaps = self._occupancy.overlaps(key)
        if not all(overlap.is_certain for overlap in overlaps.values()):
            outcome = replace(outcome, due=min(_SETTLING, outcome.due or _SETTLING))
        facts = Facts(seen.rollout(server), seen.pods, replies, outcome)
        return replace(facts, overlaps=overlaps, lifts_quota=self.lifts_quota)

    async def _tell(self, key: Key, body: Raw, previous: Status, status: Status) -> Status:
        """Write the status, and Events for what changed in it; returns what the object says now."""
        written = await self._status.write(body, previous, status)
        if written.is_new:
            self._pace.forget(key)
            for item in transitions(previous, written.status):
                await self._events.record(Event(item.reason, item.message, item.is_warning), body["metadata"])
        return written.status

    def _again(self, key: Key, status: Status, outcome: Outcome) -> float:
        """Soon while something is in progress that only the clock ends; events report the rest."""
        after = self._pace.after(key, outcome, rest_seconds(status, self.resync_seconds()))
        held_back = self._status.held_back(key)
        return min(time for time in (after, held_back, outcome.due) if time is not None)
