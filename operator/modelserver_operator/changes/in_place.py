"""Whether a rollout has to stop old pods before new ones start. Pure.

Where no node can fit an extra pod, for example because all exclusive CPUs are taken, a rollout with a surge
pod never ends. The decision is stored on the Deployment itself and holds until its rollout is complete.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from modelserver_operator.api import ModelServer
from modelserver_operator.observed.child import Rollout
from modelserver_operator.observed.pod import Pod, without_room

WAIT_FOR_ROOM = timedelta(seconds=30)
"""There may be room soon: another pod ends, an autoscaler adds a node."""


def replaces_in_place(server: ModelServer, rollout: Rollout | None, pods: Iterable[Pod], now: str) -> bool:
    """Never against the object's own maxSurge or maxUnavailable; with an accelerator it is the default."""
    policy = server.spec.rollout
    is_chosen = policy.max_surge is not None or policy.max_unavailable is not None
    if rollout is None or is_chosen or server.spec.accelerator is not None:
        return False
    if rollout.in_place:
        return not rollout.is_complete(server.spec.replicas)
    return any(_waited(pod.no_room_since, now) >= WAIT_FOR_ROOM for pod in without_room(pods))


def _waited(since: str, now: str) -> timedelta:
    return datetime.fromisoformat(now) - datetime.fromisoformat(since)
