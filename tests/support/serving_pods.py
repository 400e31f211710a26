"""How many pods of an object serve, followed in the order in which the API server changed them."""

import json
import threading
from typing import Self
from urllib.parse import quote

from devcluster.admin import AdminApi
from devcluster.kubectl import Kubernetes, selector


class ServingPods:
    """A watch of them; a context manager. No state between two looks is missed."""

    def __init__(self, kubernetes: Kubernetes, name: str) -> None:
        path = f"/api/v1/namespaces/{kubernetes.namespace}/pods?watch=1&labelSelector={quote(selector(name))}"
        self._connection = AdminApi(kubernetes.environment["KUBECONFIG"]).connect()
        self._connection.request("GET", path)
        self._answer = self._connection.getresponse()
        self._connection.sock.settimeout(None)  # nothing may happen for a long time
        self._serving: set[str] = set()
        self._lock = threading.Lock()
        self._fewest = 0
        self._thread = threading.Thread(target=self._follow)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.sock.shutdown(2)
        self._thread.join(10)
        self._connection.close()

    @property
    def now(self) -> int:
        return len(self._serving)

    def begin(self) -> None:
        """`fewest` counts from here on."""
        with self._lock:
            self._fewest = len(self._serving)

    @property
    def fewest(self) -> int:
        return self._fewest

    def _follow(self) -> None:
        while line := self._answer.readline():
            event = json.loads(line)
            pod = event["object"]
            with self._lock:
                if event["type"] != "DELETED" and _serves(pod):
                    self._serving.add(pod["metadata"]["uid"])
                else:
                    self._serving.discard(pod["metadata"]["uid"])
                self._fewest = min(self._fewest, len(self._serving))


def _serves(pod: dict) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    is_ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
    return is_ready and "deletionTimestamp" not in pod["metadata"]
