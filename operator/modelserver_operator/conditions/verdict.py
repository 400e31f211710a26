"""The verdict every check returns."""

from dataclasses import dataclass
from typing import Literal

from modelserver_operator.api.status import Reason


@dataclass(frozen=True)
class Verdict:
    """A condition's content."""

    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: str


def holds(reason: Reason, message: str = "") -> Verdict:
    """The claim is true."""
    return Verdict("True", reason, message)


def fails(reason: Reason, message: str) -> Verdict:
    """The claim is false."""
    return Verdict("False", reason, message)


def unknown(reason: Reason, message: str) -> Verdict:
    """The operator could not find out."""
    return Verdict("Unknown", reason, message)
