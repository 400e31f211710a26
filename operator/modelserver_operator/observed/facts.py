"""What was observed of one ModelServer: children and pods at one moment, servers, this pass's writes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from modelserver_operator.api import ModelServer
from modelserver_operator.observed.child import Child, Rollout
from modelserver_operator.observed.pod import Crash, Pod, without_room
from modelserver_operator.observed.report import Reply, ServerStatus


@dataclass(frozen=True)
class Snapshot:
    """The children (by kind and name) and the pods of a ModelServer, as the store had them at one moment."""

    children: Mapping[tuple[str, str], Child]
    pods: tuple[Pod, ...]

    def rollout(self, server: ModelServer) -> Rollout | None:
        """The rollout of the object's own Deployment; None while there is none."""
        deployment = self.children.get(("Deployment", server.name))
        return deployment.rollout if deployment and deployment.owner_uid == server.uid else None


@dataclass(frozen=True)
class Outcome:
    """What became of the writes of this pass."""

    taken: tuple[str, ...] = ()
    """Children whose name is used by an object of another owner."""
    refused: str = ""
    """The API server's reason for refusing a write; empty when it refused none."""
    held_back: tuple[str, ...] = ()
    """Children left as they are because the object is paused."""
    corrections: tuple[str, ...] = ()
    """A sentence for each child that another client had changed and that has been restored."""

    def is_complete(self) -> bool:
        """Whether every child is as desired."""
        return not (self.taken or self.refused or self.held_back)


@dataclass(frozen=True)
class Facts:
    """All that the conditions are judged by."""

    rollout: Rollout | None
    pods: tuple[Pod, ...]
    replies: Mapping[str, Reply] = field(default_factory=dict)
    """By the pod's uid."""
    outcome: Outcome = Outcome()

    def ready_pods(self) -> list[Pod]:
        """Pods that take requests."""
        return [pod for pod in self.pods if pod.is_ready and not pod.is_leaving]

    def servers(self, pods: Iterable[Pod]) -> list[tuple[Pod, ServerStatus]]:
        """The status of each of these pods' servers, where it could be read."""
        pairs = ((pod, self.replies.get(pod.uid)) for pod in pods)
        return [(pod, reply.status) for pod, reply in pairs if reply is not None and reply.status is not None]

    def without_room(self) -> list[Pod]:
        """Pods of a rollout that cannot be scheduled before a pod of another template makes room."""
        return without_room(self.pods)

    def newest_crash(self) -> Crash | None:
        """The newest failure of a pod that is still there."""
        return max((pod.crash for pod in self.pods if pod.crash), key=lambda crash: crash.time, default=None)
