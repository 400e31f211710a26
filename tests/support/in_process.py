"""The operator's passes in the test's own process, over objects that nobody else touches.

There is no watch: after a pass that wrote something, everything is listed.
"""

import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from kubernetes.aio import client, config

from modelserver_operator import naming
from modelserver_operator.api import KIND
from modelserver_operator.changes.nudge import Nudger
from modelserver_operator.clients.asking import Asking
from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.clients.servers import ServerClient
from modelserver_operator.desired import Images
from modelserver_operator.observed.store import Listed, Store
from modelserver_operator.reconcile import Reconciler

API = "modelserver.dev/v1alpha1"
NAME = "server"
KINDS = [kind for kind in naming.KINDS if kind not in {KIND, naming.POD}]
_PASSES = 6
"""An object at rest needs one; nothing that is drawn here needs more than three."""


def reconciler(
    store: Store, cluster: Cluster, asking: Asking, images: Images, resync_seconds: float = 30.0
) -> Reconciler:
    """An operator's passes, without its watches and its queue."""
    return Reconciler(
        store=store,
        cluster=cluster,
        asking=asking,
        nudger=Nudger(cluster, time.monotonic),
        images=images,
        now=lambda: "2026-01-01T00:00:00Z",
        resync_seconds=lambda: resync_seconds,
    )


@contextlib.asynccontextmanager
async def reconciling(store: Store, cluster: Cluster, images: Images) -> AsyncIterator[Reconciler]:
    """The same with what asks servers; ends with the connections."""
    servers = ServerClient()
    asking = Asking(servers, lambda: 30.0)
    try:
        yield reconciler(store, cluster, asking, images)
    finally:
        await asking.close()
        await cluster.close()
        await servers.close()


class Passes:
    """One operator, and the client of its users, for one object named `server` in each namespace."""

    def __init__(self, configuration: client.Configuration) -> None:
        self._api = client.ApiClient(configuration)
        self._objects = client.CustomObjectsApi(self._api)
        self._core = client.CoreV1Api(self._api)
        self._servers = ServerClient()
        self.asking = Asking(self._servers, lambda: 30.0)
        self.writes: Counter[str] = Counter()
        """By namespace: every request that is no GET."""
        self.cluster = Cluster(self._api, self._count)

    def _count(self, namespace: str) -> None:
        self.writes[namespace] += 1

    async def close(self) -> None:
        await self.asking.close()
        await self._servers.close()
        await self._api.close()

    async def namespace(self, name: str) -> "Place":
        """A new namespace."""
        await self._core.create_namespace({"metadata": {"name": name}})
        return Place(self, name)

    def reconciler(self, store: Store) -> Reconciler:
        return reconciler(store, self.cluster, self.asking, Images("cpu:1", "gpu:1", "npu:1"), 600.0)

    async def submit(self, namespace: str, spec: dict[str, Any], version: str | None) -> dict[str, Any]:
        """Create the object, or replace its spec; returns it as the API server has it."""
        body = {"apiVersion": API, "kind": KIND, "metadata": {"name": NAME}, "spec": spec}
        where = (*API.split("/"), namespace, "modelservers")
        if version is None:
            created: dict[str, Any] = await self._objects.create_namespaced_custom_object(*where, body)
            return created
        body["metadata"] = {"name": NAME, "resourceVersion": version}
        return dict(await self._objects.replace_namespaced_custom_object(*where, NAME, body))

    async def free(self, namespace: str) -> None:
        """Give back the node ports and addresses: there are only some thousands."""
        for name in (NAME, f"{NAME}-headless"):
            await self._core.delete_namespaced_service(name, namespace)

    async def found(self, kind: str, namespace: str) -> tuple[list[dict[str, Any]], int]:
        """All objects of a kind, and the version of the list."""
        pages = [page async for page in self.cluster.pages(kind, namespace)]
        return [{**item, "kind": kind} for page in pages for item in page.items], pages[-1].version


class Place:
    """The object of one namespace."""

    def __init__(self, passes: Passes, namespace: str) -> None:
        self._passes = passes
        self.namespace = namespace
        self._key = (namespace, NAME)
        self._store = Store()
        self._reconciler = passes.reconciler(self._store)
        self._listed: list[dict[str, Any]] = []

    async def become(self, spec: dict[str, Any]) -> list[dict[str, Any]]:
        """Give the object this spec, let passes follow until one writes nothing; returns its children."""
        known = self._store.servers.get(self._key)
        version = known["metadata"]["resourceVersion"] if known else None
        self._store.put(KIND, await self._passes.submit(self.namespace, spec, version))
        for _ in range(_PASSES):
            if not await self._writes():
                return await self._restart()
            await self._look()
        raise AssertionError(f"{_PASSES} passes, and each of them wrote something")

    async def end(self) -> None:
        """Nothing that later objects could want is left."""
        await self._passes.free(self.namespace)

    def status(self) -> dict[str, Any]:
        """As it was last written."""
        status: dict[str, Any] = self._store.servers[self._key]["status"]
        return status

    def uid(self) -> str:
        return str(self._store.servers[self._key]["metadata"]["uid"])

    async def _look(self) -> None:
        """What watches would report: above all what was deleted."""
        self._listed = []
        for kind in (KIND, *KINDS):
            items, version = await self._passes.found(kind, self.namespace)
            self._listed += items
            for item in items:
                self._store.put(kind, item)
            listed = Listed({item["metadata"]["uid"] for item in items}, version)
            for entry in self._store.missing(kind, self.namespace, listed):
                self._store.forget(kind, entry.uid, version)

    async def _restart(self) -> list[dict[str, Any]]:
        """Start again with what was listed: then nothing is written either."""
        self._store = Store()
        self._reconciler = self._passes.reconciler(self._store)
        for item in self._listed:
            self._store.put(item["kind"], item)
        assert await self._writes() == 0, "an operator that is started again writes"
        return [item for item in self._listed if item["kind"] != KIND]

    async def _writes(self) -> int:
        """One pass; how many writes it made."""
        before = self._passes.writes[self.namespace]
        await self._reconciler.reconcile(self._key)
        return self._passes.writes[self.namespace] - before


async def passes(kubeconfig: str) -> Passes:
    settings = client.Configuration()
    await config.load_kube_config(kubeconfig, client_configuration=settings)
    return Passes(settings)


def shape(child: dict[str, Any], owner: str) -> str:
    """What a child is like, whenever and for whichever object of its name it was made.

    Left out is:

    - what the API server gives out or counts: uid, versions, times, addresses, node ports, generation;
    - what contains the uid of the owner: the reference, the hash of what is desired, the name of a
      ControllerRevision;
    - the number of a ControllerRevision, which counts the templates that an object has had, and its inputs,
      which are those that the template was made from: others that would make the same do not replace it.

    Who owns which field is compared: what a later apply could not remove would show there.
    """
    metadata = dict(child["metadata"])
    for name in ("uid", "resourceVersion", "generation", "creationTimestamp", "namespace"):
        metadata.pop(name, None)
    metadata["annotations"] = {
        key: value for key, value in metadata["annotations"].items() if key != naming.HASH_ANNOTATION
    }
    metadata["managedFields"] = [
        [entry["manager"], entry["operation"], entry["fieldsV1"]] for entry in metadata["managedFields"]
    ]
    rest = {key: value for key, value in child.items() if key not in {"metadata", "status"}}
    if child["kind"] == naming.CONTROLLER_REVISION:
        metadata["name"] = rest["revision"] = "…"
        rest["data"] = {**child["data"], "inputs": "…"}
    if child["kind"] == "Service":
        rest["spec"] = _without_addresses(child["spec"])
    return json.dumps({**rest, "metadata": metadata}, sort_keys=True, indent=1).replace(owner, "OWNER")


def _without_addresses(spec: dict[str, Any]) -> dict[str, Any]:
    given = {"clusterIP", "clusterIPs", "healthCheckNodePort"}
    ports = [{key: value for key, value in port.items() if key != "nodePort"} for port in spec["ports"]]
    kept = {key: value for key, value in spec.items() if key not in given or value in ("None", ["None"])}
    return {**kept, "ports": ports}
