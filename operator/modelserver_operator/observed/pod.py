"""A pod of a ModelServer as it is, read once from the raw object."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from modelserver_operator import naming
from modelserver_operator.api.fields import quantity
from modelserver_operator.observed.child import Raw


@dataclass(frozen=True)
class Crash:
    """A container or pod that ended with an error."""

    time: str
    pod: str
    reason: str
    exit_code: int | None
    message: str


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


def read_pod(body: Raw) -> Pod:
    """Read a raw Pod."""
    metadata, spec, status = body["metadata"], body.get("spec") or {}, body.get("status") or {}
    conditions = {item["type"]: item for item in status.get("conditions") or []}
    states = _container_states(status)
    return Pod(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        address=status.get("podIP", ""),
        is_running=status.get("phase") == "Running",
        is_ready=conditions.get("Ready", {}).get("status") == "True",
        is_leaving=bool(metadata.get("deletionTimestamp")) or status.get("phase") in {"Failed", "Succeeded"},
        qos_class=status.get("qosClass", ""),
        cpu_request=_cpu_request(spec),
        containers=tuple(item["name"] for item in _containers(spec)),
        revision_annotation=(metadata.get("annotations") or {}).get(naming.REVISION_ANNOTATION, ""),
        waiting=_waiting(conditions.get("PodScheduled", {}), states),
        crash=_crash(metadata["name"], status, states),
        template=(metadata.get("labels") or {}).get("pod-template-hash", ""),
        no_room_since=_no_room_since(conditions.get("PodScheduled", {})),
    )


def _containers(spec: Raw) -> list[Raw]:
    return [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]


def _cpu_request(spec: Raw) -> Decimal:
    for container in spec.get("containers") or []:
        if container["name"] == naming.CONTAINER:
            return quantity(((container.get("resources") or {}).get("requests") or {}).get("cpu", "0"))
    return Decimal(0)


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
        return f"{scheduled.get('reason', 'Unschedulable')}: {scheduled.get('message', '')}"
    for field, state in states:
        waiting = state.get("waiting") if field == "state" else None
        if waiting and waiting.get("reason") not in {None, "ContainerCreating", "PodInitializing"}:
            return f"{waiting['reason']}: {waiting.get('message', '')}"
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


def _crash(pod: str, status: Raw, states: list[tuple[str, Raw]]) -> Crash | None:
    for _, state in states:
        ended = state.get("terminated")
        if ended and ended.get("exitCode"):
            return Crash(
                time=ended.get("finishedAt") or "",
                pod=pod,
                reason=ended.get("reason") or "Error",
                exit_code=ended["exitCode"],
                message=(ended.get("message") or "").strip(),
            )
    if status.get("phase") == "Failed":
        return Crash(
            status.get("startTime") or "",
            pod,
            status.get("reason") or "Failed",
            None,
            status.get("message") or "",
        )
    return None


def without_room(pods: Iterable[Pod]) -> list[Pod]:
    """Pods that no node has room for while pods of another template are on a node."""
    staying = [pod for pod in pods if not pod.is_leaving]
    placed = {pod.template for pod in staying if not pod.no_room_since}
    return [pod for pod in staying if pod.no_room_since and placed - {pod.template}]
