"""A pod of a ModelServer as it is, read once from the raw object."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from modelserver_operator import naming
from modelserver_operator.api.fields import quantity
from modelserver_operator.observed.child import Raw

_STARTING = {None, "ContainerCreating", "PodInitializing"}
"""Reasons of a waiting container that say nothing about what it waits for."""
_IMAGE = {"ErrImagePull", "ImagePullBackOff"}
_STOPPED = "it ended although nobody deleted it, and no Event says why: see the log of its node's kubelet"
_CONTAINER = re.compile(r"(restarting failed container)=.*")
_PREEMPTION = re.compile(r" +(no new claims to deallocate, )?preemption: .*", re.DOTALL)
"""What the scheduler adds to each of its messages: whether removing other pods would help."""
_BACK_OFF = re.compile(r"^(back-off) \S+|^Back-off pulling image \"[^\"]*\": ErrImagePull: ")


@dataclass(frozen=True)
class Crash:
    """A container or pod that ended with an error."""

    time: str
    pod: str
    reason: str
    exit_code: int | None
    message: str
    is_explained: bool = True
    """Whether the pod's status says why it ended; if not, an Event about the pod may."""


@dataclass(frozen=True)
class Pod:
    """One of the object's pods."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    address: str
    is_running: bool
    is_ready: bool
    is_leaving: bool
    qos_class: str
    cpu_request: Decimal
    containers: tuple[str, ...]
    revision_annotation: str
    waiting: str
    """Why its container waits or why it is not scheduled; empty when neither."""
    crash: Crash | None
    template: str = ""
    """The hash of the pod template it was made from."""
    no_room_since: str = ""
    """Since when no node has room for it although removing another pod would help; empty otherwise."""
    image: str = ""
    """The image of its server."""
    is_failed: bool = False
    """Whether it has ended for good, e.g. by an eviction; its object may stay for months."""
    is_ending: bool = False
    """Whether somebody has deleted it, but its node has not confirmed its end."""
    is_preparing: bool = False
    """Whether it has a node, but its container has not been created, and its status does not say why."""
    status_port: int = 0
    """The port of its own container that is named `status`; 0 when there is none."""
    process: str = ""
    """Identifies the container's process: it changes with each restart."""
    node: str = ""
    created: str = ""
    """By the API server's clock."""
    is_admitted: bool = False
    """Whether its kubelet has taken it: it runs, or its containers are being created."""
    scheduled: str = ""
    """When it got its node; empty before."""
    has_pod_resources: bool = False
    """Whether resources are set for the pod as a whole, which nobody gives exclusive CPUs."""
    devices: tuple[str, ...] = ()
    """What its server's container gets from device plugins."""
    groups: tuple[int, ...] = ()
    """Supplemental groups of its processes."""
    is_limited: bool = False
    """Whether its server's container has a CPU limit."""
    started: str = ""
    """When its container was started, for the first time; empty where that is not known any more."""


def read_pod(body: Raw) -> Pod:
    """Read a raw Pod."""
    metadata, spec, status = body["metadata"], body.get("spec") or {}, body.get("status") or {}
    conditions, states = _conditions(status), _container_states(status)
    return Pod(
        **_identity(metadata),
        address=status.get("podIP", ""),
        is_running=status.get("phase") == "Running",
        is_ready=conditions.get("Ready", {}).get("status") == "True",
        is_leaving=bool(metadata.get("deletionTimestamp")) or status.get("phase") in {"Failed", "Succeeded"},
        qos_class=status.get("qosClass", ""),
        containers=tuple(item["name"] for item in _containers(spec)),
        revision_annotation=(metadata.get("annotations") or {}).get(naming.REVISION_ANNOTATION, ""),
        waiting=_waiting(conditions.get("PodScheduled", {}), states),
        crash=_crash(metadata, status, states),
        no_room_since=_no_room_since(conditions.get("PodScheduled", {})),
        image=str(_server(spec).get("image", "")),
        is_failed=_is_failed(metadata, status),
        is_preparing=_is_preparing(spec, status, states),
        status_port=_status_port(spec),
        process=_process(status),
        node=spec.get("nodeName") or "",
        is_admitted=bool(status.get("containerStatuses")) and status.get("phase") in {"Pending", "Running"},
        scheduled=_scheduled(conditions.get("PodScheduled", {})),
        started=_started(status),
        **_hardware(spec),
    )


def _hardware(spec: Raw) -> dict[str, Any]:
    limits = (_server(spec).get("resources") or {}).get("limits") or {}
    return {
        "cpu_request": _cpu_request(spec),
        "has_pod_resources": bool(spec.get("resources")),
        "is_limited": "cpu" in limits,
        "devices": tuple(sorted(name for name in limits if "/" in name)),
        "groups": tuple((spec.get("securityContext") or {}).get("supplementalGroups") or ()),
    }


def _identity(metadata: Raw) -> dict[str, Any]:
    return {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "uid": metadata["uid"],
        "resource_version": metadata["resourceVersion"],
        "created": metadata.get("creationTimestamp") or "",
        "is_ending": bool(metadata.get("deletionTimestamp")),
        "template": (metadata.get("labels") or {}).get("pod-template-hash", ""),
    }


def _conditions(status: Raw) -> dict[str, Raw]:
    return {item["type"]: item for item in status.get("conditions") or []}


def _containers(spec: Raw) -> list[Raw]:
    return [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]


def _server(spec: Raw) -> Raw:
    """The container of the server, or an empty one."""
    return next((item for item in spec.get("containers") or [] if item["name"] == naming.CONTAINER), {})


def _cpu_request(spec: Raw) -> Decimal:
    return quantity(((_server(spec).get("resources") or {}).get("requests") or {}).get("cpu", "0"))


def _status_port(spec: Raw) -> int:
    for port in _server(spec).get("ports") or []:
        if port.get("name") == naming.STATUS_PORT:
            return int(port["containerPort"])
    return 0


def _process(status: Raw) -> str:
    for item in status.get("containerStatuses") or []:
        if item.get("name") == naming.CONTAINER:
            return f"{item.get('restartCount', 0)} {item.get('containerID', '')}"
    return ""


def _container_states(status: Raw) -> list[tuple[str, Raw]]:
    return [
        (field, item[field])
        for item in status.get("containerStatuses") or []
        if item.get("name") == naming.CONTAINER
        for field in ("state", "lastState")
        if item.get(field)
    ]


def _waiting(scheduled: Raw, states: list[tuple[str, Raw]]) -> str:
    if scheduled.get("status") == "False":
        message = _PREEMPTION.sub("", scheduled.get("message") or "")
        return f"{scheduled.get('reason', 'Unschedulable')}: {message}"
    for field, state in states:
        waiting = state.get("waiting") if field == "state" else None
        if waiting and waiting.get("reason") not in _STARTING:
            return _steady(waiting["reason"], waiting.get("message") or "")
    return ""


def _steady(reason: str, message: str) -> str:
    """The same text for every attempt: the kubelet alternates two reasons and counts the seconds."""
    reason = "ErrImagePull" if reason in _IMAGE else reason
    message = _CONTAINER.sub(r"\1", message)
    return f"{reason}: {_BACK_OFF.sub(lambda found: found[1] or '', message)}"


def _is_preparing(spec: Raw, status: Raw, states: list[tuple[str, Raw]]) -> bool:
    if not spec.get("nodeName") or status.get("phase", "Pending") != "Pending":
        return False
    return all((state.get("waiting") or {"reason": "?"}).get("reason") in _STARTING for _, state in states)


def _scheduled(condition: Raw) -> str:
    return condition.get("lastTransitionTime") or "" if condition.get("status") == "True" else ""


def _started(status: Raw) -> str:
    for item in status.get("containerStatuses") or []:
        if item.get("name") == naming.CONTAINER and not item.get("restartCount"):
            return str(((item.get("state") or {}).get("running") or {}).get("startedAt") or "")
    return ""


def _no_room_since(scheduled: Raw) -> str:
    if scheduled.get("status") != "False" or scheduled.get("reason") != "Unschedulable":
        return ""
    # Only the message says whether removing a pod would help: it does not against a taint, a node selector
    # that matches no node or a request above a whole node, and then no old pod must be stopped for nothing.
    # These are the sentences of Kubernetes 1.36, pinned on its real scheduler:
    # test_in_place.py::test_the_scheduler_says_whether_removing_a_pod_would_help.
    message = scheduled.get("message") or ""
    is_useless = "Preemption is not helpful" in message or "Insufficient " not in message
    if "No preemption victims found" not in message and is_useless:
        return ""
    return scheduled.get("lastTransitionTime") or ""


def _is_failed(metadata: Raw, status: Raw) -> bool:
    """A pod that is evicted while its server stops cleanly (exit code 0) is called Succeeded."""
    is_success = status.get("phase") == "Succeeded" and not metadata.get("deletionTimestamp")
    return is_success or status.get("phase") == "Failed"


def _crash(metadata: Raw, status: Raw, states: list[tuple[str, Raw]]) -> Crash | None:
    exits = [state.get("terminated") or {} for _, state in states]
    is_failed = _is_failed(metadata, status)
    ended: Raw = next((item for item in exits if item.get("exitCode")), {})
    if not ended and not is_failed:
        return None
    # A pod's own reason, e.g. Evicted, is the cause; its container's may only be that it was lost.
    cause = status if is_failed and (status.get("reason") or not ended) else ended
    return Crash(
        time=ended.get("finishedAt") or _unrecorded_end(metadata, status, states, is_failed=is_failed),
        pod=metadata["name"],
        reason=cause.get("reason") or ("Failed" if is_failed else "Error"),
        exit_code=ended.get("exitCode"),
        message=(cause.get("message") or ("" if ended or status.get("reason") else _STOPPED)).strip(),
        is_explained=bool(status.get("reason")) or not is_failed,
    )


def _unrecorded_end(metadata: Raw, status: Raw, states: list[tuple[str, Raw]], *, is_failed: bool) -> str:
    """When a container ended whose end nobody saw (ContainerStatusUnknown, a rejected pod): a time near it.

    It must not move afterwards: nothing of a failed pod changes any more; in another one a container started.
    """
    changes = [item.get("lastTransitionTime") or "" for item in status.get("conditions") or []]
    restarts = [(state.get("running") or {}).get("startedAt") or "" for _, state in states]
    near = max(changes if is_failed else restarts, default="")
    return near or status.get("startTime") or metadata.get("creationTimestamp") or "1970-01-01T00:00:00Z"


def without_room(pods: Iterable[Pod]) -> list[Pod]:
    """Pods that no node has room for while pods of another template are on a node."""
    staying = [pod for pod in pods if not pod.is_leaving]
    placed = {pod.template for pod in staying if not pod.no_room_since}
    return [pod for pod in staying if pod.no_room_since and placed - {pod.template}]
