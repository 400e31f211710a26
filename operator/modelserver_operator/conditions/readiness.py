"""Applied and Ready: Ready sums up all others, its checks are in order of severity."""

from collections.abc import Callable, Mapping

from modelserver_operator.api import ModelServer
from modelserver_operator.api.status import ConditionType, Reason
from modelserver_operator.conditions.trouble import trouble
from modelserver_operator.conditions.verdict import Verdict, fails, holds
from modelserver_operator.observed.facts import Facts

Judged = Mapping[ConditionType, Verdict]
Check = Callable[[ModelServer, Facts, Judged], Verdict | None]


def applied(facts: Facts) -> Verdict:
    """Every child is as desired."""
    outcome = facts.outcome
    if outcome.taken:
        return fails(
            Reason.NAME_TAKEN,
            f"{', '.join(outcome.taken)} already exists and does not belong to this object, so it is left "
            "unchanged. Delete or rename it, or rename this object.",
        )
    if outcome.refused:
        return fails(Reason.REFUSED, outcome.refused)
    if outcome.held_back:
        return fails(
            Reason.PAUSED, f"paused is true, so these changes are not applied: {', '.join(outcome.held_back)}"
        )
    return holds(Reason.APPLIED)


def _is_applied(_server: ModelServer, _facts: Facts, judged: Judged) -> Verdict | None:
    verdict = judged[ConditionType.APPLIED]
    return None if verdict.status == "True" else fails(verdict.reason, verdict.message)


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
    if rollout is None or rollout.observed_generation < rollout.generation:
        return fails(Reason.ROLLING_OUT, "the Deployment has just been changed")
    old = rollout.replicas - rollout.updated
    if old <= 0:
        return None
    message = f"{old} of {rollout.replicas} pods still have the old template"
    return fails(Reason.ROLLING_OUT, _and_trouble(message + _what_makes_room(server, facts), facts))


def _what_makes_room(server: ModelServer, facts: Facts) -> str:
    """Announced before it happens, because with one replica it interrupts the service."""
    policy = server.spec.rollout
    if not facts.without_room() or server.spec.accelerator is not None:
        return ""
    if policy.max_surge is not None or policy.max_unavailable is not None:
        return (
            ", and no node can fit an extra pod: with rollout.maxSurge 0 and maxUnavailable 1 old pods would "
            "be stopped first"
        )
    return ", and no node can fit an extra pod: if that lasts 30 s, an old pod is stopped first"


def _is_short(server: ModelServer, facts: Facts, _judged: Judged) -> Verdict | None:
    rollout, wanted = facts.rollout, server.spec.replicas
    if rollout is None or (rollout.ready == rollout.replicas == wanted and len(facts.ready_pods()) == wanted):
        return None
    message = f"{len(facts.ready_pods())} of {wanted} pods are ready"
    crashes = [pod for pod in facts.pods if pod.crash and not pod.is_ready]
    reason = Reason.PODS_FAILING if crashes else Reason.SCALING if facts.ready_pods() else Reason.STARTING
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
    _is_applied,
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
