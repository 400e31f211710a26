"""Looks every minute for what others aim at our objects: scalers, and budgets over our pods.

A watch would cost an event for every HorizontalPodAutoscaler of the cluster several times a minute.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping

from modelserver_operator import naming
from modelserver_operator.clients.kubernetes import Cluster, Raw
from modelserver_operator.clients.scaling.apis import Apis
from modelserver_operator.errors import ApiError, Forbidden, NotFound
from modelserver_operator.observed.scaling.budgets import Budget, read_budget
from modelserver_operator.observed.scaling.foreign import aim
from modelserver_operator.observed.store import Key, Store

PAUSE_SECONDS = 60.0
_SCALERS = (naming.HPA, naming.SCALED_OBJECT, naming.VPA)
_logger = logging.getLogger(__name__)


class OthersPoll:
    """Keeps `store.aimed` and `store.budgets`, and wakes the objects for which they change."""

    def __init__(
        self,
        cluster: Cluster,
        apis: Apis,
        store: Store,
        wake: Callable[[Key], None],
        namespaces: tuple[str, ...],
    ) -> None:
        self._cluster = cluster
        self._apis = apis
        self._store = store
        self._wake = wake
        self._namespaces = namespaces or (None,)
        self._found: dict[str, Mapping[Key, frozenset[str]]] = {}

    async def run(self) -> None:
        """Forever; the first look was before the first pass."""
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            await self.look()

    async def look(self) -> None:
        """What cannot be listed stays as it was: it costs nothing else."""
        for kind in _SCALERS:
            try:
                self._found[kind] = await self._scalers(kind)
            except ApiError as error:
                _logger.warning("%s of others could not be listed: %s", kind, error)
        budgets = self._store.budgets
        try:
            budgets = await self._budgets()
        except ApiError as error:
            _logger.warning("%s of others could not be listed: %s", naming.BUDGET, error)
        self._take(self._merged(), budgets)

    def _take(self, aimed: Mapping[Key, frozenset[str]], budgets: Mapping[str, tuple[Budget, ...]]) -> None:
        before, budgets_before = self._store.aimed, self._store.budgets
        self._store.aimed, self._store.budgets = aimed, budgets
        for key in list(self._store.servers):
            is_aimed = before.get(key) != aimed.get(key)
            if is_aimed or budgets_before.get(key[0]) != budgets.get(key[0]):
                self._wake(key)

    def _merged(self) -> dict[Key, frozenset[str]]:
        merged: defaultdict[Key, frozenset[str]] = defaultdict(frozenset)
        for found in self._found.values():
            for key, names in found.items():
                merged[key] |= names
        return dict(merged)

    async def _scalers(self, kind: str) -> dict[Key, frozenset[str]]:
        found: defaultdict[Key, frozenset[str]] = defaultdict(frozenset)
        for body in await self._list(kind):
            target, metadata = aim(kind, body), body["metadata"]
            if target is not None and not naming.is_ours(metadata):
                found[metadata["namespace"], target[1]] |= {f"{kind}/{metadata['name']}"}
        return dict(found)

    async def _budgets(self) -> dict[str, tuple[Budget, ...]]:
        found: defaultdict[str, tuple[Budget, ...]] = defaultdict(tuple)
        for body in await self._list(naming.BUDGET):
            if (budget := read_budget(body)) is not None:
                found[body["metadata"]["namespace"]] += (budget,)
        return dict(found)

    async def _list(self, kind: str) -> list[Raw]:
        if kind not in naming.KINDS and not await self._apis.served([kind]):
            return []
        items: list[Raw] = []
        for namespace in self._namespaces:
            try:
                async for page in self._cluster.pages(kind, namespace, of_others=True):
                    items += page.items
            except NotFound:
                self._apis.forget(kind)
            except Forbidden as error:
                if namespace is None:
                    raise
                _logger.warning("namespace %s is left out: %s", namespace, error)
        return items
