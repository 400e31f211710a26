"""Lists the watched kinds: once at the start, then each in turn, and right away when a watch broke."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable

from modelserver_operator import naming
from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.errors import ApiError
from modelserver_operator.observed.store import Key, Listed, Store
from modelserver_operator.settings import Settings

_GATHER_SECONDS = 2.0
_KINDS = tuple(naming.KINDS)
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
        self._seen: set[str] = set()

    async def run(self) -> None:
        """List one kind after the other forever; queued kinds go first."""
        kinds = itertools.cycle(_KINDS)
        while True:
            kind = ""
            with contextlib.suppress(TimeoutError):
                kind = await asyncio.wait_for(self._queue.get(), self._pause)
                await asyncio.sleep(_GATHER_SECONDS)
            self._queued.discard(kind)
            try:
                await self.list(kind or next(kinds))
            except ApiError as error:
                _logger.warning("a kind could not be listed: %s", error)

    def notice(self, kind: str, change: str | None, uid: str) -> None:
        """Queue all kinds when kopf lists one again: its watch broke, and no event reports what was deleted.

        A kind without objects gets no event at all, so one broken watch puts all kinds in the queue.
        """
        if change == "DELETED":
            self._seen.discard(uid)
        elif change is None and uid in self._seen:
            for each in (kind, *_KINDS):
                self._enqueue(each)
        else:
            self._seen.add(uid)

    async def list(self, kind: str) -> None:
        """Compare the store with the API server: take over what is new, forget what is gone."""
        for namespace in self._namespaces:
            listed = Listed()
            async for page in self._cluster.pages(kind, namespace):
                listed.version = page.version
                for item in page.items:
                    listed.uids.add(item["metadata"]["uid"])
                    self._wake_if(self._store.put(kind, item))
            for entry in self._store.missing(kind, namespace, listed):
                self._wake_if(self._store.forget(kind, entry.namespace, entry.uid))

    def _enqueue(self, kind: str) -> None:
        if kind not in self._queued:
            self._queued.add(kind)
            self._queue.put_nowait(kind)

    def _wake_if(self, key: Key | None) -> None:
        if key is not None:
            self._wake(key)
