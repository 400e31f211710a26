"""`modelserver-operator plan FILE`: what applying a file would change in the cluster. It only reads."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from modelserver_operator import naming
from modelserver_operator.api import KIND, UPGRADE_ANNOTATION, ModelServer, parse
from modelserver_operator.changes.breaker import applied, digest, measures
from modelserver_operator.changes.in_place import replaces_in_place
from modelserver_operator.changes.keeping import read_history
from modelserver_operator.changes.plan import Change, Observed, Plan, Why, covers, plan
from modelserver_operator.changes.templates import Choice, History, choose
from modelserver_operator.clients.installed import own_schema
from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.clients.nodes import Nodes
from modelserver_operator.clients.scaling.apis import Apis
from modelserver_operator.conditions.document import read_status
from modelserver_operator.desired import EXAMPLE, Images, Kept, Surroundings, render_kept
from modelserver_operator.desired.accelerators import Found, families
from modelserver_operator.desired.child import Desired
from modelserver_operator.desired.node_group import describe, kubelet, needs
from modelserver_operator.desired.scaling.wish import scaler_kind
from modelserver_operator.errors import Forbidden, Invalid
from modelserver_operator.observed.child import read_child
from modelserver_operator.observed.facts import Snapshot
from modelserver_operator.observed.rejections import CLOSED, Breaker, read_breaker
from modelserver_operator.observed.scaling.budgets import Budget, read_budget, selecting
from modelserver_operator.observed.scaling.report import ScaledObjectReport
from modelserver_operator.settings import images_of

OPERATOR = {"app.kubernetes.io/name": "modelserver-operator"}
"""The label of the operator's own Deployment, as the chart sets it."""
_WHAT = {Why.MISSING: "create", Why.CHANGED: "change", Why.DRIFTED: "restore"}


@dataclass(frozen=True)
class Preview:
    """What would happen to one object."""

    title: str
    lines: tuple[str, ...]
    """One for each child that would change; none when nothing does."""
    notes: tuple[str, ...] = ()
    """What else is to be known."""

    def text(self) -> str:
        """For people."""
        lines = (*(self.lines or ("nothing changes",)), *self.notes)
        return "\n".join((self.title, *(f"  {line}" for line in lines)))


async def running_images(cluster: Cluster, namespace: str) -> Images | None:
    """The server images of the operator that watches this namespace; None when they cannot be found."""
    try:
        deployments = await cluster.labelled("Deployment", OPERATOR)
    except Forbidden:
        return None
    found = [
        (bool(watched), chosen)
        for deployment in deployments
        for container in deployment["spec"]["template"]["spec"]["containers"]
        for watched, chosen in [images_of(container.get("args") or [])]
        if not watched or namespace in watched
    ]
    # An operator of named namespaces goes before one of the whole cluster.
    return max(found, key=lambda item: item[0])[1] if found else None


async def preview(cluster: Cluster, server: ModelServer, images: Images, provider: str = "") -> Preview:
    """What applying this object would change, children that are no longer wanted included.

    With a `provider` also what a group of nodes for it needs there.
    """
    body = await cluster.get(KIND, server.namespace, server.name)
    owned = replace(server, uid=body["metadata"]["uid"] if body else "")
    stored = _parsed(body)
    past = await _history(cluster, stored, body) if stored and body else History()
    found = await _found(cluster, owned)
    choice = choose(owned, images, past, found)
    before = _children(stored, choose(stored, images, past, found).kept) if stored else ()
    served = await Apis(cluster).served(naming.OPTIONAL)
    observed = await _observe(cluster, owned, [*before, *_children(owned, choice.kept)])
    around = replace(_around(served, observed), budget=await _budget(cluster, owned))
    wanted = plan(_render(owned, choice.kept, past, observed, around), observed, owned.uid, {})
    title = f"{server.namespace}/{server.name}:{'' if body else ' new object'}"
    return Preview(
        title,
        tuple(_lines(wanted, before, paused=server.spec.paused)),
        (*_notes(choice), *_lacks(owned, around), *_nodes(owned, choice.kept, provider, is_new=not body)),
    )


async def _found(cluster: Cluster, server: ModelServer) -> Found:
    """What nodes advertise for its GPUs and NPUs; nothing where nodes may not be listed."""
    offer = await Nodes(cluster, time.monotonic).look() if families(server.spec) else None
    return Found(offer.advertised if offer else None)


async def _budget(cluster: Cluster, server: ModelServer) -> str:
    """A disruption budget of others over the pods; who may not read them is shown ours."""
    found: list[Budget | None] = []
    with contextlib.suppress(Forbidden):
        async for page in cluster.pages(naming.BUDGET, server.namespace, of_others=True):
            found += map(read_budget, page.items)
    return selecting(server, tuple(filter(None, found)))


async def _history(cluster: Cluster, stored: ModelServer, body: Mapping[str, Any]) -> History:
    """What is kept of the object, or would be taken over."""
    revisions = await cluster.labelled(
        naming.CONTROLLER_REVISION, naming.selector(stored.name), stored.namespace
    )
    deployment = await cluster.get("Deployment", stored.namespace, stored.name)
    children = [read_child(naming.CONTROLLER_REVISION, item) for item in revisions]
    children += [read_child("Deployment", deployment)] if deployment else []
    status = read_status(body.get("status") or {}, own_schema()["properties"]["status"])
    return await read_history(cluster, stored, {(c.kind, c.name): c for c in children}, status)


def _notes(choice: Choice) -> list[str]:
    """What an upgrade would do beyond that."""
    notes = [
        f"no node is known to advertise {name}: set accelerator.resourceName to what the device plugin offers"
        for name in choice.unadvertised
    ]
    if not choice.is_upgrade_available():
        return notes
    before, after = choice.kept.image, choice.upgrade.image
    what = "changes config.json, without new pods"
    if choice.upgrade_replaces_pods():
        what = "replaces the pods" + (f": image {before} becomes {after}" if before != after else "")
    return [
        *notes,
        f"an upgrade is available, by a new value of the annotation {UPGRADE_ANNOTATION}: it {what}",
    ]


def _nodes(server: ModelServer, kept: Kept, provider: str, *, is_new: bool) -> list[str]:
    """What the nodes need: of a new object the kubelet's settings, of a provider also the rest."""
    found = needs(kept.template, is_exclusive=server.spec.cpu_manager_policy == "static")
    lines = [f"nodes: {line}" for line in describe(found, provider)] if provider else []
    settings = kubelet(found) if is_new or provider else []
    if settings:
        lines += ["for exclusive CPUs, the kubelets of its nodes need (docs/exclusive-cpus.md):"]
        lines += [f"  {line}" for line in settings]
    return lines


def _lacks(server: ModelServer, around: Surroundings) -> list[str]:
    """What the object needs of the cluster and does not find."""
    needed = {scaler_kind(server.spec)} | ({naming.CAPACITY_BUFFER} if server.spec.headroom else set())
    missing = sorted(kind for kind in needed & naming.OPTIONAL.keys() if not around.api_version(kind))
    return [f"the cluster does not have the API of {kind}, so none is made" for kind in missing]


def _lines(wanted: Plan, before: tuple[Desired, ...], *, paused: bool) -> list[str]:
    lines = [f"{item.desired.kind} {item.desired.name}: {_WHAT[item.why]}" for item in wanted.changes]
    lines += [f"{child.kind} {child.name}: delete" for child in wanted.prune]
    lines += [f"{child.kind} {child.name}: the name is taken by another object" for child in wanted.taken]
    if any(_rolls(item, before) for item in wanted.changes):
        lines.append("the pod template changes: pods are replaced")
    if lines and paused:
        lines.append("paused: true holds these changes back")
    return lines


def _parsed(body: Mapping[str, Any] | None) -> ModelServer | None:
    """The object as it is stored now."""
    try:
        return parse(body) if body else None
    except Invalid:
        return None


def _children(server: ModelServer, kept: Kept) -> tuple[Desired, ...]:
    return render_kept(server, kept).children


def _around(served: Mapping[str, str], observed: Observed) -> Surroundings:
    """What the cluster has; of a ScaledObject, address and key are the operator's and stay as they are."""
    around = replace(EXAMPLE, api_versions=tuple(sorted(served.items())))
    reports = [child.report for child in observed.values()]
    found = next((item for item in reports if isinstance(item, ScaledObjectReport)), None)
    return replace(around, scale_url=found.address, key=found.key) if found and found.key else around


def _render(
    server: ModelServer, kept: Kept, past: History, observed: Observed, around: Surroundings
) -> tuple[Desired, ...]:
    """As the operator would render it now, also in the middle of a rollout or while a node rejects pods."""
    rollout = Snapshot(observed, ()).rollout(server)
    in_place = replaces_in_place(server, rollout, (), "")
    breaker = read_breaker(rollout.breaker) if rollout else CLOSED
    if breaker.is_open and breaker.template != digest(kept):
        breaker = Breaker(breaker.counted)
    stored = measures(breaker, server.spec.replicas, in_place=in_place)
    return render_kept(server, applied(kept, past, breaker), stored, around).children


def _rolls(change: Change, before: tuple[Desired, ...]) -> bool:
    """Whether the pod template gets other fields, or loses some that the stored object gives it."""
    observed, template = change.observed, _template(change.desired)
    if template is None or observed is None or observed.body is None:
        return False
    earlier = [_template(item) for item in before if item.name == change.desired.name]
    return not covers(observed.body["spec"]["template"], template) or any(
        not (covers(template, item) and _keeps(template, item)) for item in earlier if item is not None
    )


def _keeps(after: Any, before: Any) -> bool:
    """Whether every field is still there; `covers` takes one that is missing for an empty one."""
    return not isinstance(before, Mapping) or (
        isinstance(after, Mapping)
        and all(key in after and _keeps(after[key], value) for key, value in before.items())
    )


def _template(desired: Desired) -> Any:
    return desired.manifest["spec"]["template"] if desired.kind == "Deployment" else None


async def _observe(cluster: Cluster, server: ModelServer, children: list[Desired]) -> Observed:
    observed = {}
    for kind, name in dict.fromkeys((item.kind, item.name) for item in children):
        body = await cluster.get(kind, server.namespace, name)
        if body is not None:
            observed[kind, name] = read_child(kind, body)
    return observed
