"""Watches every kind from where its list ended, so that nothing is listed twice and nothing is missed.

A watch that ends goes on from the last resourceVersion that it reported. After an error its kind is listed
again first: that version may be too old to go on from, or from a time that a restored etcd does not know.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.controller.relist import Relist, Stream, named
from modelserver_operator.errors import ApiError

_PAUSES = (0.1, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0)
"""Seconds until a watch is opened again, by the failures in a row; the last for ever: a namespace that lost
its Role must not stop others."""
_SHORT_SECONDS = 1.0
"""A watch that ends sooner is not opened again immediately: an API server that ends each would be asked
without a pause."""
_BOOKMARK = "BOOKMARK"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Watches:
    """One task for each kind, and for each namespace if they are named."""

    cluster: Cluster
    relist: Relist
    seen: Callable[[str, str, Mapping[str, Any]], None]
    """Called with the kind, the change (ADDED, MODIFIED or DELETED), and the object."""

    async def follow(self, stream: Stream) -> None:
        """Report what happens to the objects of one stream, forever."""
        failures, loop = 0, asyncio.get_running_loop()
        version = self.relist.version(stream)
        while True:
            begun = loop.time()
            try:
                if failures or not version:
                    version = await self.relist.again(stream)
                async for event in self.cluster.watch(*stream, version):
                    version, failures = self._take(stream, event), 0
            except ApiError as error:
                failures += 1
                _logger.warning("the watch of %s broke: %s", named(stream), error)
            is_short = loop.time() - begun < _SHORT_SECONDS
            await asyncio.sleep(_PAUSES[min(max(failures, is_short), len(_PAUSES) - 1)])

    def _take(self, stream: Stream, event: Mapping[str, Any]) -> int:
        """Returns the version up to which everything is known now."""
        version = int(event["object"]["metadata"]["resourceVersion"])
        if event["type"] != _BOOKMARK:
            self.seen(stream[0], event["type"], event["object"])
        self.relist.heard(stream, version)
        return version
