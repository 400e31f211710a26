"""Applied and Ready: Ready sums up all others, its checks are in order of severity."""

from collections.abc import Callable, Iterable, Mapping

from modelserver_operator.api import ModelServer
from modelserver_operator.api.status import ConditionType, Reason
from modelserver_operator.conditions.remedies import with_remedy
from modelserver_operator.conditions.trouble import rejection, trouble
from modelserver_operator.conditions.verdict import Verdict, fails, holds
from modelserver_operator.desired.accelerators import beside
from modelserver_operator.observed.facts import Facts, Outcome

Judged = Mapping[ConditionType, Verdict]
Check = Callable[[ModelServer, Facts, Judged], Verdict | None]


def applied(facts: Facts) -> Verdict:
    """Every child is as desired; the message names every one that is not, the reason is the gravest."""
    found = [(reason, message) for reason, message in _shortcomings(facts.outcome) if message]
    if not found:
        return holds(Reason.APPLIED)
    return fails(found[0][0], "; ".join(message for _, message in found))


def _shortcomings(outcome: Outcome) -> Iterable[tuple[Reason, str]]:
    yield (
        Reason.NAME_TAKEN,
        _about(
            outcome.taken,
            "{} already exists and does not belong to this object, so it is left unchanged: delete or rename "
            "it, or rename this object",
        ),
    )
    yield Reason.REFUSED, with_remedy("; ".join(outcome.refused))
    yield Reason.CONTESTED, " ".join(outcome.contested)
    yield (
        Reason.AWAITING_DELETION,
        _about(
            outcome.awaited,
            "{} still belongs to a deleted object of the same name, and is created again as soon as "
            "Kubernetes has deleted it",
        ),
    )
    yield (
        Reason.PAUSED,
        _about(outcome.held_back, "paused is true, so these changes are not applied: {}"),
    )
    yield Reason.REFUSED, "; ".join(outcome.deferred)


def _about(names: tuple[str, ...], sentence: str) -> str:
    return sentence.format(", ".join(names)) if names else ""


def _is_accepted(_server: ModelServer, _facts: Facts, judged: Judged) -> Verdict | None:
    verdict = judged[ConditionType.ACCEPTED]
    return None if verdict.status == "True" else fails(verdict.reason, verdict.message)


def _is_applied(_server: ModelServer, _facts: Facts, judged: Judged) -> Verdict | None:
    verdict = judged[ConditionType.APPLIED]
    return None if verdict.status == "True" else fails(verdict.reason, verdict.message)


def _is_rejected(server: ModelServer, facts: Facts, _judged: Judged) -> Verdict | None:
    if not facts.breaker.is_open:
        return None
    message = f"{len(facts.ready_pods())} of {server.spec.replicas} pods are ready; {rejection(facts)}"
    return fails(Reason.PODS_REJECTED, message)


def _is_bound(_server: ModelServer, _facts: Facts, judged: Judged) -> Verdict | None:
    """Never served silently by another device than the object names."""
    verdict = judged[ConditionType.DEVICE_BOUND]
    return fails(verdict.reason, verdict.message) if verdict.status == "False" else None


def _is_stuck(_server: ModelServer, facts: Facts, _judged: Judged) -> Verdict | None:
    rollout = facts.rollout
    if rollout and rollout.stuck:
        return fails(Reason.ROLLOUT_STUCK, trouble(facts) or rollout.stuck)
    return None


def _is_in_place(server: ModelServer, facts: Facts, _judged: Judged) -> Verdict | None:
    if facts.rollout is None or not facts.rollout.in_place:
        return None
    wanted = server.spec.replicas
    message = (
        "no node can fit an extra pod, so the old pod is stopped before its replacement starts, and until "
        "then nothing is served"
        if wanted == 1
        else "no node can fit an extra pod, so old pods are stopped before their replacements start, one at "
        "a time"
    )
    return fails(
        Reason.REPLACING_IN_PLACE,
        _and_trouble(f"{message}; {len(facts.ready_pods())} of {wanted} pods are ready", facts),
    )


def _is_rolling(server: ModelServer, facts: Facts, _judged: Judged) -> Verdict | None:
    rollout = facts.rollout
    if rollout is None:
        return fails(Reason.STARTING, "the Deployment does not exist yet")
    if rollout.observed_generation < rollout.generation:
        # With another number of replicas it is a scale step, and its figures are not those of a rollout.
        is_scaled = rollout.replicas != server.spec.replicas
        return None if is_scaled else fails(Reason.ROLLING_OUT, "the Deployment has just been changed")
    old = rollout.replicas - rollout.updated
    if old <= 0:
        return None
    message = f"{old} of {rollout.replicas} pods still have the old template"
    return fails(Reason.ROLLING_OUT, _and_trouble(message + _what_makes_room(server, facts), facts))


def _what_makes_room(server: ModelServer, facts: Facts) -> str:
    """Announced before it happens, because with one replica it interrupts the service."""
    policy = server.spec.rollout
    is_chosen = policy.max_surge is not None or policy.max_unavailable is not None
    if any(beside(server.spec, pod.devices) for pod in facts.pods) and not is_chosen:
        return ": each takes its GPU or NPU with it, so an old pod is stopped before its replacement starts"
    if not facts.without_room():
        return ""
    if is_chosen:
        return (
            ", and no node can fit an extra pod: with rollout.maxSurge 0 and maxUnavailable 1 old pods would "
            "be stopped first"
        )
    return ", and no node can fit an extra pod: if that lasts 30 s, an old pod is stopped first"


def _is_short(server: ModelServer, facts: Facts, _judged: Judged) -> Verdict | None:
    rollout, wanted, ready = facts.rollout, server.spec.replicas, len(facts.ready_pods())
    if rollout is None or (rollout.ready == rollout.replicas == wanted and ready == wanted):
        return None
    if (present := max(rollout.replicas, ready)) > wanted:
        return fails(Reason.SCALING, f"{present - wanted} of {present} pods are being stopped")
    # The Deployment counts a little later than the pods say.
    counted = min(rollout.ready, ready)
    message = f"{counted} of {wanted} pods are ready"
    failing = bool(facts.failing())
    reason = Reason.PODS_FAILING if failing else Reason.SCALING if counted else Reason.STARTING
    return fails(reason, _and_trouble(message, facts))


def _and_trouble(message: str, facts: Facts) -> str:
    return f"{message}; {cause}" if (cause := trouble(facts)) else message


def _is_empty(server: ModelServer, _facts: Facts, _judged: Judged) -> Verdict | None:
    return (
        holds(Reason.SCALED_TO_ZERO, "replicas is 0, so nothing is served")
        if server.spec.replicas == 0
        else None
    )


def _serves(_server: ModelServer, _facts: Facts, judged: Judged) -> Verdict | None:
    verdict = judged[ConditionType.MODELS_SERVED]
    return None if verdict.status == "True" else fails(verdict.reason, verdict.message)


CHECKS: tuple[Check, ...] = (
    _is_accepted,
    _is_applied,
    _is_rejected,
    _is_bound,
    _is_stuck,
    _is_in_place,
    _is_rolling,
    _is_short,
    _is_empty,
    _serves,
)


def ready(server: ModelServer, facts: Facts, judged: Judged) -> Verdict:
    """The newest generation runs on every replica, and each replica serves every model as configured."""
    for check in CHECKS:
        if verdict := check(server, facts, judged):
            return verdict
    return holds(Reason.READY, "every replica serves every model as this generation configures it")
