"""What changed between two statuses, as sentences for Events. Pure."""

from dataclasses import dataclass

from modelserver_operator.api import Condition, Status
from modelserver_operator.api.status import ConditionType, Reason

_EXPECTED = {
    Reason.SCALED_TO_ZERO,
    Reason.SCALER_PAUSED,
    Reason.NOT_REQUESTED,
    Reason.OLD_CONFIGURATION,
    Reason.AWAITING_DELETION,
    Reason.PAUSED,
}
"""Reasons of a False that somebody asked for, or that end on their own."""


@dataclass(frozen=True)
class Transition:
    """A condition that has another status or reason than before."""

    reason: str
    message: str
    is_warning: bool


def transitions(previous: Status, status: Status) -> list[Transition]:
    """Of every condition; its first appearance is none."""
    before = {condition.type: condition for condition in previous.conditions}
    pairs = [(before[item.type], item) for item in status.conditions if item.type in before]
    return [
        _transition(item) for old, item in pairs if (old.status, old.reason) != (item.status, item.reason)
    ]


def _transition(condition: Condition) -> Transition:
    # Of most things that Ready says another condition warns already.
    is_cause = condition.type != ConditionType.READY or condition.reason == Reason.PODS_REJECTED
    is_cause = is_cause and condition.reason not in _EXPECTED
    return Transition(
        condition.reason,
        f"{condition.type} is {condition.status}: {condition.message or condition.reason}",
        is_warning=condition.status == "False" and is_cause,
    )
