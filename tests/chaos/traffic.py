"""What the operator asks of the API server: each request as the proxy saw it, and what it may be met with."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

_PATH = re.compile(
    r"/(?:api/v1|apis/[^/]+/[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?/(?P<resource>[a-z]+)"
    r"(?:/(?P<name>[^/]+))?(?:/(?P<sub>[a-z]+))?"
)
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
WRITES = frozenset(_VERBS.values())


@dataclass(frozen=True)
class Asked:
    """A request; its verb is the API server's, but for a dry run, which is `try`."""

    verb: str
    resource: str
    namespace: str
    name: str
    at: float
    """Seconds of the monotonic clock."""

    def is_write(self) -> bool:
        """Whether it changes what an object is; a Lease is renewed for ever."""
        return self.verb in WRITES and self.resource != "leases"

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} {self.name}".strip()


@dataclass(frozen=True)
class Seen:
    """A request that has been answered, or lost."""

    asked: Asked
    end: float
    """When."""
    status: int
    """What the operator was answered; 0 for nothing."""
    is_carried_out: bool
    """Whether the API server got it."""


def read(method: str, path: str, query: dict[str, str], at: float) -> Asked:
    found = _PATH.fullmatch(path)
    if found is None:
        return Asked("get", path, "", "", at)
    name, sub = found["name"] or "", found["sub"]
    verb = _VERBS.get(method) or ("watch" if "watch" in query else "get" if name else "list")
    resource = f"{found['resource']}/{sub}" if sub else found["resource"]
    return Asked("try" if "dryRun" in query else verb, resource, found["namespace"] or "", name, at)


class Fault(StrEnum):
    """What becomes of a request."""

    FORBIDDEN = "403"
    CONFLICT = "409"
    GONE = "410"
    INVALID = "422"
    BUSY = "429"
    BROKEN = "500"
    CUT = "cut off"
    """The connection ends, and the API server never got the request."""
    LOST = "answer lost"
    """The connection ends after the API server has carried the request out."""
    NEVER = "never answered"
    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"


class Lines(StrEnum):
    """What becomes of the events of a watch."""

    DROPPED = "dropped"
    DOUBLED = "doubled"
    LATE = "late"
    REPEATED = "repeated late"
    """Once more after other events: a watch of an API server that is behind."""


REASONS = {
    Fault.FORBIDDEN: "Forbidden",
    Fault.CONFLICT: "Conflict",
    Fault.GONE: "Expired",
    Fault.INVALID: "Invalid",
    Fault.BUSY: "TooManyRequests",
    Fault.BROKEN: "InternalError",
}
REFUSAL = "chaos does not want this"


def refusal(fault: Fault) -> dict:
    """The body of a refusal, in the API server's form."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": REFUSAL,
        "reason": REASONS[fault],
        "details": {},
        "code": int(fault.value),
    }


@dataclass
class Rule:
    """Requests that meet a fault while the rule is in force."""

    fault: Fault
    namespace: str
    verbs: frozenset[str]
    resources: frozenset[str] = frozenset()
    """Empty: all but Leases."""
    after: int = 0
    """So many of them are let through first."""
    kill: Callable[[], None] | None = None
    hits: list[Asked] = field(default_factory=list)
    matched: int = 0

    def applies(self, asked: Asked) -> bool:
        """Whether this request meets the fault; counts those that are let through."""
        if asked.namespace != self.namespace or asked.verb not in self.verbs:
            return False
        if asked.resource not in self.resources and (self.resources or asked.resource == "leases"):
            return False
        if self.kill is not None and self.hits:
            return False
        self.matched += 1
        return self.matched > self.after
