"""Lists the watched kinds: once at the start, then each in turn, and again when a watch broke."""

import asyncio
import itertools
import logging
from collections.abc import Callable, Mapping
from typing import Any

from modelserver_operator import naming
from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.clients.scaling.apis import Apis
from modelserver_operator.errors import ApiError, Forbidden, VersionsWentBack
from modelserver_operator.observed.store import Key, Listed, Store
from modelserver_operator.settings import Settings

_KINDS = tuple(naming.KINDS)
Stream = tuple[str, str | None]
"""A watch: a kind, and a namespace or None for all."""
_logger = logging.getLogger(__name__)


class Relist:
    """Finds what the watches do not report."""

    def __init__(
        self, cluster: Cluster, store: Store, wake: Callable[[Key], None], settings: Settings
    ) -> None:
        self._cluster = cluster
        self._store = store
        self.apis = Apis(cluster)
        self._wake = wake
        self._namespaces = settings.namespaces or (None,)
        self._pause = settings.relist_seconds / len(_KINDS)
        self._listed: dict[Stream, int] = {}
        self._owed: dict[Stream, tuple[int, float]] = {}
        """What a list showed before its watch did: the resourceVersion, and since when."""

    def streams(self) -> list[Stream]:
        """All that is to be watched."""
        return [(kind, namespace) for kind in _KINDS for namespace in self._namespaces]

    async def run(self) -> None:
        """List one kind after the other forever, and after each of them an optional one."""
        optional = itertools.cycle(naming.OPTIONAL)
        for kind in itertools.cycle(_KINDS):
            await asyncio.sleep(self._pause)
            try:
                await self.list(kind)
            except ApiError as error:
                _logger.warning("a kind could not be listed: %s", error)
            await self.list_optional(next(optional))

    async def list_optional(self, kind: str) -> None:
        """The same for a kind that not every cluster has: whatever is wrong with it stops nothing else."""
        try:
            if await self.apis.served([kind]):
                await self.list(kind)
        except ApiError as error:
            _logger.warning("%s could not be listed: %s", kind, error)

    def version(self, stream: Stream) -> int:
        """The resourceVersion of its newest list; 0 if it could not be listed."""
        return self._listed.get(stream, 0)

    async def again(self, stream: Stream) -> int:
        """List what a watch may have missed; returns the version from which it can go on."""
        await self._list(stream)
        self._owed.pop(stream, None)
        return self._listed[stream]

    def heard(self, stream: Stream, version: int) -> None:
        """Its watch has reported everything up to this version."""
        if version >= self._owed.get(stream, (0, 0.0))[0]:
            self._owed.pop(stream, None)

    def take(self, kind: str, body: Mapping[str, Any]) -> Key | None:
        """Store an object; one that cannot be read costs itself, and not the start or the list of a kind."""
        try:
            return self._store.put(kind, body)
        except Exception:
            metadata = body.get("metadata") or {}
            place = f"{metadata.get('namespace')}/{metadata.get('name')}"
            _logger.exception("%s %s cannot be read and is left out", kind, place)
            return None

    def silent(self, seconds: float) -> list[str]:
        """The watches that for this time have not reported what a list found."""
        limit = asyncio.get_running_loop().time() - seconds
        return [named(stream) for stream, (_, since) in self._owed.items() if since < limit]

    async def list(self, kind: str) -> None:
        """Compare the store with the API server: take over what is new, forget what is gone.

        A namespace that went, or in which the rights went, costs that namespace only.
        """
        for namespace in self._namespaces:
            try:
                await self._list((kind, namespace))
            except Forbidden as error:
                if namespace is None:
                    raise
                _logger.warning("namespace %s is left out: %s", namespace, error)

    async def _list(self, stream: Stream) -> None:
        kind, namespace = stream
        newest = max(self._store.newest(kind), self._listed.get(stream, 0))
        listed, found = Listed(), 0
        async for page in self._cluster.pages(kind, namespace):
            listed.version = page.version
            if page.version < newest:
                raise VersionsWentBack(
                    f"the list of {named(stream)} has version {page.version}, and version {newest} is known "
                    "already: etcd was restored from a backup, so everything known is forgotten"
                )
            for item in page.items:
                listed.uids.add(item["metadata"]["uid"])
                if (key := self.take(kind, item)) is not None:
                    found = max(found, int(item["metadata"]["resourceVersion"]))
                    self._wake(key)
        for entry in self._store.missing(kind, namespace, listed):
            self._wake_if(self._store.forget(kind, entry.uid, listed.version))
        if found and stream in self._listed and kind in naming.KINDS:
            self._owed.setdefault(stream, (found, asyncio.get_running_loop().time()))
        self._listed[stream] = listed.version
        if self._store.note_listed(kind, namespace):
            self._wake_all(namespace)

    def _wake_all(self, namespace: str | None) -> None:
        for key in [key for key in self._store.servers if namespace in (None, key[0])]:
            self._wake(key)

    def _wake_if(self, key: Key | None) -> None:
        if key is not None:
            self._wake(key)


def named(stream: Stream) -> str:
    """In a message."""
    kind, namespace = stream
    return f"{kind} in {namespace}" if namespace else kind
