"""Keeps templates: reads what is kept of an object, takes over what runs, notes what was good."""

from dataclasses import dataclass

from modelserver_operator import naming
from modelserver_operator.api import ModelServer, Status
from modelserver_operator.changes.apply import Applier, refusal
from modelserver_operator.changes.contest import Contest
from modelserver_operator.changes.plan import Observed, plan
from modelserver_operator.changes.take_over import has_pods, taken_over
from modelserver_operator.changes.templates import History, history, revisions
from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.errors import ApiError, NamespaceEnding
from modelserver_operator.observed.store import Key, Store


async def read_history(
    cluster: Cluster, server: ModelServer, children: Observed, previous: Status
) -> History:
    """Two requests for an object that runs and of which nothing is kept, and none for any other."""
    past = history(children, server.uid)
    if past.current is not None or not has_pods(server, children):
        return past
    found = {}
    for kind, name in (("Deployment", server.name), ("ConfigMap", naming.config_map(server.name))):
        try:
            found[kind] = await cluster.get(kind, server.namespace, name)
        except NamespaceEnding:
            raise
        except ApiError as error:
            return History(unread=refusal("read", f"{kind} {name}", error))
    return taken_over(server, previous, found["Deployment"], found["ConfigMap"])


@dataclass(frozen=True)
class Keeper:
    """Notes which template was the last good one."""

    cluster: Cluster
    store: Store
    contest: Contest

    async def note_good(self, key: Key, server: ModelServer) -> tuple[str, ...]:
        """The object is Ready with the current one; returns a sentence for each write that failed."""
        children = self.store.snapshot(key).children
        own = {place: child for place, child in children.items() if child.revision is not None}
        if _is_noted(own, server.uid):
            return ()
        past = history(own, server.uid)
        if past.current is None or past.current.is_good:
            return ()
        kept = past.current.kept
        wanted = plan(revisions(server, kept, past, is_good=True), own, server.uid, self.store.settled())
        return (await Applier(self.cluster, self.store, server, self.contest).apply(wanted)).refused


def _is_noted(revisions: Observed, owner_uid: str) -> bool:
    """Whether the newest of them is the last good one already; to read them would cost more than to look."""
    own = [
        (child.revision.number, child.name, child.revision.is_last_good)
        for child in revisions.values()
        if child.revision is not None and child.owner_uid == owner_uid
    ]
    return bool(own) and max(own)[2]
