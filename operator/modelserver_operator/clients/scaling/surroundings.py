"""What a pass needs to know about scaling before it renders: gathered from the store and a few requests."""

import secrets
from collections.abc import Hashable, Mapping
from dataclasses import replace

from modelserver_operator import naming
from modelserver_operator.api import ModelServer
from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.clients.scaling.apis import Apis
from modelserver_operator.clients.scaling.others import Others
from modelserver_operator.desired import Surroundings
from modelserver_operator.desired.scaling.wish import scaler_kind
from modelserver_operator.errors import ApiError
from modelserver_operator.observed.child import Child, read_child
from modelserver_operator.observed.facts import Snapshot
from modelserver_operator.observed.scaling.budgets import selecting
from modelserver_operator.observed.scaling.facts import Scaling
from modelserver_operator.observed.scaling.foreign import DEPLOYMENT, Foreign
from modelserver_operator.observed.scaling.report import HpaReport, ScaledObjectReport
from modelserver_operator.observed.store import Key, Store

_KEY_BYTES = 24


class Gatherer:
    """Asks for what no watch reports."""

    def __init__(self, cluster: Cluster, store: Store, scale_url: str) -> None:
        """`scale_url`: where KEDA reaches the operator."""
        self._cluster = cluster
        self._store = store
        self._scale_url = scale_url
        self.apis = Apis(cluster)
        self._others = Others(cluster, self.apis)

    async def look(self, server: ModelServer) -> tuple[Surroundings, Scaling]:
        """What the cluster decides about an object's scaling, and what is known of it."""
        wanted, known = _optional(server), self._known(server)
        served = await self.apis.served(sorted(wanted | known))
        unread = [text for kind in sorted(wanted | known) if (text := await self._try(kind, server, served))]
        missing = frozenset(kind for kind in wanted if self.apis.lacks(kind))
        seen = self._store.snapshot((server.namespace, server.name))
        scaling = await self._scaling(server, seen)
        is_changing = _is_changing(server, seen)
        around = Surroundings(
            scale_url=self._scale_url,
            key=_key(scaling) or (secrets.token_urlsafe(_KEY_BYTES) if _needs_key(server, served) else ""),
            api_versions=tuple(sorted(served.items())),
            waits=is_changing or any(item.changes_replicas for item in scaling.foreign),
            budget=selecting(server, self._store.budgets.get(server.namespace, ())),
        )
        unread += scaling.unread
        return around, replace(scaling, missing=missing, is_changing=is_changing, unread=tuple(unread))

    async def _try(self, kind: str, server: ModelServer, served: dict[str, str]) -> str:
        """Why a child cannot be read; empty when it was. One that is not known is not written then."""
        key = (server.namespace, server.name)
        if cause := self.apis.failed.get(kind):
            return f"whether the API server serves {kind} cannot be read: {cause}"
        was_known = self._knows(kind, key)
        try:
            await self.read(kind, key, is_served=kind in served)
        except ApiError as error:
            if not self._knows(kind, key):
                served.pop(kind, None)
            return f"{kind} {server.name} cannot be read: {error.cause}"
        if was_known and not self._knows(kind, key):
            await self._ask_again(kind, served)
        return ""

    def _knows(self, kind: str, key: Key) -> bool:
        return (kind, key[1]) in self._store.snapshot(key).children

    async def _ask_again(self, kind: str, served: dict[str, str]) -> None:
        """A child that has vanished may have gone with its API, or with this version of it."""
        self.apis.forget(kind)
        now = await self.apis.served([kind])
        served.pop(kind, None)
        served.update(now)

    async def read(self, kind: str, key: Key, *, is_served: bool = True) -> None:
        """Take over an optional child as it is now; nothing watches it."""
        namespace, name = key
        body = await self._cluster.get(kind, namespace, name) if is_served else None
        if body is not None:
            self._store.put_child(read_child(kind, body))
        elif (child := self._store.snapshot(key).children.get((kind, name))) is not None:
            self._store.forget(kind, child.uid, int(child.resource_version))

    async def read_scaler(self, key: Key) -> None:
        """The same for KEDA's object."""
        if await self.apis.served([naming.SCALED_OBJECT]):
            await self.read(naming.SCALED_OBJECT, key)

    def refused(self) -> None:
        """A write of an optional child was refused: its API may have gone."""
        for kind in naming.OPTIONAL:
            self.apis.forget(kind)

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._others.forget(key)

    def _known(self, server: ModelServer) -> set[str]:
        children = self._store.snapshot((server.namespace, server.name)).children
        return {kind for kind, _ in children if kind in naming.OPTIONAL}

    async def _scaling(self, server: ModelServer, seen: Snapshot) -> Scaling:
        scaling = _reports(server, seen)
        sign = self._sign(server, seen, scaling)
        if sign is None:
            return scaling
        try:
            return replace(scaling, foreign=await self._others.of(server, sign))
        except ApiError as error:
            unread = f"whether another autoscaler is there cannot be read: {error.cause}"
            return replace(scaling, foreign=self._others.last(server), unread=(unread,))

    def _sign(self, server: ModelServer, seen: Snapshot, scaling: Scaling) -> Hashable | None:
        """Something that changes when there may be a scaler of others; None while there is none."""
        body = self._store.servers.get((server.namespace, server.name)) or {"metadata": {}}
        rollout = seen.rollout(server)
        aimed = self._store.aimed.get((server.namespace, server.name), frozenset())
        traces = (body["metadata"].get("scaledBy", ()), rollout.scaled_by if rollout else (), aimed)
        if server.spec.autoscaling is not None:
            is_ambiguous = scaling.hpa is not None and scaling.hpa.is_ambiguous
            return ("scaled", *traces, is_ambiguous)
        return ("free", *traces, server.generation) if any(traces) else None


def followed(server: ModelServer, scaling: Scaling, seen: Snapshot) -> ModelServer:
    """The object with the replicas that a scaler of others has given its Deployment, where there is one.

    Otherwise the operator and that scaler would change them back and forth.
    """
    rollout = seen.rollout(server)
    if rollout is None or not any(_scales_deployment(item) for item in scaling.foreign):
        return server
    return replace(server, spec=server.spec.model_copy(update={"replicas": rollout.wished}))


def _scales_deployment(foreign: Foreign) -> bool:
    return foreign.target == DEPLOYMENT and foreign.changes_replicas


def _optional(server: ModelServer) -> set[str]:
    wanted = {scaler_kind(server.spec)} & naming.OPTIONAL.keys()
    return wanted | ({naming.CAPACITY_BUFFER} if server.spec.headroom is not None else set())


def _reports(server: ModelServer, seen: Snapshot) -> Scaling:
    """Of our own scaler, and of the HorizontalPodAutoscaler that KEDA made of it."""
    reports = [child.report for _, child in sorted(seen.children.items()) if _is_scaler(server, child)]
    hpas = [item for item in reports if isinstance(item, HpaReport)]
    scaled = [item for item in reports if isinstance(item, ScaledObjectReport)]
    return Scaling(hpas[0] if hpas else None, scaled[0] if scaled else None)


def _is_scaler(server: ModelServer, child: Child) -> bool:
    return child.kind in naming.SCALERS and (child.owner_uid == server.uid or child.name != server.name)


def _needs_key(server: ModelServer, served: Mapping[str, str]) -> bool:
    return scaler_kind(server.spec) == naming.SCALED_OBJECT and naming.SCALED_OBJECT in served


def _key(scaling: Scaling) -> str:
    return scaling.scaled_object.key if scaling.scaled_object else ""


def _is_changing(server: ModelServer, seen: Snapshot) -> bool:
    """Whether a scaler of ours of the other kind is there, or what KEDA made of it; the wanted one waits."""
    kind = scaler_kind(server.spec)
    names = {child.name for child in seen.children.values() if child.kind == naming.HPA}
    if kind == naming.SCALED_OBJECT:
        return server.name in names
    is_kedas = bool(names - {server.name})  # KEDA calls it keda-hpa-NAME
    return bool(kind) and (is_kedas or (naming.SCALED_OBJECT, server.name) in seen.children)
