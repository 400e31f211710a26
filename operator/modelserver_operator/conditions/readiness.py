"""Applied and Ready: Ready is the sum, its checks stand in order of severity."""

from collections.abc import Callable, Mapping

from modelserver_operator.api import ModelServer
from modelserver_operator.conditions.trouble import trouble
from modelserver_operator.conditions.verdict import Reason, Type, Verdict, fails, holds
from modelserver_operator.observed.facts import Facts

Judged = Mapping[Type, Verdict]
Check = Callable[[ModelServer, Facts, Judged], Verdict | None]


def applied(facts: Facts) -> Verdict:
    """Every child is as desired."""
    outcome = facts.outcome
    if outcome.taken:
        return fails(
            Reason.NAME_TAKEN,
            f"{', '.join(outcome.taken)} exists and belongs to somebody else: it is left alone. "
            "Delete or rename it, or rename this object.",
        )
    if outcome.refused:
        return fails(Reason.REFUSED, outcome.refused)
    if outcome.held_back:
        return fails(Reason.PAUSED, f"paused is true: {', '.join(outcome.held_back)} is left as it is")
    return holds(Reason.APPLIED)


def _is_applied(_server: ModelServer, _facts: Facts, judged: Judged) -> Verdict | None:
    verdict = judged[Type.APPLIED]
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
    meanwhile = "nothing is served until the new one is ready" if wanted == 1 else "one by one"
    message = f"no node has room for one pod more, so an old pod ends before a new one starts: {meanwhile}"
    return fails(
        Reason.REPLACING_IN_PLACE,
        _and_trouble(f"{message}; {len(facts.ready_pods())} of {wanted} pods are ready", facts),
    )


def _is_rolling(server: ModelServer, facts: Facts, _judged: Judged) -> Verdict | None:
    rollout = facts.rollout
    if rollout is None or rollout.observed_generation < rollout.generation:
        return fails(Reason.ROLLING_OUT, "the Deployment was just changed")
    old = rollout.replicas - rollout.updated
    if old <= 0:
        return None
    message = f"{old} of {rollout.replicas} pods are of the old template"
    return fails(Reason.ROLLING_OUT, _and_trouble(message + _what_makes_room(server, facts), facts))


def _what_makes_room(server: ModelServer, facts: Facts) -> str:
    """Said before it happens: with one replica it interrupts."""
    given = server.spec.rollout
    if not facts.without_room() or server.spec.accelerator is not None:
        return ""
    if given.max_surge is not None or given.max_unavailable is not None:
        return (
            ", and no node has room for one more: with rollout.maxSurge 0 and maxUnavailable 1 old ones end "
            "first"
        )
    return ", and no node has room for one more: unless room comes within 30 s, an old one ends first"


def _is_short(server: ModelServer, facts: Facts, _judged: Judged) -> Verdict | None:
    rollout, wanted = facts.rollout, server.spec.replicas
    if rollout is None or (rollout.ready == rollout.replicas == wanted and len(facts.ready_pods()) == wanted):
        return None
    message = f"{len(facts.ready_pods())} of {wanted} pods are ready"
    crashes = [pod for pod in facts.pods if pod.crash and not pod.is_ready]
    reason = Reason.PODS_FAILING if crashes else Reason.SCALING if facts.ready_pods() else Reason.STARTING
    return fails(reason, _and_trouble(message, facts))


def _and_trouble(message: str, facts: Facts) -> str:
    return f"{message}; {said}" if (said := trouble(facts)) else message


def _is_empty(server: ModelServer, _facts: Facts, _judged: Judged) -> Verdict | None:
    return (
        holds(Reason.SCALED_TO_ZERO, "replicas is 0, nothing is served")
        if server.spec.replicas == 0
        else None
    )


def _serves(_server: ModelServer, _facts: Facts, judged: Judged) -> Verdict | None:
    verdict = judged[Type.MODELS_SERVED]
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
    """The newest generation runs on every replica, and every one serves every model as wanted."""
    for check in CHECKS:
        if verdict := check(server, facts, judged):
            return verdict
    return holds(Reason.READY, "every replica serves every model as this generation wants it")
