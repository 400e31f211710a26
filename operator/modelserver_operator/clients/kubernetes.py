"""The only module that writes to the Kubernetes API; it also lists the objects that fill the store.

Paths are explicit: discovery would cost requests, and its cache is a file with a predictable name.
"""

import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from kubernetes.aio import client, config

from modelserver_operator import metrics, naming
from modelserver_operator.api import API_VERSION, GROUP, KIND, VERSION
from modelserver_operator.clients.context import is_in_pod, no_cluster
from modelserver_operator.clients.transport import Body, Transport, checking
from modelserver_operator.desired.child import Desired
from modelserver_operator.errors import ApiError, Conflict, NamespaceEnding, NotFound
from modelserver_operator.observed.child import Child
from modelserver_operator.observed.pod import Pod

Raw = Mapping[str, Any]
_PAGE = 500
_NEVER = "1"
"""A resourceVersion that no object has: it is the revision of an empty etcd."""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Page:
    """A part of a list."""

    items: list[Raw]
    version: int
    """The resourceVersion of the whole list."""


@dataclass(frozen=True)
class Event:
    """A Kubernetes Event about a ModelServer."""

    reason: str
    message: str
    is_warning: bool = False


async def connect(may_write: Callable[[str], None] | None = None, kubeconfig: str | None = None) -> "Cluster":
    """Connect with the pod's ServiceAccount, or with KUBECONFIG outside a cluster; raises NoCluster.

    `kubeconfig`: the path of the one to use instead.
    """
    configuration = client.Configuration()
    try:
        if kubeconfig is None and is_in_pod():
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            await config.load_kube_config(kubeconfig, client_configuration=configuration)  # type: ignore[no-untyped-call]
        configuration.connection_pool_maxsize = 0  # no limit: each watch holds a connection
        configuration.trace_configs = [checking()]
    except config.ConfigException as error:
        raise no_cluster(error) from None
    return Cluster(client.ApiClient(configuration), may_write)


class Cluster:
    """A few verbs; every write except annotations and removals is a server-side apply by one manager."""

    def __init__(self, api: client.ApiClient, may_write: Callable[[str], None] | None = None) -> None:
        """`may_write` gets the namespace of each write; it raises NotLeading where this process must not."""
        self._transport = Transport(api)
        self._may_write = may_write or (lambda _namespace: None)
        self.places = {**naming.KINDS, **naming.OPTIONAL, **naming.NEVER_OURS}
        """Where each kind is; of those that not every cluster has, in the version that it serves."""

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()

    async def get(self, kind: str, namespace: str, name: str) -> Raw | None:
        """The object, or None."""
        try:
            return await self._request("GET", self._path(kind, namespace, name))
        except NotFound:
            return None

    async def labelled(self, kind: str, labels: Mapping[str, str], namespace: str | None = None) -> list[Raw]:
        """Objects of one namespace or of all with these labels."""
        text = ",".join(f"{key}={value}" for key, value in labels.items())
        found = await self._request("GET", self._path(kind, namespace), {"labelSelector": text})
        items: list[Raw] = found["items"]
        return items

    async def pages(
        self, kind: str, namespace: str | None, *, of_others: bool = False
    ) -> AsyncIterator[Page]:
        """All objects of a kind that the operator watches, or those of others, too, in pages."""
        query = {"limit": str(_PAGE)}
        if kind != KIND and not of_others:
            query["labelSelector"] = naming.OWN_SELECTOR
        while True:
            page = await self._request("GET", self._path(kind, namespace), query)
            yield Page(page["items"], int(page["metadata"]["resourceVersion"]))
            if not page["metadata"].get("continue"):
                return
            query["continue"] = page["metadata"]["continue"]

    async def watch(self, kind: str, namespace: str | None, version: int) -> AsyncIterator[Raw]:
        """Events since this resourceVersion and bookmarks, until the API server ends the watch."""
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": str(version)}
        if kind != KIND:
            query["labelSelector"] = naming.OWN_SELECTOR
        path = self._path(kind, namespace)
        async for event in self._transport.stream(path, query):
            if event["type"] == "ERROR":
                status = event["object"]
                raise ApiError(status.get("code") or 0, f"GET {path}: {status.get('message')}")
            yield event

    async def leases(self) -> list[Raw]:
        """The Leases of all installations, one in each namespace at most."""
        group, version, plural = naming.LEASES
        query = {"fieldSelector": f"metadata.name={naming.LEASE}"}
        items: list[Raw] = (await self._request("GET", f"/apis/{group}/{version}/{plural}", query))["items"]
        return items

    async def create(self, desired: Desired) -> Raw:
        """A Conflict means that there is an object of that name: nothing is merged into it.

        No object has this resourceVersion, and one that does not exist yet is created all the same. A POST
        would be as exact, but it records the operator as an updater besides its apply, so that no later apply
        could remove a field.
        """
        metadata = {**desired.manifest["metadata"], "resourceVersion": _NEVER}
        return await self._apply({**desired.manifest, "metadata": metadata}, force=False)

    async def apply(self, desired: Desired, observed: Child, *, dry_run: bool = False) -> Raw:
        """Restore the desired state; a Conflict means that the object has been replaced by another."""
        manifest = {**desired.manifest, "metadata": {**desired.manifest["metadata"], "uid": observed.uid}}
        return await self._apply(manifest, force=True, dry_run=dry_run)

    async def remove(self, child: Child, pointers: Sequence[str]) -> Raw | None:
        """Remove parts of exactly this version (Conflict: there is a newer one); None for no part."""
        if not pointers:
            return None
        version = {"op": "replace", "path": "/metadata/resourceVersion", "value": child.resource_version}
        patch = [version, *({"op": "remove", "path": pointer} for pointer in pointers)]
        path = self._path(child.kind, child.namespace, child.name)
        return await self._request("PATCH", path, {"fieldManager": naming.MANAGER}, patch)

    async def delete(self, child: Child) -> None:
        """Delete this child, but no other object of the same name."""
        body = {"preconditions": {"uid": child.uid}, "propagationPolicy": "Background"}
        try:
            await self._request("DELETE", self._path(child.kind, child.namespace, child.name), body=body)
        except NotFound:
            return
        metrics.WRITES.labels(child.kind, "unwanted").inc()

    async def delete_pod(self, pod: Pod) -> None:
        """Delete a pod that has failed for good."""
        body = {"preconditions": {"uid": pod.uid}}
        try:
            await self._request("DELETE", self._path(naming.POD, pod.namespace, pod.name), body=body)
        except (NotFound, Conflict):
            return
        metrics.WRITES.labels(naming.POD, "unwanted").inc()

    async def apply_status(self, metadata: Raw, status: Raw) -> Raw:
        """Write the status of this object, but of no other object of the same name."""
        identity = {name: metadata[name] for name in ("name", "namespace", "uid")}
        body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": identity, "status": status}
        path = f"{self._path(KIND, metadata['namespace'], metadata['name'])}/status"
        written = await self._request("PATCH", path, _APPLY | {"force": "true"}, body)
        metrics.WRITES.labels(KIND, "status").inc()
        return written

    async def nudge(self, pod: Pod, revision: str) -> None:
        """Annotate the pod, so that the kubelet updates the ConfigMap volume now instead of within 90 s."""
        body = {"metadata": {"uid": pod.uid, "annotations": {naming.REVISION_ANNOTATION: revision}}}
        try:
            await self._request(
                "PATCH", self._path("Pod", pod.namespace, pod.name), {"fieldManager": naming.MANAGER}, body
            )
        except (NotFound, Conflict):
            return
        metrics.WRITES.labels(naming.POD, "nudge").inc()

    async def served_version(self, place: naming.Resource) -> str:
        """The version in which a resource is served that not every cluster has; empty when it is not."""
        try:
            group = await self._request("GET", f"/apis/{place.group}")
            known = [item["version"] for item in group["versions"]]
            # The one that is named comes first.
            for version in sorted(known, key=lambda item: item != place.version):
                found = await self._request("GET", f"/apis/{place.group}/{version}")
                if any(item["name"] == place.plural for item in found["resources"]):
                    return str(version)
        except NotFound:
            pass
        return ""

    async def nodes(self) -> list[Raw]:
        """All nodes, as the API server's cache has them."""
        items: list[Raw] = (await self._request("GET", "/api/v1/nodes", {"resourceVersion": "0"}))["items"]
        return items

    async def minor_version(self) -> int:
        """36 of Kubernetes 1.36; every client may read it."""
        found = await self._request("GET", "/version")
        return int(re.sub(r"\D.*", "", str(found.get("minor") or "")) or 0)

    async def schemas(self) -> Raw:
        """The schemas of the API as this cluster has it, as OpenAPI v3; every client may read them."""
        return await self._request("GET", f"/openapi/v3/apis/{GROUP}/{VERSION}")

    async def warnings(self, pod: Pod) -> list[Raw]:
        """The newest Events that warn about this pod."""
        about = f"involvedObject.uid={pod.uid},type=Warning"
        query = {"fieldSelector": about, "limit": str(_EVENTS)}
        page = await self._request("GET", _events(pod.namespace), query)
        items: list[Raw] = page["items"]
        return items

    async def post(self, event: Event, metadata: Raw, now: str) -> str:
        """Post an Event about an object; returns the Event's name."""
        check = partial(self._may_write, metadata["namespace"])
        check()
        return await self._post(event, {"apiVersion": API_VERSION, "kind": KIND}, metadata, now, check)

    async def announce(self, event: Event, lease: Raw, now: str) -> None:
        """Post an Event about a Lease, which nobody has to hold; a failure is only logged."""
        try:
            await self._post(event, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}, lease, now)
        except NamespaceEnding:
            return
        except ApiError as error:
            place = f"{lease['namespace']}/{lease['name']}"
            _logger.warning("event %s of %s could not be posted: %s", event.reason, place, error)

    async def _post(
        self, event: Event, kind: Raw, metadata: Raw, now: str, check: Callable[[], None] | None = None
    ) -> str:
        namespace, name = metadata["namespace"], metadata["name"]
        body = {
            "metadata": {"generateName": f"{name}.", "namespace": namespace},
            "involvedObject": {**kind, "namespace": namespace, "name": name, "uid": metadata["uid"]},
            "reason": event.reason,
            "message": event.message[:1024],
            "type": "Warning" if event.is_warning else "Normal",
            "source": {"component": naming.MANAGER},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        posted = await self._transport.send("POST", _events(namespace), body=body, check=check)
        metrics.WRITES.labels("Event", "event").inc()
        return str(posted["metadata"]["name"])

    async def recount(self, namespace: str, name: str, count: int, now: str) -> None:
        """Say that an Event happened once more; NotFound means that it has expired."""
        body = {"count": count, "lastTimestamp": now}
        await self._request("PATCH", f"{_events(namespace)}/{name}", {"fieldManager": naming.MANAGER}, body)
        metrics.WRITES.labels("Event", "event").inc()

    def _path(self, kind: str, namespace: str | None, name: str = "") -> str:
        group, version, plural = self.places[kind]
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        scope = f"/namespaces/{namespace}" if namespace else ""
        return f"{root}{scope}/{plural}{f'/{name}' if name else ''}"

    async def _apply(self, manifest: Raw, *, force: bool, dry_run: bool = False) -> Raw:
        metadata = manifest["metadata"]
        path = self._path(manifest["kind"], metadata["namespace"], metadata["name"])
        query = _APPLY | {"force": str(force).lower()} | ({"dryRun": "All"} if dry_run else {})
        return await self._request("PATCH", path, query, manifest)

    async def _request(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Body = None
    ) -> Raw:
        if method == "GET":
            return await self._transport.send(method, path, query)
        check = partial(self._may_write, path.partition("/namespaces/")[2].partition("/")[0])
        check()
        return await self._transport.send(method, path, query, body, check)


_APPLY = {"fieldManager": naming.MANAGER}
_EVENTS = 50


def _events(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/events"
