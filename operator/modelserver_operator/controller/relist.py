"""Lists the watched kinds: once at the start, then each in turn, and right away when a watch broke."""

import asyncio
import itertools
import logging
from collections.abc import Callable, Mapping
from typing import Any

from modelserver_operator import naming
from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.errors import ApiError, Forbidden, VersionsWentBack
from modelserver_operator.observed.store import Key, Listed, Store
from modelserver_operator.settings import Settings

_GATHER_SECONDS = 2.0
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
        self._wake = wake
        self._namespaces = settings.namespaces or (None,)
        self._pause = settings.relist_seconds / len(_KINDS)
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._queued: set[str] = set()
        self._seen: dict[str, set[str]] = {kind: set() for kind in _KINDS}
        self._listed: dict[Stream, int] = {}
        self._owed: dict[Stream, tuple[int, float]] = {}
        """What a list showed before its watch did: the resourceVersion, and since when."""

    async def run(self) -> None:
        """List one kind after the other forever; queued kinds go first."""
        kinds = itertools.cycle(_KINDS)
        while True:
            for kind in await self._gather() or [next(kinds)]:
                self._queued.discard(kind)
                try:
                    await self.list(kind)
                except ApiError as error:
                    _logger.warning("a kind could not be listed: %s", error)

    async def _gather(self) -> list[str]:
        """The queued kinds, a moment after the first of them; none after a pause without any."""
        try:
            found = [await asyncio.wait_for(self._queue.get(), self._pause)]
        except TimeoutError:
            return []
        await asyncio.sleep(_GATHER_SECONDS)
        while not self._queue.empty():
            found.append(self._queue.get_nowait())
        return found

    def notice(self, kind: str, change: str | None, metadata: Mapping[str, Any]) -> None:
        """Queue all kinds when kopf lists one again: its watch broke, and no event reports what was deleted.

        A kind without objects gets no event at all, so one broken watch puts all kinds in the queue; so does
        an event where a list was refused at the start, because the right to list may be back.
        """
        stream = (kind, metadata["namespace"] if self._namespaces != (None,) else None)
        if int(metadata["resourceVersion"]) >= self._owed.get(stream, (0, 0.0))[0]:
            self._owed.pop(stream, None)
        uid, seen = metadata["uid"], self._seen[kind]
        if change == "DELETED":
            seen.discard(uid)
        elif change is None and uid in seen:
            self._enqueue_all(kind)
        else:
            seen.add(uid)
        if not self._store.is_complete(metadata["namespace"]):
            self._enqueue_all(kind)

    def heard(self) -> int:
        """The number of objects of which an event is remembered."""
        return sum(map(len, self._seen.values()))

    def silent(self, seconds: float) -> list[str]:
        """The watches that for this time have not reported what a list found."""
        limit = asyncio.get_running_loop().time() - seconds
        return [_name(stream) for stream, (_, since) in self._owed.items() if since < limit]

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
        known = self._store.uids(kind)
        self._seen[kind] = {uid for uid in self._seen[kind] if uid in known}

    async def _list(self, stream: Stream) -> None:
        kind, namespace = stream
        newest = max(self._store.newest(kind), self._listed.get(stream, 0))
        listed, found = Listed(), 0
        async for page in self._cluster.pages(kind, namespace):
            listed.version = page.version
            if page.version < newest:
                raise VersionsWentBack(
                    f"the list of {_name(stream)} has version {page.version}, and version {newest} is known "
                    "already: etcd was restored from a backup, so everything known is forgotten"
                )
            for item in page.items:
                listed.uids.add(item["metadata"]["uid"])
                if (key := self._store.put(kind, item)) is not None:
                    found = max(found, int(item["metadata"]["resourceVersion"]))
                    self._wake(key)
        for entry in self._store.missing(kind, namespace, listed):
            self._wake_if(self._store.forget(kind, entry.uid, listed.version))
        if found and stream in self._listed:
            self._owed.setdefault(stream, (found, asyncio.get_running_loop().time()))
        self._listed[stream] = listed.version
        if self._store.note_listed(kind, namespace):
            for key in self._store.servers:
                if namespace in (None, key[0]):
                    self._wake(key)

    def _enqueue_all(self, first: str) -> None:
        for kind in (first, *_KINDS):
            self._enqueue(kind)

    def _enqueue(self, kind: str) -> None:
        if kind not in self._queued:
            self._queued.add(kind)
            self._queue.put_nowait(kind)

    def _wake_if(self, key: Key | None) -> None:
        if key is not None:
            self._wake(key)


def _name(stream: Stream) -> str:
    kind, namespace = stream
    return f"{kind} in {namespace}" if namespace else kind
