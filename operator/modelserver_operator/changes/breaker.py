"""What to do about pods that nodes reject: the breaker. Pure; the clock is an argument.

| it is        | and                                                  | then                               |
|--------------|------------------------------------------------------|------------------------------------|
| closed       | three pods of the newest ReplicaSet failed in 60 s   | it opens                           |
| open         | another template is wanted, or an upgrade            | it closes                          |
| open         | the time of the next try has come                    | one pod more, or the new template  |
| open, trying | the pod was rejected, too                            | as before, until the next try      |
| open, trying | a kubelet has taken the pod                          | it closes                          |
| open         | three more pods failed, and fewer serve or start     | fewer still, or the last good one  |

Opened during a rollout it goes back to the last good template, because a Deployment with fewer replicas still
makes the extra pod of its rollout again. Otherwise the Deployment gets as many replicas as it has pods that
serve or start; if nodes reject the last good template, too, it gets both.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from modelserver_operator.api import ModelServer
from modelserver_operator.api.status import shorten
from modelserver_operator.changes.templates import Choice, History
from modelserver_operator.desired.deployment import Measures
from modelserver_operator.desired.kept import Kept
from modelserver_operator.observed.child import Rollout
from modelserver_operator.observed.facts import Snapshot
from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.rejections import CLOSED, Breaker, rejected

_LIMIT, _WINDOW = 3, timedelta(seconds=60)
_EVIDENCE = 3
"""Rejected pods that are kept while the breaker is open, for people who look for the cause."""
_DELETED_PER_PASS = 20
_MANY = 20
"""This number of new ones is counted even if nothing else can be done about them: they are deleted then."""
_MESSAGE = 320


@dataclass(frozen=True)
class Scene:
    """What is wanted and what is there."""

    wanted: int
    """Replicas that the object asks for."""
    template: str
    """Identifies the template that it should have."""
    can_go_back: bool
    """Whether another template is kept as the last good one."""
    may_surge: bool
    """Whether the object allows a pod more during a rollout: only then a template is tried again, since a
    pod that serves is not stopped for it."""
    newest: str
    """The hash of the ReplicaSet of the Deployment's template; empty while it is not known."""
    is_complete: bool
    """Whether all replicas have the Deployment's template and are ready."""
    pods: tuple[Pod, ...]
    clock: "Clock"


@dataclass(frozen=True)
class Clock:
    """The operator's clock, and its setting."""

    now: str
    interval: float
    """Seconds between tries."""

    def later(self) -> str:
        """When the next try is."""
        later = datetime.fromisoformat(self.now) + timedelta(seconds=self.interval)
        return later.strftime("%Y-%m-%dT%H:%M:%SZ")

    def left(self, breaker: Breaker) -> float:
        """The seconds until the next try."""
        return (datetime.fromisoformat(breaker.next_try) - datetime.fromisoformat(self.now)).total_seconds()


def scene(server: ModelServer, choice: Choice, past: History, seen: Snapshot, clock: Clock) -> Scene:
    """As it is before anything is written."""
    good, rollout = past.good.kept if past.good else None, seen.rollout(server)
    return Scene(
        wanted=server.spec.replicas,
        template=digest(choice.kept),
        can_go_back=good is not None and good.template != choice.kept.template,
        may_surge=server.spec.rollout.max_surge not in {0, "0%"},
        newest=rollout.newest if rollout else "",
        is_complete=rollout is not None and rollout.is_complete(server.spec.replicas),
        pods=seen.pods,
        clock=clock,
    )


def digest(kept: Kept) -> str:
    """Identifies a template; one that was asked for again by an upgrade is another."""
    text = json.dumps([kept.template, kept.upgrade], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def may_limit(rollout: Rollout | None, pods: Iterable[Pod]) -> bool:
    """Whether there is anything to decide: a breaker that is open or remembers, or rejected pods."""
    return bool(rollout and rollout.breaker) or bool(rejected(pods))


def decide(before: Breaker, at: Scene) -> Breaker:
    """The table above, for one look at the pods."""
    is_moot = before.template != at.template or (before.is_back and not at.can_go_back)
    if before.is_open and is_moot:
        return _closed(at)
    if not before.is_open and not any(pod.created <= before.counted for pod in rejected(at.pods)):
        before = CLOSED
    new = _new(before, at)
    if before.is_trying:
        return _tried(before, at, new)
    if _is_burst(new) and (opened := _opened(before, at, new)) != before:
        return opened
    # Pods that were on their way when it opened must not keep it from trying.
    return _waited(before, at) if before.is_open else before


def _new(before: Breaker, at: Scene) -> list[Pod]:
    """Rejected pods that have not been counted.

    At first only those of the newest template: others may come from the one before. A try ends with any.
    """
    found = [pod for pod in rejected(at.pods) if pod.created > before.counted]
    if not before.is_open:
        return [pod for pod in found if at.newest and pod.template == at.newest]
    if before.is_back and not before.is_trying:
        return [pod for pod in found if pod.template != before.replica_set]
    return found


def _closed(at: Scene) -> Breaker:
    return Breaker(counted=_newest(rejected(at.pods)))


def _newest(pods: Sequence[Pod]) -> str:
    return pods[-1].created if pods else ""


def _is_burst(new: Sequence[Pod]) -> bool:
    times = defaultdict(list)
    for pod in new:
        if pod.crash:
            times[pod.template].append(datetime.fromisoformat(pod.crash.time))
    return any(_are_close(sorted(found)) for found in times.values())


def _are_close(times: Sequence[datetime]) -> bool:
    return any(last - first <= _WINDOW for first, last in zip(times, times[_LIMIT - 1 :], strict=False))


def _opened(before: Breaker, at: Scene, new: Sequence[Pod]) -> Breaker:
    goes_back = at.can_go_back and not before.is_back
    replicas = None if goes_back else min(_staying(at.pods, new), at.wanted)
    known = before.is_open and not goes_back and before.replicas is not None
    if known and replicas is not None and before.replicas is not None and replicas >= before.replicas:
        # Pods that were on their way when it opened: nothing is new.
        return replace(before, counted=_newest(rejected(at.pods))) if len(new) >= _MANY else before
    opened = replace(
        before,
        template=at.template,
        replica_set=before.replica_set or new[-1].template,
        is_back=goes_back or before.is_back,
        replicas=replicas,
        is_trying=False,
    )
    tries = replicas is not None or at.may_surge
    return _named(replace(opened, next_try=at.clock.later() if tries else ""), at, new)


def _staying(pods: Iterable[Pod], new: Iterable[Pod]) -> int:
    """Pods that serve or start, and those on their way to a node that has rejected none."""
    nodes = {pod.node for pod in new}
    return sum(
        pod.is_ready or pod.is_admitted or (bool(pod.node) and pod.node not in nodes)
        for pod in pods
        if not pod.is_leaving
    )


def _named(opened: Breaker, at: Scene, new: Sequence[Pod]) -> Breaker:
    """With the newest of these rejections."""
    last, crash = new[-1], new[-1].crash
    return replace(
        opened,
        counted=_newest(rejected(at.pods)),
        node=last.node,
        reason=crash.reason if crash else "",
        message=shorten(crash.message, _MESSAGE) if crash else "",
    )


def _waited(before: Breaker, at: Scene) -> Breaker:
    """The same, or trying."""
    if not before.next_try or not _can_try(before, at):
        return before
    left, later = at.clock.left(before), at.clock.later()
    if left > at.clock.interval:
        # By a clock that went wrong, or before the interval was shortened.
        return replace(before, next_try=later)
    if left > 0:
        return before
    counted = _newest(rejected(at.pods)) or before.counted
    return replace(before, is_trying=True, next_try=later, counted=counted)


def _can_try(before: Breaker, at: Scene) -> bool:
    if before.replicas is not None:
        return before.replicas < at.wanted
    return at.may_surge and at.wanted > 0


def _tried(before: Breaker, at: Scene, new: Sequence[Pod]) -> Breaker:
    """One rejection is enough to stop a try."""
    ended = replace(before, is_trying=False)
    if new:
        return _named(ended, at, new)
    if not _can_try(before, at):
        return ended
    if not _is_taken(before, at):
        return before
    if before.replicas is not None and before.is_back:
        return replace(ended, replicas=None)
    return _closed(at)


def _is_taken(before: Breaker, at: Scene) -> bool:
    """Whether a kubelet has taken the pod that is tried."""
    taken = [pod for pod in at.pods if (pod.is_admitted or pod.is_ready) and not pod.is_leaving]
    if before.replicas is not None:
        return len(taken) > before.replicas
    # After `kubectl rollout restart` the template has another ReplicaSet.
    return at.is_complete or any(pod.template == before.replica_set for pod in taken)


def due(breaker: Breaker, at: Scene) -> float | None:
    """The seconds after which to look again; None when only events matter."""
    may_try = breaker.limits(at.wanted) and breaker.next_try and _can_try(breaker, at)
    return max(0.0, at.clock.left(breaker)) if may_try and not breaker.is_trying else None


def applied(kept: Kept, past: History, breaker: Breaker) -> Kept:
    """The template and config.json to apply; a tried template starts with the configuration that serves."""
    if not breaker.is_back or past.good is None:
        return kept
    good = past.good.kept
    return replace(good, template=kept.template) if _tries_template(breaker) else good


def measures(breaker: Breaker, wanted: int, *, in_place: bool) -> Measures:
    """How the Deployment differs from what the object says."""
    replicas = None
    if breaker.is_open and breaker.replicas is not None:
        replicas = min(wanted, breaker.replicas + breaker.is_trying)
    return Measures(
        in_place=in_place and not breaker.is_open,
        only_surges=_tries_template(breaker),
        replicas=replicas,
        breaker=breaker.text(),
    )


def _tries_template(breaker: Breaker) -> bool:
    return breaker.is_back and breaker.is_trying and breaker.replicas is None


def superfluous(breaker: Breaker, at: Scene) -> list[Pod]:
    """Rejected pods to delete: they have been counted, or all replicas are ready without them.

    Kubernetes itself deletes none before there are thousands.
    """
    is_over = at.is_complete and not breaker.is_open
    found = [pod for pod in rejected(at.pods) if is_over or pod.created <= breaker.counted]
    old = found[:-_EVIDENCE] if breaker.is_open else found
    return [pod for pod in old if not pod.is_ending][:_DELETED_PER_PASS]
