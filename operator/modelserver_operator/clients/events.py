"""Kubernetes Events about ModelServers; one that happens again only gets a higher count."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from modelserver_operator.clients.kubernetes import Cluster, Event
from modelserver_operator.errors import ApiError, NamespaceEnding, NotFound

_REMEMBERED = 2000
_logger = logging.getLogger(__name__)


@dataclass
class _Posted:
    name: str
    count: int = 1


class EventRecorder:
    """Posts Events; a failure is only logged, because nothing depends on them."""

    def __init__(self, cluster: Cluster, now: Callable[[], str], remembered: int = _REMEMBERED) -> None:
        """`remembered`: how many Events can be counted up; an older one is posted again."""
        self._cluster = cluster
        self._now = now
        self._remembered = remembered
        self._posted: OrderedDict[tuple[str, Event], _Posted] = OrderedDict()

    async def record(self, event: Event, metadata: Mapping[str, Any]) -> None:
        """Say that something happened to an object."""
        try:
            if not await self._count_up(event, metadata):
                await self._post(event, metadata)
        except NamespaceEnding:
            return
        except ApiError as error:
            place = f"{metadata['namespace']}/{metadata['name']}"
            _logger.warning("event %s of %s could not be posted: %s", event.reason, place, error)

    async def _count_up(self, event: Event, metadata: Mapping[str, Any]) -> bool:
        posted = self._posted.pop((metadata["uid"], event), None)
        if posted is None:
            return False
        try:
            await self._cluster.recount(metadata["namespace"], posted.name, posted.count + 1, self._now())
        except NotFound:
            return False
        self._remember(event, metadata, _Posted(posted.name, posted.count + 1))
        return True

    async def _post(self, event: Event, metadata: Mapping[str, Any]) -> None:
        self._remember(event, metadata, _Posted(await self._cluster.post(event, metadata, self._now())))

    def _remember(self, event: Event, metadata: Mapping[str, Any], posted: _Posted) -> None:
        self._posted[metadata["uid"], event] = posted
        while len(self._posted) > self._remembered:
            self._posted.popitem(last=False)
