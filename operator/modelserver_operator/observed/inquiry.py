"""What is known of one server, and when to ask it next. Times are arguments, in seconds on one clock."""

import hashlib
from dataclasses import dataclass, replace

from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.report import (
    Answer,
    ModelStatus,
    ProbeOutcome,
    Reply,
    ServerStatus,
    read_reply,
)

MISSES = 3
"""A server counts as unreachable after this many failed requests in a row."""
_RETRY, _QUICK, _QUICK_TRIES = 1.0, 5.0, 24


@dataclass(frozen=True)
class Endpoint:
    """Where one process of a server is asked; after a restart it is another one."""

    uid: str
    address: str
    port: int
    process: str


@dataclass(frozen=True)
class Question:
    """What an answer must be about to count: this process, this readiness, this configuration."""

    endpoint: Endpoint
    is_ready: bool
    revision: str
    """The revision that the server should serve."""
    changes: int
    """How often that revision has changed; without it, an answer from before A→B→A would count."""


def endpoint(pod: Pod) -> Endpoint | None:
    """Where to ask the pod's server; None while there is nothing to ask."""
    if not (pod.is_running and pod.address and pod.status_port) or pod.is_leaving:
        return None
    return Endpoint(pod.uid, pod.address, pod.status_port, pod.process)


class Inquiry:
    """The answers of one pod's server."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self._answered: Question | None = None
        self._reply: Reply | None = None
        self._digest = b""
        self._problem = ""
        self._misses = 0
        self._tries = 0
        self._asked_at = float("-inf")

    @property
    def is_silent(self) -> bool:
        """Whether the last request failed."""
        return self._misses > 0

    def known(self) -> Reply | None:
        """The newest reply, the problem after several misses, or None before the first reply."""
        if self._misses >= MISSES:
            return Reply(None, self._problem)
        if self._reply is None or self._answered == self.question:
            return self._reply
        return replace(self._reply, is_current=False)

    def change(self, question: Question) -> bool:
        """Take over a new question; returns whether it is one, so that the server must be asked now."""
        before, self.question = self.question, question
        if question == before:
            return False
        self._tries = 0
        if question.endpoint != before.endpoint:
            self._reply, self._digest = None, b""
        if (question.endpoint, question.is_ready) != (before.endpoint, before.is_ready):
            self._misses = 0
        return True

    def take(self, answer: Answer, now: float) -> ProbeOutcome:
        """Take over what came back for the present question."""
        self._asked_at = now
        before = self.known()
        outcome = self._read(answer)
        self._tries = self._tries + 1 if self.known() == before else 0
        return outcome

    def pause(self, slow: float) -> float:
        """Seconds until it should be asked again; `slow` for a server that serves all it should."""
        if self._misses >= MISSES:
            return min(slow, _QUICK * 2.0 ** min(self._misses - MISSES, 10))
        if self._misses:
            return _RETRY
        if self._tries >= _QUICK_TRIES or self._is_settled():
            return slow
        return min(_QUICK, 2.0 ** min(self._tries, 10))

    def freshen(self, now: float) -> float | None:
        """Seconds until it should be asked because something about its object changed; None: as planned."""
        return None if self._misses else max(0.0, self._asked_at + _QUICK - now)

    def _read(self, answer: Answer) -> ProbeOutcome:
        if answer.outcome is not ProbeOutcome.ANSWERED:
            return self._miss(answer.outcome, answer.problem)
        digest = hashlib.blake2b(answer.document, digest_size=16).digest()
        # Most answers are the same as the one before, and reading costs more than hashing.
        reply = self._reply if digest == self._digest and self._reply else read_reply(answer.document)
        if reply.status is None:
            return self._miss(ProbeOutcome.UNREADABLE, reply.problem)
        self._reply, self._digest = replace(reply, asked_at=self._asked_at), digest
        self._answered, self._misses = self.question, 0
        return ProbeOutcome.ANSWERED

    def _miss(self, outcome: ProbeOutcome, problem: str) -> ProbeOutcome:
        self._misses += 1
        self._problem = problem
        return outcome

    def _is_settled(self) -> bool:
        status = self._reply.status if self._reply and self._answered == self.question else None
        return self.question.is_ready and status is not None and _serves(status, self.question.revision)


def _serves(status: ServerStatus, revision: str) -> bool:
    """Whether it serves everything that is configured, as this revision configures it."""
    return status.revision == revision and all(
        model.revision == revision and not model.error and _is_available(model) for model in status.models
    )


def _is_available(model: ModelStatus) -> bool:
    states = [version.state for version in model.versions if version.wanted]
    return bool(states) and set(states) == {"AVAILABLE"}
