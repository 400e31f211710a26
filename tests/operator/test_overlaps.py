"""Two objects whose pods may run on the same CPU of a node both say so, until one of them is gone."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from devcluster.kubectl import Kubernetes
from tests.support.modelservers import model_server
from tests.support.reports import document
from tests.support.waiting import until

pytestmark = pytest.mark.api
NAMES = ("one", "two")
OVERLAPPING = {("False", "Overlapping")}
CPUS = {"cpu": "1", "memory": "1Gi"}


@pytest.fixture
def port() -> Iterator[int]:
    """The status port of every server here: it may run on CPU 0 of four, whose quota is lifted."""
    body = json.dumps({**json.loads(document()), "quota": None}).encode()

    class Status(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Status) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def node(kubernetes: Kubernetes) -> Iterator[str]:
    name = f"of-{kubernetes.namespace}"
    kubernetes.apply(json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}))
    yield name
    kubernetes.kubectl("delete", "pod", "--all", "--force", "--grace-period=0")
    kubernetes.kubectl("delete", "node", name)


def running(kubernetes: Kubernetes, name: str, node: str, port: int) -> None:
    """A ready pod of the object, on the node; its ReplicaSet can make none: there is no such priority."""
    kubernetes.apply(json.dumps(model_server(name, paused=True, ports={"status": port})))
    labels = {
        "app.kubernetes.io/name": "modelserver", "app.kubernetes.io/instance": name,
        "app.kubernetes.io/managed-by": "modelserver-operator",
    }  # fmt: skip
    own = {"set": name}
    nothing = {"priorityClassName": "none", "containers": [{"name": "c", "image": "none"}]}
    template = {"metadata": {"labels": own}, "spec": nothing}
    spec = {"replicas": 1, "selector": {"matchLabels": own}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name}, "spec": spec}
    kubernetes.apply(json.dumps(body))
    owner = {
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "controller": True,
        "uid": kubernetes.get("replicaset", name)["metadata"]["uid"],
    }  # fmt: skip
    container = {
        "name": "modelserver", "image": "none", "resources": {"requests": CPUS, "limits": CPUS},
        "ports": [{"name": "status", "containerPort": port}],
    }  # fmt: skip
    metadata = {"name": name, "labels": {**labels, **own}, "ownerReferences": [owner]}
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": {"nodeName": node, "containers": [container]},
    }  # fmt: skip
    kubernetes.kubectl("create", "-f", "-", stdin=json.dumps(pod))
    status = {
        "phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}],
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    }  # fmt: skip
    kubernetes.kubectl(
        "patch", "pod", name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status})
    )


def verdict(kubernetes: Kubernetes, name: str) -> tuple[str, str]:
    found = kubernetes.condition(name, "ExclusiveCPUs")
    return str(found.get("status")), str(found.get("reason"))


@pytest.mark.usefixtures("operator")
def test_both_objects_say_that_they_overlap_until_one_of_them_goes(
    kubernetes: Kubernetes, node: str, port: int
):
    running(kubernetes, "one", node, port)
    until("alone it is exclusive", lambda: verdict(kubernetes, "one") == ("True", "Exclusive"), timeout=30)

    running(kubernetes, "two", node, port)
    until("both overlap", lambda: {verdict(kubernetes, name) for name in NAMES} == OVERLAPPING, timeout=120)
    for name, other in zip(NAMES, reversed(NAMES), strict=True):
        message = kubernetes.condition(name, "ExclusiveCPUs")["message"]
        assert f"shares CPU 0 of node {node} with pod {other}" in message

    kubernetes.kubectl("delete", "modelserver", "two")
    kubernetes.kubectl("delete", "pod", "two", "--force", "--grace-period=0")

    until("it is alone again", lambda: verdict(kubernetes, "one") == ("True", "Exclusive"), timeout=30)
