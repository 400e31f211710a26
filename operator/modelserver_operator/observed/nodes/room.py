"""The CPUs that a node lets pods request. Pure."""

from dataclasses import dataclass
from decimal import Decimal

from modelserver_operator.api.fields import quantity
from modelserver_operator.observed.child import Raw


@dataclass(frozen=True)
class Room:
    """A node that takes pods."""

    node: str
    cpus: Decimal
    """What all pods of the node may request together."""

    def text(self) -> str:
        """Its CPUs as Kubernetes writes them."""
        return cpus_text(self.cpus)


def cpus_text(cpus: Decimal) -> str:
    """As Kubernetes writes them: 8 or 3500m."""
    return f"{int(cpus)}" if cpus == cpus.to_integral_value() else f"{int(cpus * 1000)}m"


def read_room(body: Raw) -> Room | None:
    """Read a raw Node; None for one that takes no pods now or does not say what it has."""
    status = body.get("status") or {}
    conditions = {item["type"]: item.get("status") for item in status.get("conditions") or []}
    cpus = (status.get("allocatable") or {}).get("cpu")
    if (body.get("spec") or {}).get("unschedulable") or conditions.get("Ready") != "True" or cpus is None:
        return None
    return Room(body["metadata"]["name"], quantity(cpus))


def largest(rooms: tuple[Room, ...]) -> Room | None:
    """The node with the most CPUs, of equal ones the first by name."""
    return max(sorted(rooms, key=lambda room: room.node), key=lambda room: room.cpus, default=None)
