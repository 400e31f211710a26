"""What is decided outside of an object: gathered once at the beginning of a pass."""

import time
from dataclasses import dataclass
from typing import Any

from modelserver_operator.api import ModelServer
from modelserver_operator.clients.asking import Asking
from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.clients.nodes import Nodes, Offer
from modelserver_operator.clients.scaling.surroundings import Gatherer
from modelserver_operator.desired import Surroundings
from modelserver_operator.desired.accelerators import Found, families
from modelserver_operator.observed.facts import Snapshot
from modelserver_operator.observed.nodes.devices import unusable
from modelserver_operator.observed.scaling.facts import Scaling


@dataclass(frozen=True)
class Outside:
    """About one object at one moment."""

    around: Surroundings
    scaling: Scaling
    offer: Offer | None
    """What nodes offer; None where they may not be listed, or where it is of no use."""
    devices: Found
    """For GPUs and NPUs."""
    needs_nodes: bool

    def facts(self) -> dict[str, Any]:
        """Fields of Facts."""
        return {
            "scaling": self.scaling,
            "may_list_nodes": self.offer is not None or not self.needs_nodes,
            "rooms": self.offer.rooms if self.offer else (),
        }


class Outlook:
    """Asks the cluster for what no watch reports."""

    def __init__(self, cluster: Cluster, gatherer: Gatherer, asking: Asking) -> None:
        self._gatherer = gatherer
        self._asking = asking
        self._nodes = Nodes(cluster, time.monotonic)

    async def look(self, server: ModelServer, seen: Snapshot) -> Outside:
        """For an object with these children and pods."""
        around, scaling = await self._gatherer.look(server)
        needs_nodes = bool(families(server.spec))
        is_short = any("Insufficient cpu" in pod.waiting for pod in seen.pods)
        offer = await self._nodes.look() if needs_nodes or is_short else None
        replies = self._asking.latest((server.namespace, server.name)) if needs_nodes else {}
        found = Found(offer.advertised if offer else None, unusable(seen.pods, replies))
        return Outside(around, scaling, offer, found, needs_nodes)
