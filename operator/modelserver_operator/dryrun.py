"""`modelserver-operator plan FILE`: what applying a file would change in the cluster. It only reads."""

from dataclasses import replace

from modelserver_operator.api import KIND, ModelServer
from modelserver_operator.changes.in_place import replaces_in_place
from modelserver_operator.changes.plan import Observed, Why, covers, plan
from modelserver_operator.clients.kubernetes import Cluster, connect
from modelserver_operator.desired import Images, render
from modelserver_operator.desired.child import Desired
from modelserver_operator.observed.child import Child, read_child
from modelserver_operator.observed.facts import Snapshot


async def preview(server: ModelServer, images: Images) -> list[str]:
    """One line for each child that would change."""
    cluster = await connect()
    try:
        body = await cluster.get(KIND, server.namespace, server.name)
        uid = body["metadata"]["uid"] if body else ""
        owned = replace(server, uid=uid)
        observed = await _observe(cluster, owned, images)
    finally:
        await cluster.close()
    wanted = plan(_render(owned, images, observed), observed, uid, {})
    title = f"{server.namespace}/{server.name}:{'' if body else ' new object'}"
    lines = [f"  {item.desired.kind} {item.desired.name}: {_what(item.why)}" for item in wanted.changes]
    lines += [f"  {child.kind} {child.name}: the name is taken by another object" for child in wanted.taken]
    if any(
        item.desired.kind == "Deployment" and _rolls(item.observed, item.desired.manifest)
        for item in wanted.changes
    ):
        lines.append("  the pod template changes: pods are replaced")
    return [title, *(lines or ["  nothing changes"])]


def _render(server: ModelServer, images: Images, observed: Observed) -> tuple[Desired, ...]:
    """As the operator would render it now, also in the middle of a rollout."""
    rollout = Snapshot(observed, ()).rollout(server)
    in_place = replaces_in_place(server, rollout, (), "")
    return render(server, images, in_place=in_place).children


def _what(why: Why) -> str:
    return {Why.MISSING: "create", Why.CHANGED: "change", Why.DRIFTED: "restore"}[why]


def _rolls(observed: Child | None, manifest: dict[str, dict[str, object]]) -> bool:
    if observed is None or observed.body is None:
        return False
    return not covers(observed.body["spec"]["template"], manifest["spec"]["template"])


async def _observe(cluster: Cluster, server: ModelServer, images: Images) -> Observed:
    observed = {}
    for desired in render(server, images).children:
        body = await cluster.get(desired.kind, server.namespace, desired.name)
        if body is not None:
            observed[desired.kind, desired.name] = read_child(desired.kind, body)
    return observed
