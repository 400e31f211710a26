"""Asks for the Events of pods that wait or ended without saying why: rarely, never for many at a time."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.errors import ApiError
from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.store import Key
from modelserver_operator.observed.waiting import UNKNOWN, cause, end

_PODS, _BETWEEN, _LONGEST = 2, 0.2, 300.0
_LONGEST_OF_END = 16.0
"""An Event that has not come until then will not come."""
_logger = logging.getLogger(__name__)


@dataclass
class _Wait:
    """One pod that waits or has ended."""

    due: float
    pause: float
    text: str = ""
    reason: str = ""
    """Of an end."""


class Waiting:
    """Remembers what was read, for as long as the pods are there."""

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
        """The pods, with what those wait for, and why those ended, that do not say it."""
        pods = tuple(pods)
        silent = [pod for pod in pods if _waits_silently(pod) or _ended_silently(pod)]
        before, now = self._waits.pop(key, {}), self._clock()
        found = {pod.uid: before.get(pod.uid) or self._first(pod, now) for pod in silent}
        if found:
            self._waits[key] = found
        due = [pod for pod in silent if found[pod.uid].due <= now]
        for pod in due[:_PODS]:
            await self._ask(pod, found[pod.uid])
        return tuple(_explained(pod, found.get(pod.uid)) for pod in pods)

    def _first(self, pod: Pod, now: float) -> _Wait:
        # The kubelet says that it ends a pod before it does so.
        return _Wait(now, 1.0) if _ended_silently(pod) else _Wait(now + self._after, self._after)

    async def _ask(self, pod: Pod, wait: _Wait) -> None:
        now = self._clock()
        if now < self._free:
            return
        self._free = now + _BETWEEN
        wait.due, wait.pause = now + wait.pause, min(_LONGEST, 2 * wait.pause)
        is_over = _ended_silently(pod)
        try:
            events = await self._cluster.warnings(pod)
        except ApiError as error:
            _logger.warning("the events of pod %s/%s cannot be read: %s", pod.namespace, pod.name, error)
            wait.text = wait.text or ("" if is_over else UNKNOWN)
            return
        if not is_over:
            wait.text = cause(events)
        elif found := end(events):
            (wait.reason, wait.text), wait.due = found, float("inf")
        elif wait.pause > _LONGEST_OF_END:
            wait.due = float("inf")


def _waits_silently(pod: Pod) -> bool:
    return pod.is_preparing and not pod.waiting and not pod.is_leaving


def _ended_silently(pod: Pod) -> bool:
    return pod.is_failed and pod.crash is not None and not pod.crash.is_explained


def _explained(pod: Pod, wait: _Wait | None) -> Pod:
    if wait is None or not wait.text:
        return pod
    if pod.crash is None or not wait.reason:
        return replace(pod, waiting=wait.text)
    return replace(pod, crash=replace(pod.crash, reason=wait.reason, message=wait.text, is_explained=True))
