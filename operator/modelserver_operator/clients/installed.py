"""The CRD as the cluster has it: it may be of another version than the operator."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from modelserver_operator.api.crd import crd
from modelserver_operator.api.schema import UPGRADE, Schema, lacking, published, without_unknown
from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.errors import ApiError

_AGAIN_SECONDS = 15.0
_AFTER_REFUSAL = 10.0
_logger = logging.getLogger(__name__)


@cache
def own_schema() -> Schema:
    """The schema that this operator generates."""
    schema: Schema = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


class InstalledCrd:
    """What it lacks: read at the start, when a status is refused, and often while it lacks anything."""

    def __init__(self, cluster: Cluster, clock: Callable[[], float] = time.monotonic) -> None:
        self._cluster = cluster
        self._clock = clock
        self._read = float("-inf")
        self._schema: Schema | None = None
        self.lacks: tuple[str, ...] = ()
        """Fields that this operator has and the CRD has not; empty also while the CRD cannot be read."""

    async def refresh(self) -> None:
        """Read it now."""
        self._read = self._clock()
        try:
            schema = published(await self._cluster.schemas())
        except ApiError as error:
            _logger.warning("the schema of the CRD cannot be read: %s", error)
            return
        if schema is None:
            return
        lacks = tuple(lacking(schema, own_schema()))
        if lacks and lacks != self.lacks:
            _logger.warning(
                "the CRD in the cluster is older than this operator: it lacks %s; these fields are dropped. "
                "Upgrade it: %s",
                ", ".join(lacks),
                UPGRADE,
            )
        self._schema, self.lacks = schema, lacks

    async def refresh_after_refusal(self) -> None:
        """Look whether the CRD is why a status was refused; once for all that are refused together."""
        if self._clock() - self._read > _AFTER_REFUSAL:
            await self.refresh()

    async def watch(self, wake: Callable[[], None]) -> None:
        """Notice an upgrade of the CRD: all objects are woken, because no event comes for any of them."""
        while True:
            await asyncio.sleep(_AGAIN_SECONDS)
            before = self.lacks
            if before:
                await self.refresh()
            if self.lacks != before:
                wake()

    def fitting(self, status: Mapping[str, Any]) -> dict[str, Any]:
        """The part of a status that the CRD knows."""
        if not self.lacks or self._schema is None:
            return dict(status)
        fitted: dict[str, Any] = without_unknown(status, self._schema["properties"]["status"])
        return fitted
