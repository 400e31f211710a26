"""Keeps templates: reads what is kept of an object, takes over what runs, notes what was good."""

import logging
from dataclasses import dataclass

from modelserver_operator import naming
from modelserver_operator.api import ModelServer, Status
from modelserver_operator.changes.apply import Applier
from modelserver_operator.changes.plan import Observed, plan
from modelserver_operator.changes.take_over import has_pods, taken_over
from modelserver_operator.changes.templates import History, history, revisions
from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.desired.kept import Kept
from modelserver_operator.observed.store import Key, Store

_logger = logging.getLogger(__name__)


async def read_history(
    cluster: Cluster, server: ModelServer, children: Observed, previous: Status
) -> History:
    """Two requests for an object that runs and of which nothing is kept, and none for any other."""
    past = history(children, server.uid)
    if past.current is not None or not has_pods(server, children):
        return past
    deployment = await cluster.get("Deployment", server.namespace, server.name)
    config_map = await cluster.get("ConfigMap", server.namespace, naming.config_map(server.name))
    return taken_over(server, previous, deployment, config_map)


@dataclass(frozen=True)
class Keeper:
    """Notes which template was the last good one."""

    cluster: Cluster
    store: Store

    async def note_good(self, key: Key, server: ModelServer, kept: Kept) -> None:
        """The object is Ready with this one; what is refused is tried again in the next pass."""
        children = self.store.snapshot(key).children
        own = {place: child for place, child in children.items() if child.revision is not None}
        past = history(own, server.uid)
        if past.current is None or past.current.kept != kept or past.current.is_good:
            return
        wanted = plan(revisions(server, kept, past, is_good=True), own, server.uid, self.store.settled())
        outcome = await Applier(self.cluster, self.store, server.uid).apply(wanted, paused=False)
        if outcome.refused:
            _logger.warning("the last good template could not be noted: %s", outcome.refused)
