"""Reads objects from the API as `kubectl get` does, without starting a program for each question.

A test that waits asks many times, and kubectl spends a tenth of a second of CPU on each answer.
"""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from devcluster.errors import CommandFailed

_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_SECONDS = 30
Raw = dict[str, Any]


@dataclass(frozen=True)
class _Resource:
    """Where the objects of one kind are."""

    root: str
    """The path of its API group and version."""
    plural: str
    is_namespaced: bool

    def path(self, namespace: str) -> str:
        scope = f"/namespaces/{namespace or 'default'}" if self.is_namespaced else ""
        return f"{self.root}{scope}/{self.plural}"


class Reader:
    """One cluster's API, with the credentials of a kubeconfig."""

    def __init__(self, kubeconfig: str) -> None:
        load = cast("Any", config).new_client_from_config
        settings = client.Configuration()
        settings.retries = False
        self._api: client.ApiClient = load(config_file=kubeconfig, client_configuration=settings)
        self._resources: dict[str, _Resource] = {}

    def get(self, kind: str, namespace: str, name: str) -> Raw:
        """One object; raises CommandFailed."""
        return _shown(self._ask(f"{self._resource(kind).path(namespace)}/{quote(name)}"))

    def items(self, kinds: str, namespace: str, selector: str) -> list[Raw]:
        """The objects of these kinds (separated by commas) with these labels; raises CommandFailed."""
        return [item for kind in kinds.split(",") for item in self._items(kind, namespace, selector)]

    def _items(self, kind: str, namespace: str, selector: str) -> list[Raw]:
        found = self._ask(f"{self._resource(kind).path(namespace)}?labelSelector={quote(selector)}")
        own = {"apiVersion": found["apiVersion"], "kind": found["kind"].removesuffix("List")}
        return [_shown({**own, **item}) for item in found["items"]]

    def _resource(self, kind: str) -> _Resource:
        """By plural, singular, kind or short name; read again when it is not known, as CRDs come and go."""
        if kind.lower() not in self._resources:
            self._resources = self._discover()
        try:
            return self._resources[kind.lower()]
        except KeyError:
            raise CommandFailed(f"the API server has no resource type {kind}") from None

    def _discover(self) -> dict[str, _Resource]:
        known: dict[str, _Resource] = {}
        for place in ("/api", "/apis"):
            for group in self._ask(place, _DISCOVERY)["items"]:
                name, newest = group["metadata"].get("name", ""), group["versions"][0]
                root = f"{place}/{name}/{newest['version']}" if name else f"{place}/{newest['version']}"
                for item in newest.get("resources") or []:
                    resource = _Resource(root, item["resource"], item["scope"] == "Namespaced")
                    for alias in _aliases(item):
                        known.setdefault(alias, resource)
                        known.setdefault(f"{alias}.{name}", resource)
        return known

    def _ask(self, path: str, accept: str = "application/json") -> Raw:
        headers = {"Accept": accept}
        try:
            request = self._api.param_serialize(
                "GET", path, header_params=headers, auth_settings=["BearerToken"]
            )
            answer = self._api.call_api(*request, _request_timeout=_SECONDS)
            text = answer.read()  # type: ignore[no-untyped-call]
        except (ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise CommandFailed(f"GET {path}: no answer from the API server ({error})") from error
        if answer.status != 200:
            raise CommandFailed(f"GET {path}: {_reason(text)}")
        found: Raw = json.loads(text)
        return found


def _shown(body: Raw) -> Raw:
    """Without what kubectl leaves out."""
    body["metadata"].pop("managedFields", None)
    return body


def _aliases(item: Raw) -> list[str]:
    kind = (item.get("responseKind") or {}).get("kind", "")
    names = [item["resource"], item.get("singularResource", ""), kind.lower(), *item.get("shortNames", [])]
    return [name for name in names if name]


def _reason(text: bytes) -> str:
    """As kubectl prints it."""
    try:
        status = json.loads(text)
        return f"Error from server ({status.get('reason')}): {status.get('message')}"
    except ValueError:
        return text.decode(errors="replace").strip()


@functools.lru_cache(maxsize=16)
def _reader(kubeconfig: str, _changed: int) -> Reader:
    return Reader(kubeconfig)


def reader(kubeconfig: str) -> Reader:
    """The reader of this kubeconfig; another one when the file has changed."""
    try:
        changed = Path(kubeconfig).stat().st_mtime_ns
    except OSError as error:
        raise CommandFailed(f"the kubeconfig {kubeconfig} cannot be read: {error.strerror}") from error
    return _reader(kubeconfig, changed)
