"""What the operator's benchmark asks the API server: as an administrator, without a client library's cost."""

import http.client
import json
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devcluster.admin import AdminApi

Raw = dict[str, Any]
CALLERS = 8
JSON, MERGE = "application/json", "application/merge-patch+json"
ONLY_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
OWN = "labelSelector=app.kubernetes.io/managed-by%3Dmodelserver-operator"
OBJECTS = "/apis/modelserver.dev/v1alpha1/namespaces/{}/modelservers"
CHILDREN = {
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Service": "/api/v1/namespaces/{}/services",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "ControllerRevision": "/apis/apps/v1/namespaces/{}/controllerrevisions",
}
PODS = "/api/v1/namespaces/{}/pods"


@dataclass(frozen=True)
class Seen:
    """An event of a watch, and when it came."""

    kind: str
    change: str
    body: Raw
    at: float

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])


class ApiServer:
    """One namespace of it."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self._api = AdminApi(kubeconfig)
        self.namespace = namespace

    def ask(self, method: str, path: str, body: Raw | None = None, **headers: str) -> Any:
        """The answer as JSON; `{}` in the path is the namespace. RuntimeError: it was refused."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        status, said = self._api.ask(method, path.format(self.namespace), body, names)
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {said[:500]!r}")
        return json.loads(said)

    def patch(self, path: str, change: Raw) -> Any:
        """Merge this into an object."""
        return self.ask("PATCH", path, change, Content_Type=MERGE)

    def together(self, work: Callable[[Any], object], items: Iterable[Any]) -> None:
        """Do this for all items, several at a time."""
        with ThreadPoolExecutor(CALLERS) as pool:
            for _ in pool.map(work, items):
                pass

    def objects(self) -> list[Raw]:
        """All ModelServers, as the API server's cache has them."""
        items: list[Raw] = self.ask("GET", f"{OBJECTS}?resourceVersion=0")["items"]
        return items

    def count(self, path: str) -> int:
        """How many of the operator's own there are below this path."""
        return len(self.ask("GET", f"{path}?resourceVersion=0&{OWN}", Accept=ONLY_METADATA)["items"] or ())

    @contextmanager
    def watched(self) -> Iterator["queue.Queue[Seen]"]:
        """What happens to ModelServers and their children from now on, in the order in which it comes."""
        found: queue.Queue[Seen] = queue.Queue()
        streams = [(kind, f"{path}?{OWN}&watch=1") for kind, path in CHILDREN.items()]
        connections = [self._api.connect() for _ in (*streams, "ModelServer")]
        for connection, (kind, path) in zip(
            connections, [*streams, ("ModelServer", f"{OBJECTS}?watch=1")], strict=True
        ):
            connection.request("GET", path.format(self.namespace))
            answer = connection.getresponse()
            threading.Thread(target=_follow, args=(answer, kind, found), daemon=True).start()
        try:
            yield found
        finally:
            for connection in connections:
                if connection.sock is not None:
                    connection.sock.close()


def _follow(answer: http.client.HTTPResponse, kind: str, found: "queue.Queue[Seen]") -> None:
    try:
        while line := answer.readline():
            event = json.loads(line)
            found.put(Seen(kind, event["type"], event["object"], time.monotonic()))
    except (OSError, ValueError, http.client.HTTPException, AttributeError):
        return  # the connection was closed
