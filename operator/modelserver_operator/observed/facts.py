"""What was observed of one ModelServer: children and pods at one moment, servers, this pass's writes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from modelserver_operator.api import ModelServer
from modelserver_operator.errors import Invalid
from modelserver_operator.observed.child import Child, Rollout
from modelserver_operator.observed.nodes.occupancy import Overlap
from modelserver_operator.observed.nodes.room import Room
from modelserver_operator.observed.pod import Crash, Pod, without_room
from modelserver_operator.observed.rejections import CLOSED, Breaker
from modelserver_operator.observed.report import Reply, ServerStatus
from modelserver_operator.observed.scaling.facts import Scaling

_RECENT = timedelta(minutes=10)
"""How long the end of a pod counts as a trouble of the pods that replace it."""


@dataclass(frozen=True)
class Snapshot:
    """The children (by kind and name) and the pods of a ModelServer, as the store had them at one moment."""

    children: Mapping[tuple[str, str], Child]
    pods: tuple[Pod, ...]

    def rollout(self, server: ModelServer) -> Rollout | None:
        """The rollout of the object's own Deployment; None while there is none."""
        return self.rollout_of(server.name, server.uid)

    def rollout_of(self, name: str, uid: str) -> Rollout | None:
        """The same for an object that cannot be parsed."""
        deployment = self.children.get(("Deployment", name))
        return deployment.rollout if deployment and deployment.owner_uid == uid else None


@dataclass(frozen=True)
class Outcome:
    """What became of the writes of this pass."""

    taken: tuple[str, ...] = ()
    """Children whose name is used by an object of another owner."""
    awaited: tuple[str, ...] = ()
    """Children whose name is used by what is left of a deleted object of the same name."""
    refused: tuple[str, ...] = ()
    """A sentence for each write that failed: verb, kind, name and cause."""
    unscaled: tuple[str, ...] = ()
    """The same for what only scales the object: it costs nothing else, and Autoscaled says so."""
    deferred: tuple[str, ...] = ()
    """A sentence for each write that is not made before another one is."""
    held_back: tuple[str, ...] = ()
    """Writes that are not made because the object is paused."""
    contested: tuple[str, ...] = ()
    """A sentence for each child that another client keeps changing back."""
    corrections: tuple[str, ...] = ()
    """A sentence for each child that another client had changed and that has been restored."""
    due: float | None = None
    """The seconds after which something has to be done that nothing else reports."""

    def is_complete(self) -> bool:
        """Whether every child is as desired."""
        problems = (self.taken, self.awaited, self.refused, self.deferred, self.held_back, self.contested)
        return not any(problems)


@dataclass(frozen=True)
class Rejection:
    """Why an object is not accepted; its pods keep the last accepted form."""

    error: Invalid
    generation: int
    """The generation that is not accepted."""


@dataclass(frozen=True)
class Facts:
    """All that the conditions are judged by."""

    rollout: Rollout | None
    pods: tuple[Pod, ...]
    replies: Mapping[str, Reply] = field(default_factory=dict)
    """By the pod's uid."""
    outcome: Outcome = Outcome()
    rejection: Rejection | None = None
    crd_lacks: tuple[str, ...] = ()
    """Fields of the API that the CRD in the cluster does not have."""
    breaker: Breaker = CLOSED
    """Open only while it keeps pods from being as the object wants them."""
    is_configuration_back: bool = False
    """Whether the servers get the configuration of the last good template instead of the object's."""
    scaling: Scaling = field(default_factory=Scaling)
    overlaps: Mapping[str, Overlap] = field(default_factory=dict)
    """By the pod's uid: CPUs that another pod of ours may use, too."""
    lifts_quota: bool = False
    """Whether every kubelet of the cluster lifts the CPU quota of containers with exclusive CPUs."""
    unadvertised: tuple[str, ...] = ()
    """Resources for GPUs and NPUs that the pods request and no node advertises."""
    may_list_nodes: bool = True
    """Whether nodes may be listed, where the object depends on what they advertise."""
    rooms: tuple[Room, ...] = ()
    """Of the cluster's nodes; empty where the operator may not list them."""

    def ready_pods(self) -> list[Pod]:
        """Pods that take requests."""
        return [pod for pod in self.pods if pod.is_ready and not pod.is_leaving]

    def awaited(self) -> list[Pod]:
        """Ready pods whose servers have not reported since they became so."""
        replies = ((pod, self.replies.get(pod.uid)) for pod in self.ready_pods())
        return [pod for pod, reply in replies if reply is None or not reply.is_current]

    def unheard(self) -> list[Pod]:
        """Ready pods whose servers have not reported at all."""
        return [pod for pod in self.ready_pods() if pod.uid not in self.replies]

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

    def failing(self) -> list[Pod]:
        """Pods whose crash keeps them from serving: not of those that serve, nor of those that are to go."""
        return [
            pod
            for pod in self.pods
            if pod.crash and not pod.is_ready and (pod.is_failed or not pod.is_leaving)
        ]

    def without_old_failures(self, now: str) -> "Facts":
        """The same without pods that failed long ago: they have been replaced since."""
        return replace(self, pods=tuple(pod for pod in self.pods if not _is_old_failure(pod, now)))


def _is_old_failure(pod: Pod, now: str) -> bool:
    if not pod.is_failed or pod.crash is None:
        return False
    return datetime.fromisoformat(now) - datetime.fromisoformat(pod.crash.time) > _RECENT
