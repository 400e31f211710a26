"""Pods that a kubelet has rejected, and what is remembered of them in an annotation of the Deployment. Pure.

A rejected pod has failed for good, and its ReplicaSet makes another one immediately, which the same node
rejects, without end (kubernetes/kubernetes#84869).
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from modelserver_operator.observed.pod import Pod

_REASONS = frozenset({"TopologyAffinityError", "SMTAlignmentError", "UnexpectedAdmissionError"})
_OUT_OF = "OutOf"
"""OutOfcpu, and the same of any other resource."""


@dataclass(frozen=True)
class Breaker:
    """What is remembered of rejected pods. Closed unless it names a template."""

    counted: str = ""
    """Pods created until then have been dealt with and count no more. By the API server's clock."""
    template: str = ""
    """Identifies the template that nodes reject."""
    replica_set: str = ""
    """The `pod-template-hash` of its pods when it opened."""
    is_back: bool = False
    """Whether the last good template is applied instead."""
    replicas: int | None = None
    """The most that the Deployment gets; None: what the object wants."""
    is_trying: bool = False
    """Whether one more pod is tried now."""
    next_try: str = ""
    """When, by the operator's clock; empty when only a change of the object tries again."""
    node: str = ""
    reason: str = ""
    message: str = ""
    """In the kubelet's words."""

    @property
    def is_open(self) -> bool:
        """Whether pods are held back."""
        return bool(self.template)

    def limits(self, wanted: int) -> bool:
        """Whether an object that wants this number of pods does not get what it wants."""
        if not self.is_open or wanted == 0:
            return False
        return self.is_back or (self.replicas is not None and self.replicas < wanted)

    def text(self) -> str:
        """As it is stored; empty when nothing has to be remembered."""
        stored = {name: value for name, value in asdict(self).items() if value != getattr(CLOSED, name)}
        return json.dumps(stored, sort_keys=True) if stored else ""


CLOSED = Breaker()


def read_breaker(text: str) -> Breaker:
    """What was stored; closed when it is not this operator's."""
    try:
        stored = json.loads(text or "{}")
        known = {field.name: stored[field.name] for field in fields(Breaker) if field.name in stored}
        found = Breaker(**known)
        for time in filter(None, (found.counted, found.next_try)):
            if datetime.fromisoformat(time).tzinfo is None:
                return CLOSED
    except (ValueError, TypeError):
        return CLOSED
    return found if all(_fits(name, value) for name, value in known.items()) else CLOSED


def _fits(name: str, value: Any) -> bool:
    if name == "replicas":
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return isinstance(value, type(getattr(CLOSED, name)))


def is_rejected(pod: Pod) -> bool:
    """Whether a kubelet did not take the pod, for a reason that the next one of its kind meets again."""
    if not pod.is_failed or pod.crash is None:
        return False
    return pod.crash.reason in _REASONS or pod.crash.reason.startswith(_OUT_OF)


def rejected(pods: Iterable[Pod]) -> list[Pod]:
    """The rejected ones, the oldest first."""
    return sorted(filter(is_rejected, pods), key=lambda pod: (pod.created, pod.name))
