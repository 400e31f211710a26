"""The only module that writes to the Kubernetes API; it also lists the objects that fill the store.

Paths are explicit: discovery would cost requests, and its cache is a file with a predictable name.
"""

import json
import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import client, config

from modelserver_operator import naming
from modelserver_operator.api import API_VERSION, KIND
from modelserver_operator.desired.child import Desired
from modelserver_operator.errors import ApiError, Conflict, Forbidden, NamespaceEnding, NotFound
from modelserver_operator.observed.child import Child
from modelserver_operator.observed.pod import Pod

Raw = Mapping[str, Any]
Body = Raw | list[dict[str, str]] | None
_PAGE = 500
_TIMEOUT = 30
_ERRORS = {403: Forbidden, 404: NotFound, 409: Conflict}
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


async def connect() -> "Cluster":
    """Connect with the pod's ServiceAccount, or with KUBECONFIG outside a cluster."""
    configuration = client.Configuration()
    if os.environ.get("KUBERNETES_SERVICE_HOST") and not os.environ.get("KUBECONFIG"):
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    return Cluster(client.ApiClient(configuration))


class Cluster:
    """A few verbs; every write except annotations and removals is a server-side apply by one manager."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def get(self, kind: str, namespace: str, name: str) -> Raw | None:
        """The object, or None."""
        try:
            return await self._request("GET", _path(kind, namespace, name))
        except NotFound:
            return None

    async def pages(self, kind: str, namespace: str | None) -> AsyncIterator[Page]:
        """All objects of a kind that the operator watches, in pages."""
        query = {"limit": str(_PAGE)}
        if kind != KIND:
            query["labelSelector"] = naming.OWN_SELECTOR
        while True:
            page = await self._request("GET", _path(kind, namespace), query)
            yield Page(page["items"], int(page["metadata"]["resourceVersion"]))
            if not page["metadata"].get("continue"):
                return
            query["continue"] = page["metadata"]["continue"]

    async def create(self, desired: Desired) -> Raw:
        """Without force: a Conflict means that an object of that name has been created meanwhile."""
        return await self._apply(desired.manifest, force=False)

    async def apply(self, desired: Desired, observed: Child) -> Raw:
        """Restore the desired state; a Conflict means that the object has been replaced by another."""
        manifest = {**desired.manifest, "metadata": {**desired.manifest["metadata"], "uid": observed.uid}}
        return await self._apply(manifest, force=True)

    async def remove(self, child: Child, pointers: Sequence[str]) -> Raw | None:
        """Remove parts of exactly this version (Conflict: there is a newer one); None for no part."""
        if not pointers:
            return None
        version = {"op": "replace", "path": "/metadata/resourceVersion", "value": child.resource_version}
        patch = [version, *({"op": "remove", "path": pointer} for pointer in pointers)]
        path = _path(child.kind, child.namespace, child.name)
        return await self._request("PATCH", path, {"fieldManager": naming.MANAGER}, patch)

    async def delete(self, child: Child) -> None:
        """Delete this child, but no other object of the same name."""
        body = {"preconditions": {"uid": child.uid}, "propagationPolicy": "Background"}
        try:
            await self._request("DELETE", _path(child.kind, child.namespace, child.name), body=body)
        except NotFound:
            return

    async def apply_status(self, metadata: Raw, status: Raw) -> Raw:
        """Write the status of this object, but of no other object of the same name."""
        identity = {name: metadata[name] for name in ("name", "namespace", "uid")}
        body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": identity, "status": status}
        path = f"{_path(KIND, metadata['namespace'], metadata['name'])}/status"
        return await self._request("PATCH", path, _APPLY | {"force": "true"}, body)

    async def nudge(self, pod: Pod, revision: str) -> None:
        """Annotate the pod, so that the kubelet updates the ConfigMap volume now instead of within 90 s."""
        body = {"metadata": {"uid": pod.uid, "annotations": {naming.REVISION_ANNOTATION: revision}}}
        try:
            await self._request(
                "PATCH", _path("Pod", pod.namespace, pod.name), {"fieldManager": naming.MANAGER}, body
            )
        except (NotFound, Conflict):
            return

    async def post(self, event: Event, metadata: Raw, now: str) -> None:
        """Post an Event about an object; a failure is only logged."""
        namespace, name = metadata["namespace"], metadata["name"]
        about = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "namespace": namespace,
            "name": name,
            "uid": metadata["uid"],
        }
        body = {
            "metadata": {"generateName": f"{name}.", "namespace": namespace},
            "involvedObject": about,
            "reason": event.reason,
            "message": event.message[:1024],
            "type": "Warning" if event.is_warning else "Normal",
            "source": {"component": naming.MANAGER},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self._request("POST", f"/api/v1/namespaces/{namespace}/events", body=body)
        except NamespaceEnding:
            return
        except ApiError as error:
            _logger.warning("event %s of %s/%s could not be posted: %s", event.reason, namespace, name, error)

    async def _apply(self, manifest: Raw, *, force: bool) -> Raw:
        metadata = manifest["metadata"]
        path = _path(manifest["kind"], metadata["namespace"], metadata["name"])
        return await self._request("PATCH", path, _APPLY | {"force": str(force).lower()}, manifest)

    async def _request(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Body = None
    ) -> Raw:
        url = f"{path}?{urlencode(query)}" if query else path
        headers = {"Accept": "application/json", "Content-Type": _content_type(method, query or {}, body)}
        try:
            request = await self._api.param_serialize(
                method, url, header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            answer = await self._api.call_api(*request, _request_timeout=_TIMEOUT)
            if not 200 <= answer.status <= 299:
                raise await _error(answer, method, path)
            result: Raw = await answer.response.json()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise ApiError(
                0, f"{method} {path}: no answer from the API server ({error or 'timed out'})"
            ) from error
        return result


_APPLY = {"fieldManager": naming.MANAGER}


def _content_type(method: str, query: Mapping[str, str], body: Body) -> str:
    if method != "PATCH":
        return "application/json"
    if isinstance(body, list):
        return "application/json-patch+json"
    return "application/apply-patch+yaml" if "force" in query else "application/merge-patch+json"


async def _error(answer: Any, method: str, path: str) -> ApiError:
    # The answer for an API group that does not exist is plain text.
    text = await answer.response.text()
    body = json.loads(text) if text.startswith("{") else {"message": text.strip()}
    status: int = answer.status
    if status == 500 and "typed patch object" in body.get("message", ""):
        # A wrong type, an unknown field or a duplicate name in an applied manifest is a 500 with this text in
        # Kubernetes 1.36, and no reason or cause separates it from a server error. Pinned on a real API
        # server: test_reconcile.py::test_a_refusal_of_the_api_server_is_reported_in_its_words.
        status = 400
    causes = {cause.get("reason") for cause in (body.get("details") or {}).get("causes") or []}
    kind = NamespaceEnding if "NamespaceTerminating" in causes else _ERRORS.get(status, ApiError)
    return kind(status, f"{method} {path}: {status} {body.get('message') or answer.reason}")


def _path(kind: str, namespace: str | None, name: str = "") -> str:
    group, version, plural = naming.KINDS[kind]
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{scope}/{plural}{f'/{name}' if name else ''}"
