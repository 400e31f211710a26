"""Annotates pods whose servers are behind: the kubelet then updates the mounted file now, not within 90 s."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from modelserver_operator.changes.apply import refusal
from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.errors import ApiError, NamespaceEnding
from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.report import Reply, ServerStatus
from modelserver_operator.observed.store import Key

_PAUSES = (15.0, 45.0)
"""Seconds after which a pod whose annotation is right, but whose server is behind, is annotated again. After
the last one the kubelet has updated the file on its own."""
_logger = logging.getLogger(__name__)


@dataclass
class _Nudged:
    """One pod that should serve a revision."""

    due: float
    """When it may be annotated again."""
    count: int = 0
    refused: str = ""


@dataclass
class _Wanted:
    """What the pods of one ModelServer should serve, and the pods that do not yet, by uid."""

    revision: str
    first_due: float
    nudged: dict[str, _Nudged] = field(default_factory=dict)


@dataclass
class Nudger:
    """Remembers which pods it has annotated; `clock` is in seconds."""

    cluster: Cluster
    clock: Callable[[], float]
    _wanted: dict[Key, _Wanted] = field(default_factory=dict)

    async def nudge(
        self, key: Key, pods: Iterable[Pod], revision: str, replies: Mapping[str, Reply]
    ) -> tuple[str, ...]:
        """Annotate the pods that need it; returns a sentence for each that the API server refused."""
        wanted = self._want(key, revision)
        before, wanted.nudged = wanted.nudged, {}
        for pod in pods:
            reply = replies.get(pod.uid)
            if reply is None or reply.status is None or not _needs(pod, reply.status, revision):
                continue
            nudged = wanted.nudged[pod.uid] = before.get(pod.uid) or _Nudged(wanted.first_due)
            if self._is_due(pod, reply, revision, nudged):
                await self._annotate(pod, revision, nudged)
        return tuple(nudged.refused for nudged in wanted.nudged.values() if nudged.refused)

    def forget(self, key: Key) -> None:
        """The ModelServer is gone."""
        self._wanted.pop(key, None)

    def _want(self, key: Key, revision: str) -> _Wanted:
        before = self._wanted.get(key)
        if before is None:
            # The age of annotations that an earlier process made is unknown, so it counts from now.
            self._wanted[key] = _Wanted(revision, self.clock() + _PAUSES[0])
        elif before.revision != revision:
            self._wanted[key] = _Wanted(revision, self.clock())
        return self._wanted[key]

    def _is_due(self, pod: Pod, reply: Reply, revision: str, nudged: _Nudged) -> bool:
        if not nudged.count and pod.revision_annotation != revision:
            return not nudged.refused or self.clock() >= nudged.due
        return reply.is_current and nudged.count <= len(_PAUSES) and self.clock() >= nudged.due

    async def _annotate(self, pod: Pod, revision: str, nudged: _Nudged) -> None:
        pause = _PAUSES[min(nudged.count, len(_PAUSES) - 1)]
        try:
            if pod.revision_annotation == revision:
                # Writing the same value again would change nothing, and the kubelet would not notice.
                await self.cluster.nudge(pod, "")
            await self.cluster.nudge(pod, revision)
        except NamespaceEnding:
            raise
        except ApiError as error:
            is_refusal = 400 <= error.status < 500 and error.status != 429
            nudged.refused = refusal("annotate", f"Pod {pod.name}", error) if is_refusal else ""
            _logger.warning("pod %s/%s could not be annotated: %s", pod.namespace, pod.name, error)
        else:
            nudged.refused = ""
            nudged.count += 1
        nudged.due = self.clock() + pause


def _needs(pod: Pod, status: ServerStatus, revision: str) -> bool:
    """Whether the server is behind, or its pod still names another revision, which may yet arrive."""
    return status.revision != revision or pod.revision_annotation not in {"", revision}
