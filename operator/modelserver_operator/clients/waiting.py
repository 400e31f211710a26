"""Asks for the Events of pods that wait without saying why: late, rarely, and never for many at a time."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.errors import ApiError
from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.store import Key
from modelserver_operator.observed.waiting import UNKNOWN, cause

_PODS, _BETWEEN, _LONGEST = 2, 0.2, 300.0
_logger = logging.getLogger(__name__)


@dataclass
class _Wait:
    """One pod that waits."""

    due: float
    pause: float
    text: str = ""


class Waiting:
    """Remembers what was read, for as long as the pods wait."""

    def __init__(
        self, cluster: Cluster, clock: Callable[[], float] = time.monotonic, after: float = 15.0
    ) -> None:
        """`after`: the seconds until the Events of a pod that waits are read; then they double."""
        self._cluster = cluster
        self._clock = clock
        self._after = after
        self._waits: dict[Key, dict[str, _Wait]] = {}
        self._free = 0.0

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._waits.pop(key, None)

    async def explain(self, key: Key, pods: Iterable[Pod]) -> tuple[Pod, ...]:
        """The pods, with what those wait for that do not say it."""
        pods = tuple(pods)
        silent = [pod for pod in pods if pod.is_preparing and not pod.waiting and not pod.is_leaving]
        before, now = self._waits.pop(key, {}), self._clock()
        found = {pod.uid: before.get(pod.uid) or _Wait(now + self._after, self._after) for pod in silent}
        if found:
            self._waits[key] = found
        due = [pod for pod in silent if found[pod.uid].due <= now]
        for pod in due[:_PODS]:
            await self._ask(pod, found[pod.uid])
        return tuple(
            replace(pod, waiting=found[pod.uid].text) if pod.uid in found and found[pod.uid].text else pod
            for pod in pods
        )

    async def _ask(self, pod: Pod, wait: _Wait) -> None:
        now = self._clock()
        if now < self._free:
            return
        self._free = now + _BETWEEN
        wait.due, wait.pause = now + wait.pause, min(_LONGEST, 2 * wait.pause)
        try:
            wait.text = cause(await self._cluster.warnings(pod))
        except ApiError as error:
            _logger.warning("the events of pod %s/%s cannot be read: %s", pod.namespace, pod.name, error)
            wait.text = wait.text or UNKNOWN
