"""A served object under constant load, and everything that a watch saw of it meanwhile."""

import contextlib
import http.client
import itertools
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from devcluster.admin import AdminApi
from devcluster.kubectl import Kubernetes
from tests.support.waiting import until

LOAD = Path(__file__).with_name("load.py").read_text()
OBJECT = """
apiVersion: modelserver.dev/v1alpha1
kind: ModelServer
metadata: {name: NAME}
spec:
  models:
  - {name: plus-one, uri: "pvc://models/plus-one"}
  replicas: 2
  cpuManagerPolicy: none
  resources:
    requests: {cpu: 100m, memory: 128Mi}
    limits: {cpu: LIMIT, memory: 512Mi}
  rollout: {drainSeconds: 5}
"""
CLIENT = """
apiVersion: v1
kind: Pod
metadata: {name: load}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  nodeName: NODE
  containers:
  - name: load
    image: IMAGE
    command: [/opt/venv/bin/python, -c, "import time; time.sleep(3600)"]
"""


def two_replicas(name: str, cpus: str) -> str:
    """An object with shared CPUs, at most so many for each pod."""
    return OBJECT.replace("NAME", name).replace("LIMIT", cpus)


@contextlib.contextmanager
def client(kubernetes: Kubernetes, image: str, node: str = "") -> Iterator[None]:
    """The pod from which requests are sent; it needs no scheduler where the node is given."""
    kubernetes.apply(CLIENT.replace("IMAGE", image).replace("NODE", node))
    try:
        kubernetes.kubectl("wait", "pod/load", "--for=condition=Ready", "--timeout=60s")
        yield
    finally:
        kubernetes.kubectl("delete", "pod", "load", "--ignore-not-found", "--wait=true")


@dataclass
class Load:
    """Requests to one object, until the end of the `with`."""

    kubernetes: Kubernetes
    name: str
    answered: int = 0
    errors: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        command = ["kubectl", "exec", "-i", "pod/load", "--", "/opt/venv/bin/python", "-c", LOAD]
        self._process = subprocess.Popen(
            [*command, self.name, "8081"],
            env=self.kubernetes.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        is_over = self._process.poll() is not None
        output, _ = self._process.communicate(timeout=30)
        assert not is_over, f"everything must happen under load: {output}"
        result = json.loads(output)
        self.answered, self.errors = result["answered"], result["errors"]


class Watch:
    """Every state of the objects of one kind that a selector finds, until the end of the `with`."""

    def __init__(self, kubernetes: Kubernetes, path: str, **query: str) -> None:
        self.objects: list[dict[str, Any]] = []
        """As each change left one of them."""
        self._api = AdminApi(kubernetes.environment["KUBECONFIG"])
        self._path, self._query = path, {"watch": "true", **query}
        self._ended = threading.Event()
        self._reading = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        self._reading.start()
        until("the first state", lambda: self.objects, timeout=20)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._reading.join(10)

    def _read(self) -> None:
        """One watch after the other: each goes on where the last one ended."""
        while not self._ended.is_set():
            self._connection = self._api.connect()
            with contextlib.suppress(OSError, http.client.HTTPException, AttributeError):
                last = {"resourceVersion": _version(self.objects[-1])} if self.objects else {}
                self._connection.request("GET", f"{self._path}?{urlencode(self._query | last)}")
                for line in self._connection.getresponse():
                    event = json.loads(line)
                    assert event["type"] != "ERROR", event
                    self.objects.append(event["object"])
            self._connection.close()


def _version(body: dict[str, Any]) -> str:
    return str(body["metadata"]["resourceVersion"])


class Serving(Watch):
    """How many pods take requests, by the endpoints of the object's Service."""

    def __init__(self, kubernetes: Kubernetes, name: str) -> None:
        path = f"/apis/discovery.k8s.io/v1/namespaces/{kubernetes.namespace}/endpointslices"
        super().__init__(kubernetes, path, labelSelector=f"kubernetes.io/service-name={name}")

    def counts(self) -> list[int]:
        """As often as it changed."""
        ready = [
            sum(one["conditions"].get("ready", False) for one in body.get("endpoints") or [])
            for body in self.objects
        ]
        return [count for count, _ in itertools.groupby(ready)]


class Wishes(Watch):
    """What the operator has made of the Deployment: replicas and template, as often as they changed."""

    def __init__(self, kubernetes: Kubernetes, name: str) -> None:
        path = f"/apis/apps/v1/namespaces/{kubernetes.namespace}/deployments"
        super().__init__(kubernetes, path, fieldSelector=f"metadata.name={name}")

    def states(self) -> list[tuple[int, str]]:
        specs = [body["spec"] for body in self.objects]
        states = [(spec["replicas"], json.dumps(spec["template"], sort_keys=True)) for spec in specs]
        return [state for state, _ in itertools.groupby(states)]
