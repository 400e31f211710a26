"""`modelserver-operator plan FILE`: what would change in the cluster. Reads, never writes."""

from dataclasses import replace

from modelserver_operator.api import KIND, ModelServer
from modelserver_operator.changes.in_place import replaces_in_place
from modelserver_operator.changes.plan import Observed, Why, covers, plan
from modelserver_operator.clients.kubernetes import Cluster, connect
from modelserver_operator.desired import Images, render
from modelserver_operator.desired.child import Desired
from modelserver_operator.observed.child import Child, read_child


async def changes(server: ModelServer, images: Images) -> list[str]:
    """One line for each child."""
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
    lines += [f"  {child.kind} {child.name}: name taken by somebody else" for child in wanted.taken]
    if any(
        item.desired.kind == "Deployment" and _rolls(item.observed, item.desired.manifest)
        for item in wanted.changes
    ):
        lines.append("  the pod template changes: pods are replaced")
    return [title, *(lines or ["  nothing changes"])]


def _render(server: ModelServer, images: Images, observed: Observed) -> list[Desired]:
    """As the operator would now, in the middle of a rollout too."""
    deployment = observed.get(("Deployment", server.name))
    rollout = deployment.rollout if deployment else None
    return render(server, images, in_place=replaces_in_place(server, rollout, (), ""))


def _what(why: Why) -> str:
    return {Why.MISSING: "create", Why.CHANGED: "change", Why.DRIFTED: "change back"}[why]


def _rolls(observed: Child | None, manifest: dict[str, dict[str, object]]) -> bool:
    if observed is None or observed.body is None:
        return False
    return not covers(observed.body["spec"]["template"], manifest["spec"]["template"])


async def _observe(cluster: Cluster, server: ModelServer, images: Images) -> Observed:
    found = {}
    for desired in render(server, images):
        body = await cluster.get(desired.kind, server.namespace, desired.name)
        if body is not None:
            found[desired.kind, desired.name] = read_child(desired.kind, body)
    return found
