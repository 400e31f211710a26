"""What the nodes offer: asked only when an object depends on it, and by nobody who may not list them."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelserver_operator.api.fields import quantity
from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.errors import ApiError
from modelserver_operator.observed.nodes.room import Room, read_room

_FRESH_SECONDS, _AFTER_REFUSAL = 20.0, 300.0
_SKEW = 3
"""A kubelet may be this many minor versions older than the API server."""
_LIFTS_QUOTA = 33
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Offer:
    """Of all nodes."""

    advertised: Mapping[str, int] = field(default_factory=dict)
    """The sum of each resource of a device plugin."""
    rooms: tuple[Room, ...] = ()


class Nodes:
    """The newest list, for as long as it is fresh."""

    def __init__(self, cluster: Cluster, clock: Callable[[], float]) -> None:
        self._cluster = cluster
        self._clock = clock
        self._offer: Offer | None = None
        self._until = float("-inf")
        self._lock = asyncio.Lock()

    async def look(self) -> Offer | None:
        """None where they may not be listed. Who looks meanwhile waits: not to know yet is another answer."""
        async with self._lock:
            if self._clock() >= self._until:
                await self._list()
            return self._offer

    async def _list(self) -> None:
        seconds = _FRESH_SECONDS
        try:
            self._offer = read_offer(await self._cluster.nodes())
        except ApiError as error:
            _logger.info("nodes cannot be listed: %s", error)
            self._offer, seconds = None, _AFTER_REFUSAL
        self._until = self._clock() + seconds


def read_offer(bodies: Iterable[Mapping[str, Any]]) -> Offer:
    """Read raw Nodes."""
    amounts: Counter[str] = Counter()
    rooms = []
    for body in bodies:
        for name, amount in ((body.get("status") or {}).get("allocatable") or {}).items():
            if "/" in name:
                amounts[name] += int(quantity(str(amount)))
        if (room := read_room(body)) is not None:
            rooms.append(room)
    return Offer(amounts, tuple(rooms))


async def lift_quota(cluster: Cluster) -> bool:
    """Whether every kubelet lifts the CFS quota of a container with exclusive CPUs, as they do since 1.33.

    False also where that cannot be read: then a quota speaks neither for nor against anything.
    """
    try:
        return await cluster.minor_version() - _SKEW >= _LIFTS_QUOTA
    except ApiError as error:
        _logger.warning("the version of the cluster cannot be read: %s", error)
        return False
