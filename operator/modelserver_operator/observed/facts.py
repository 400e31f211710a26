"""What was observed of one ModelServer, frozen: the rollout, its pods, their servers, this pass's writes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelserver_operator.observed.child import Rollout
from modelserver_operator.observed.pod import Crash, Pod, without_room
from modelserver_operator.observed.report import Report


@dataclass(frozen=True)
class Outcome:
    """What became of the writes of this pass."""

    taken: tuple[str, ...] = ()
    """Children whose name belongs to somebody else."""
    refused: str = ""
    """What the API server would not have."""
    held_back: tuple[str, ...] = ()
    """Children left alone because the object is paused."""


@dataclass(frozen=True)
class Facts:
    """All a judgement needs."""

    rollout: Rollout | None
    pods: tuple[Pod, ...]
    reports: Mapping[str, Report] = field(default_factory=dict)
    """By the pod's uid."""
    outcome: Outcome = Outcome()

    def ready_pods(self) -> list[Pod]:
        """Pods that take requests."""
        return [pod for pod in self.pods if pod.is_ready and not pod.is_leaving]

    def without_room(self) -> list[Pod]:
        """Pods of a rollout that cannot begin before a pod of another template makes room."""
        return without_room(self.pods)

    def newest_crash(self) -> Crash | None:
        """The newest failure of a pod that is still there."""
        return max((pod.crash for pod in self.pods if pod.crash), key=lambda crash: crash.time, default=None)
