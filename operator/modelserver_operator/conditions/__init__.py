"""Status from facts. Pure: the clock is an argument; lastTransitionTime moves only when a status flips."""

from collections.abc import Mapping
from dataclasses import dataclass

from modelserver_operator import naming
from modelserver_operator.api import Condition, ModelServer, Status
from modelserver_operator.api.schema import UPGRADE as UPGRADE_CRD
from modelserver_operator.api.status import ConditionType, Endpoints, Reason, shorten
from modelserver_operator.conditions import summary
from modelserver_operator.conditions.autoscaled import autoscaled
from modelserver_operator.conditions.cpus import exclusive_cpus
from modelserver_operator.conditions.devices import device_bound
from modelserver_operator.conditions.readiness import applied, ready
from modelserver_operator.conditions.reported import kept, ready_when_reported
from modelserver_operator.conditions.serving import available, models_served, pods_ready
from modelserver_operator.conditions.startup import startup
from modelserver_operator.conditions.verdict import Verdict, fails, holds
from modelserver_operator.errors import SourceNotSupported
from modelserver_operator.observed.facts import Facts, Rejection

_UNSCALED_SECONDS = 60.0
"""Nothing reports that KEDA was installed."""


def judge(server: ModelServer, facts: Facts, revision: str, previous: Status, now: str) -> Status:
    """The status of an object; of one that is not accepted, `server` is the last accepted form."""
    current = facts.without_old_failures(now)
    judged: dict[ConditionType, Verdict] = {
        ConditionType.ACCEPTED: _accepted(facts, f"; generation {server.generation} stays in effect"),
        ConditionType.APPLIED: applied(facts),
        ConditionType.AVAILABLE: available(server, current),
        ConditionType.MODELS_SERVED: models_served(server, current, revision),
        ConditionType.EXCLUSIVE_CPUS: exclusive_cpus(server, current),
        ConditionType.DEVICE_BOUND: device_bound(server, current),
    }
    if (scaled := autoscaled(server, current)) is not None:
        judged[ConditionType.AUTOSCALED] = scaled
    judged = kept(judged, previous, server.generation)
    judged[ConditionType.READY] = ready_when_reported(
        ready(server, current, judged), current, previous, server.generation
    )
    dated = _Dated(server.generation, facts.rejection, previous, now)
    return _counted(facts).model_copy(
        update={
            "observed_generation": dated.newest(),
            "selector": naming.selector_text(server.name),
            "conditions": dated.conditions(judged),
            "endpoints": _endpoints(server),
            "tuning": previous.tuning if summary.is_unknown(facts) else summary.tuning(facts),
            "models": previous.models if summary.is_unknown(facts) else summary.models(facts),
            "startup": startup(facts, previous),
            "last_failure": summary.last_failure(facts, previous),
        }
    )


def reject(rejection: Rejection, facts: Facts, previous: Status, now: str) -> Status:
    """The status of an object of which no accepted form is known: what runs is left as it is."""
    verdict = _accepted(Facts(None, (), rejection=rejection))
    judged = {ConditionType.ACCEPTED: verdict, ConditionType.READY: verdict}
    current = facts.without_old_failures(now)
    if facts.rollout or facts.pods:
        note = "; what runs is left as it is, and is not repaired, until the object is accepted"
        judged |= {
            ConditionType.READY: fails(verdict.reason, verdict.message + note),
            ConditionType.AVAILABLE: pods_ready(current, facts.rollout.replicas if facts.rollout else 0),
        }
    new = {c.type: c for c in _Dated(rejection.generation, rejection, previous, now).conditions(judged)}
    found = {c.type: c for c in previous.conditions if facts.ready_pods()} | new
    update = {
        "observed_generation": rejection.generation,
        "startup": previous.startup,
        "selector": previous.selector,
        "conditions": [found[kind] for kind in ConditionType if kind in found],
        "last_failure": summary.last_failure(facts, previous),
    }
    if facts.ready_pods():
        update |= {name: getattr(previous, name) for name in ("endpoints", "tuning", "models")}
    return _counted(facts).model_copy(update=update)


def _counted(facts: Facts) -> Status:
    """What is only counted."""
    rollout = facts.rollout
    return Status(
        replicas=rollout.replicas if rollout else 0,
        ready_replicas=rollout.ready if rollout else 0,
        updated_replicas=rollout.updated if rollout else 0,
        image=summary.image(facts),
    )


def _accepted(facts: Facts, meanwhile: str = "") -> Verdict:
    if rejection := facts.rejection:
        unsupported = isinstance(rejection.error, SourceNotSupported)
        reason = Reason.SOURCE_NOT_SUPPORTED if unsupported else Reason.INVALID
        return fails(reason, f"{rejection.error}{meanwhile}")
    if facts.crd_lacks:
        return holds(
            Reason.OLD_CRD,
            f"the CRD in the cluster is older than the operator: it drops {', '.join(facts.crd_lacks[:8])}. "
            f"Upgrade it: {UPGRADE_CRD}",
        )
    return holds(Reason.ACCEPTED)


@dataclass(frozen=True)
class _Dated:
    """Makes conditions of verdicts: with the generation each is about, and since when it holds."""

    generation: int
    rejection: Rejection | None
    previous: Status
    now: str

    def newest(self) -> int:
        """The generation of the object as it is."""
        return self.rejection.generation if self.rejection else self.generation

    def conditions(self, judged: Mapping[ConditionType, Verdict]) -> list[Condition]:
        """All of them; of an object that is not accepted, most are about its last accepted form."""
        before = {condition.type: condition for condition in self.previous.conditions}
        return [self._condition(kind, verdict, before.get(kind)) for kind, verdict in judged.items()]

    def _condition(self, kind: ConditionType, verdict: Verdict, before: Condition | None) -> Condition:
        is_same = before is not None and before.status == verdict.status
        is_about_now = kind in {ConditionType.ACCEPTED, ConditionType.READY}
        return Condition(
            type=kind,
            status=verdict.status,
            reason=verdict.reason,
            message=shorten(verdict.message),
            observed_generation=self.newest() if is_about_now else self.generation,
            last_transition_time=before.last_transition_time if before is not None and is_same else self.now,
        )


def _endpoints(server: ModelServer) -> Endpoints:
    host = naming.host(server.name, server.namespace)
    headless = naming.host(naming.headless(server.name), server.namespace)
    ports = server.spec.ports
    return Endpoints(
        grpc=f"{host}:{ports.grpc}", rest=f"{host}:{ports.rest}", grpc_headless=f"{headless}:{ports.grpc}"
    )


def is_settled(status: Status) -> bool:
    """Whether nothing is in progress, so that servers need not be asked again soon."""
    found = {condition.type: condition for condition in status.conditions}
    ready, served = found.get(ConditionType.READY), found.get(ConditionType.MODELS_SERVED)
    if ready and ready.reason in {Reason.SCALED_TO_ZERO, Reason.INVALID, Reason.SOURCE_NOT_SUPPORTED}:
        return ready.reason == Reason.SCALED_TO_ZERO or served is None or served.status == "True"
    return all(condition.status == "True" for condition in (ready, served) if condition)


def rest_seconds(status: Status, resync: float) -> float | None:
    """When to look again at an object with which nothing is in progress; None where something is."""
    if not is_settled(status):
        return None
    return min(resync, _UNSCALED_SECONDS) if awaits_scaling(status) else resync


def is_applied(status: Status, generation: int) -> bool:
    """Whether all children of this generation have been made."""
    found = (c for c in status.conditions if c.type == ConditionType.APPLIED)
    return any(c.status == "True" and c.observed_generation == generation for c in found)


def awaits_scaling(status: Status) -> bool:
    """Whether something that scales it is missing or not there yet."""
    return any(c.type == ConditionType.AUTOSCALED and c.status != "True" for c in status.conditions)


def is_good(server: ModelServer, facts: Facts, status: Status) -> bool:
    """Whether the template is one to go back to: Ready with all its replicas, at least one.

    While a report is awaited, Ready still speaks of the configuration before.
    """
    ready = any(c.type == ConditionType.READY and c.status == "True" for c in status.conditions)
    return ready and not facts.awaited() and server.spec.replicas > 0 and not server.spec.paused


__all__ = ["Reason", "Verdict", "awaits_scaling", "is_applied", "is_good", "is_settled", "judge", "reject"]
