"""Which of the APIs that not every cluster has are served: asked when somebody needs them, now and then."""

import logging
import time
from collections.abc import Callable, Iterable

from modelserver_operator import naming
from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.errors import ApiError

_MISSING_SECONDS, _SERVED_SECONDS, _FAILED_SECONDS = 60.0, 600.0, 5.0
_logger = logging.getLogger(__name__)


class Apis:
    """The answers, for a minute where an API is missing and ten where it is served."""

    def __init__(self, cluster: Cluster, clock: Callable[[], float] = time.monotonic) -> None:
        self._cluster = cluster
        self._clock = clock
        self._versions: dict[str, str] = {}
        self._asked: dict[str, float] = {}
        self.failed: dict[str, str] = {}
        """Of kinds that were never answered for: why not. Whether they are served is not known."""

    async def served(self, kinds: Iterable[str]) -> dict[str, str]:
        """The apiVersion of each of these kinds that is served; an answer that is old is asked for again."""
        found = {}
        for kind in kinds:
            if self._is_old(kind):
                await self._ask(kind)
            if version := self._versions.get(kind):
                found[kind] = f"{self._cluster.places[kind].group}/{version}"
        return found

    def lacks(self, kind: str) -> bool:
        """Whether the API server has answered that it does not serve this kind."""
        return self._versions.get(kind) == ""

    def forget(self, kind: str) -> None:
        """It was not there: ask again."""
        self._asked.pop(kind, None)

    def _is_old(self, kind: str) -> bool:
        limit = _SERVED_SECONDS if self._versions.get(kind) else _MISSING_SECONDS
        limit = _FAILED_SECONDS if kind in self.failed else limit
        return self._clock() - self._asked.get(kind, float("-inf")) > limit

    async def _ask(self, kind: str) -> None:
        self._asked[kind] = self._clock()
        place = (naming.OPTIONAL | naming.NEVER_OURS)[kind]
        try:
            version = await self._cluster.served_version(place)
        except ApiError as error:
            _logger.warning("whether the API server serves %s is not known: %s", kind, error)
            if kind not in self._versions:
                self.failed[kind] = error.cause
            return
        self.failed.pop(kind, None)
        if version != self._versions.get(kind, ""):
            _logger.info("%s is %s", kind, f"served as {place.group}/{version}" if version else "not served")
        self._versions[kind] = version
        if version:
            self._cluster.places[kind] = place._replace(version=version)
