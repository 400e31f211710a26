"""Who writes where.

A cluster-wide installation holds one Lease, a namespaced one holds one in each of its namespaces. A
cluster-wide leader leaves a namespace alone while a namespaced installation holds the Lease there, and for
as long again: a successor of its own comes first. It knows these Leases from a watch.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from modelserver_operator import naming
from modelserver_operator.clients.kubernetes import Event
from modelserver_operator.clients.lease import Lease, clock
from modelserver_operator.errors import ApiError, NotLeading

Raw = Mapping[str, Any]
_LOOK_SECONDS = 0.25
_READ_SECONDS, _READ_TIMEOUT = 1.0, 5.0
"""Between two lists of Leases, and for one."""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Claim:
    """A namespaced installation's Lease, as a cluster-wide one sees it."""

    holder: str
    metadata: Raw
    """Namespace, name and uid of the Lease."""
    renewed: str
    moved: float
    """When it was last seen to change."""
    duration: float
    is_over: bool = False
    """Whether a list has confirmed that it was not renewed."""

    def is_in_force(self, now: float) -> bool:
        """Whether its holder, or a successor of the same installation, may still write."""
        return now - self.moved < 2 * self.duration


@dataclass(frozen=True)
class Situation:
    """What is said about one namespace's Lease."""

    text: str
    event: Event | None = None
    metadata: Raw | None = None


class Leadership:
    """The Leases of this process, and those that it respects."""

    def __init__(self, leases: Sequence[Lease], *, is_cluster_wide: bool) -> None:
        self.leases = tuple(leases)
        self._everywhere = leases[0] if is_cluster_wide else None
        self._by_namespace = {lease.namespace: lease for lease in leases}
        self._claims: dict[str, Claim] = {}
        self._read_at = float("-inf")
        self._turned_away: set[str] = set()
        """Namespaces in which an object had no pass because this process must not write there."""

    def leads(self, namespace: str) -> bool:
        """Whether this process may write there now."""
        if self._everywhere is None:
            lease = self._by_namespace.get(namespace)
            return lease is not None and lease.may_write()
        return self._everywhere.may_write() and self._claim(namespace) is None

    def check(self, namespace: str) -> None:
        """Raise NotLeading unless this process may write there now."""
        if not self.leads(namespace):
            raise NotLeading(f"another operator may be writing in {namespace}")

    def turn_away(self, namespace: str) -> None:
        """An object there gets no pass now; all are woken when this process may write there."""
        self._turned_away.add(namespace)

    def seen(self, change: str | None, body: Raw) -> None:
        """An event of a Lease of any installation."""
        metadata, spec = body["metadata"], body.get("spec") or {}
        namespace = metadata["namespace"]
        if self._everywhere is None or namespace == self._everywhere.namespace:
            return
        before = self._claims.get(namespace)
        if change == "DELETED":
            self._claims.pop(namespace, None)
            return
        holder = spec.get("holderIdentity") or (before.holder if before else "")
        renewed = f"{spec.get('renewTime')} {spec.get('holderIdentity')}"
        if holder and (before is None or before.renewed != renewed):
            duration = float(spec.get("leaseDurationSeconds") or self._everywhere.terms.duration)
            about = {name: metadata[name] for name in ("namespace", "name", "uid")}
            self._claims[namespace] = Claim(holder, about, renewed, clock(), duration)

    def problem(self) -> str:
        """Why this process is not ready: whose Lease it met, or why it reads none; empty when it is."""
        foreign = [lease for lease in self.leases if lease.is_foreign()]
        if foreign:
            return "; ".join(f"the Lease in {lease.namespace} is held by {lease.holder}" for lease in foreign)
        if all(lease.problem for lease in self.leases):
            return "; ".join(f"no Lease in {lease.namespace}: {lease.problem}" for lease in self.leases)
        return ""

    async def run(
        self,
        wake: Callable[[], None],
        tell: Callable[[Event, Raw], Awaitable[None]],
        read: Callable[[], Awaitable[list[Raw]]],
    ) -> None:
        """Log and tell what changes, and wake all objects whenever this process may write elsewhere.

        `read` lists the Leases of all installations.
        """
        before: dict[str, Situation] = {}
        wrote: object = None
        while True:
            await self._confirm(read)
            now, writes = self._situations(), self._writes()
            back = {namespace for namespace in self._turned_away if self.leads(namespace)}
            self._turned_away -= back
            if back or writes != wrote:
                wake()
            for namespace, situation in now.items():
                if situation != before.get(namespace):
                    await _say(namespace, situation, tell)
            before, wrote = now, writes
            await asyncio.sleep(_LOOK_SECONDS)

    async def _confirm(self, read: Callable[[], Awaitable[list[Raw]]]) -> None:
        """List the Leases once a claim has expired: the watch may have missed a renewal."""
        now = clock()
        expired = [
            name for name, claim in self._claims.items() if not (claim.is_over or claim.is_in_force(now))
        ]
        if not expired or now < self._read_at + _READ_SECONDS:
            return
        self._read_at = now
        try:
            async with asyncio.timeout(_READ_TIMEOUT):
                found = await read()
        except (ApiError, TimeoutError) as error:
            problem = str(error) or "no answer in time"
            _logger.warning("the Leases of other installations cannot be listed: %s", problem)
            return
        for body in found:
            self.seen(None, body)
        for name in expired:
            claim = self._claims.get(name)
            if claim is not None and not claim.is_in_force(now):
                self._claims[name] = replace(claim, is_over=True)

    def _writes(self) -> object:
        """Where this process may write."""
        return (
            [lease.may_write() for lease in self.leases],
            {namespace for namespace in self._claims if self._claim(namespace)},
        )

    def _claim(self, namespace: str) -> Claim | None:
        claim = self._claims.get(namespace)
        return claim if claim is not None and not claim.is_over else None

    def _situations(self) -> dict[str, Situation]:
        found = {lease.namespace: _situation(lease) for lease in self.leases if lease.is_known()}
        if self._everywhere is not None and self._everywhere.is_held():
            for namespace in self._claims:
                if claim := self._claim(namespace):
                    found[namespace] = _left(claim, self._everywhere)
        return found


def _situation(lease: Lease) -> Situation:
    if lease.is_held():
        return Situation("this operator writes" if lease.may_write() else "this operator will write soon")
    if lease.problem:
        return Situation(f"the Lease cannot be held: {lease.problem}")
    if not lease.is_foreign():
        return Situation("another pod of this installation writes" if lease.holder else "nobody writes")
    text = (
        f"{lease.terms.identity} does not write here: {lease.holder}, of another installation, holds the "
        f"Lease {lease.namespace}/{naming.LEASE}. Uninstall one of the two, or let them watch different "
        "namespaces."
    )
    return Situation(text, Event("LeaseHeldByOther", text, is_warning=True), lease.metadata)


def _left(claim: Claim, own: Lease) -> Situation:
    text = f"{own.terms.identity} leaves this namespace to {claim.holder}, which holds the Lease in it"
    return Situation(text, Event("NamespaceLeft", text), claim.metadata)


async def _say(namespace: str, situation: Situation, tell: Callable[[Event, Raw], Awaitable[None]]) -> None:
    is_warning = situation.event is not None and situation.event.is_warning
    _logger.log(
        logging.WARNING if is_warning else logging.INFO, "namespace %s: %s", namespace, situation.text
    )
    if situation.event is not None and situation.metadata is not None:
        await tell(situation.event, situation.metadata)
