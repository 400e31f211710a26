"""Verdicts while a ready pod's server has not been asked yet: nothing new is claimed, nothing withdrawn.

A pod that has just become ready, and every pod after a restart of the operator, is in this state for an
instant, or until its server counts as unreachable.
"""

from collections.abc import Mapping

from modelserver_operator.api import Condition, Status
from modelserver_operator.api.status import ConditionType, Reason
from modelserver_operator.conditions.verdict import Verdict, fails, unknown
from modelserver_operator.observed.facts import Facts
from modelserver_operator.observed.pod import Pod

_ABSENT = {Reason.AWAITING_REPORT, Reason.NO_POD_READY, Reason.SCALED_TO_ZERO}


def awaiting(facts: Facts) -> Verdict | None:
    """A ready pod whose server has not reported since it became so, or since the configuration changed."""
    return _awaiting(facts.awaited())


def unheard(facts: Facts) -> Verdict | None:
    """A ready pod whose server has not reported at all."""
    return _awaiting(facts.unheard())


def kept(
    judged: Mapping[ConditionType, Verdict], previous: Status, generation: int
) -> dict[ConditionType, Verdict]:
    """What awaits a report keeps the verdict that this generation had before, if pods were ready then."""
    before = _before(previous, generation)
    return {
        kind: Verdict(old.status, Reason(old.reason), old.message)
        if verdict.reason is Reason.AWAITING_REPORT
        and (old := before.get(kind)) is not None
        and old.reason in set(Reason) - _ABSENT
        else verdict
        for kind, verdict in judged.items()
    }


def ready_when_reported(verdict: Verdict, facts: Facts, previous: Status, generation: int) -> Verdict:
    """Ready can stay True while a report is awaited, but it does not become True."""
    if verdict.reason is Reason.AWAITING_REPORT:
        return fails(Reason.STARTING, verdict.message)
    old = _before(previous, generation).get(ConditionType.READY)
    is_awaited = awaiting(facts)
    if is_awaited is None or verdict.status != "True" or (old is not None and old.status == "True"):
        return verdict
    return fails(Reason.STARTING, is_awaited.message)


def _awaiting(pods: list[Pod]) -> Verdict | None:
    if not pods:
        return None
    return unknown(
        Reason.AWAITING_REPORT, f"pod {pods[0].name} is ready, but its server has not reported yet"
    )


def _before(previous: Status, generation: int) -> dict[str, Condition]:
    return {c.type: c for c in previous.conditions if c.observed_generation == generation}
