"""Looks for the scalers of others: when a sign says that there may be one, and rarely else.

The signs: one that works leaves a trace on the object or its Deployment (managedFields name who wrote
`scale`), two of them on one object make Kubernetes say so in ours, and once a minute all of the cluster are
listed (controller/others.py).
"""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from modelserver_operator import naming
from modelserver_operator.api import ModelServer
from modelserver_operator.clients.kubernetes import Cluster, Raw
from modelserver_operator.clients.scaling.apis import Apis
from modelserver_operator.errors import NotFound
from modelserver_operator.observed.scaling.foreign import Foreign, foreign_scalers
from modelserver_operator.observed.store import Key

FRESH_SECONDS, FOUND_SECONDS, OLD_SECONDS = 5.0, 60.0, 1800.0
"""Not again within the first; again after the second where there was one, after the third elsewhere."""


@dataclass
class _Look:
    """What one namespace has."""

    at: float
    found: tuple[tuple[str, Raw], ...]


@dataclass
class _Seen:
    """What was found for one object, and by which sign it was looked for."""

    sign: Hashable
    at: float
    foreign: tuple[Foreign, ...]


class Others:
    """One list of each kind for a namespace serves all objects in it."""

    def __init__(self, cluster: Cluster, apis: Apis, clock: Callable[[], float] = time.monotonic) -> None:
        self._cluster = cluster
        self._apis = apis
        self._clock = clock
        self._looks: dict[str, _Look] = {}
        self._seen: dict[Key, _Seen] = {}

    async def of(self, server: ModelServer, sign: Hashable) -> tuple[Foreign, ...]:
        """`sign` differs from the last time when there may be a new one. Raises ApiError."""
        key, now = (server.namespace, server.name), self._clock()
        seen = self._seen.get(key)
        limit = FOUND_SECONDS if seen and seen.foreign else OLD_SECONDS
        if seen is not None and seen.sign == sign and now - seen.at < limit:
            return seen.foreign
        foreign = foreign_scalers(server, await self._look(server.namespace))
        looked = self._looks[server.namespace].at
        # A sign that is newer than the look may be that of a scaler which the look has not seen.
        is_newer = seen is not None and seen.sign != sign and looked < now
        self._seen[key] = _Seen(seen.sign if seen and is_newer else sign, looked, foreign)
        return foreign

    def last(self, server: ModelServer) -> tuple[Foreign, ...]:
        """What was found the last time: the best that is known while nothing can be read."""
        seen = self._seen.get((server.namespace, server.name))
        return seen.foreign if seen else ()

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._seen.pop(key, None)
        if not any(namespace == key[0] for namespace, _ in self._seen):
            self._looks.pop(key[0], None)

    async def _look(self, namespace: str) -> tuple[tuple[str, Raw], ...]:
        look, now = self._looks.get(namespace), self._clock()
        if look is None or now - look.at >= FRESH_SECONDS:
            look = self._looks[namespace] = _Look(now, tuple(await self._list(namespace)))
        return look.found

    async def _list(self, namespace: str) -> list[tuple[str, Raw]]:
        kinds = [naming.HPA, *(await self._apis.served([naming.SCALED_OBJECT, naming.VPA]))]
        found: list[tuple[str, Any]] = []
        for kind in kinds:
            try:
                async for page in self._cluster.pages(kind, namespace, of_others=True):
                    found += [(kind, _short(item)) for item in page.items]
            except NotFound:
                self._apis.forget(kind)
        return found


def _short(body: Raw) -> Raw:
    """What is kept of it."""
    metadata, spec = body["metadata"], body.get("spec") or {}
    names = ("name", "labels", "ownerReferences", "deletionTimestamp")
    kept = ("scaleTargetRef", "targetRef", "updatePolicy")
    return {
        "metadata": {name: metadata[name] for name in names if name in metadata},
        "spec": {name: spec[name] for name in kept if name in spec},
    }
