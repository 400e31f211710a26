"""Whether a rollout has to end old pods before new ones start.

A node with one free exclusive CPU has no room for a pod more, and a rollout that waits for it waits for
ever. The decision is kept on the Deployment itself and holds until its rollout is complete.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from modelserver_operator.api import ModelServer
from modelserver_operator.observed.child import Rollout
from modelserver_operator.observed.pod import Pod, without_room

PATIENCE = timedelta(seconds=30)
"""Room may come: a pod elsewhere ends, an autoscaler adds a node."""


def replaces_in_place(server: ModelServer, rollout: Rollout | None, pods: Iterable[Pod], now: str) -> bool:
    """Never against the object's own maxSurge or maxUnavailable; with a device that is the rule anyway."""
    given = server.spec.rollout
    is_chosen = given.max_surge is not None or given.max_unavailable is not None
    if rollout is None or is_chosen or server.spec.accelerator is not None:
        return False
    if rollout.in_place:
        return not rollout.is_complete(server.spec.replicas)
    return any(_waited(pod.no_room_since, now) >= PATIENCE for pod in without_room(pods))


def _waited(since: str, now: str) -> timedelta:
    return datetime.fromisoformat(now) - datetime.fromisoformat(since)
