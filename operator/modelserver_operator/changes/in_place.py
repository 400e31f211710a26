"""Whether a rollout has to stop old pods before new ones start. Pure.

Where no node can fit an extra pod, for example because all exclusive CPUs are taken, a rollout with a surge
pod never ends. The decision is stored on the Deployment itself and holds until its rollout is complete.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from modelserver_operator.api import ModelServer
from modelserver_operator.changes.templates import History
from modelserver_operator.desired.accelerators import beside
from modelserver_operator.desired.deployment import strategy
from modelserver_operator.desired.kept import Kept
from modelserver_operator.observed.child import Rollout
from modelserver_operator.observed.pod import Pod, without_room

WAIT_FOR_ROOM = timedelta(seconds=30)
"""There may be room soon: another pod ends, an autoscaler adds a node."""


def replaces_in_place(server: ModelServer, rollout: Rollout | None, pods: Iterable[Pod], now: str) -> bool:
    """Never against the object's own maxSurge or maxUnavailable; with an accelerator it is the default."""
    policy = server.spec.rollout
    is_chosen = policy.max_surge is not None or policy.max_unavailable is not None
    pods = tuple(pods)
    if rollout is None or is_chosen or any(beside(server.spec, pod.devices) for pod in pods):
        return False
    if rollout.in_place:
        return not rollout.is_complete(server.spec.replicas)
    return any(_waited(pod.no_room_since, now) >= WAIT_FOR_ROOM for pod in without_room(pods))


def interruption(server: ModelServer, rollout: Rollout | None, past: History, kept: Kept) -> str:
    """What a new template costs, to be said before it is applied; empty where nothing is stopped first."""
    if past.current is None or past.current.kept.template == kept.template or server.spec.paused:
        return ""
    held = beside(server.spec, kept.devices)
    is_first = strategy(server.spec, has_devices=bool(held))["maxSurge"] in {0, "0%"}
    if rollout is None or not rollout.ready or not held or not is_first:
        return ""
    stopped = "its pod is" if rollout.replicas == 1 else "old pods are"
    until = ", and nothing is served until then" if rollout.replicas == 1 else ", one at a time"
    return (
        f"the pod template changes, and each pod takes its {', '.join(held)} with it: {stopped} stopped "
        f"before the replacement starts{until}"
    )


def _waited(since: str, now: str) -> timedelta:
    return datetime.fromisoformat(now) - datetime.fromisoformat(since)
