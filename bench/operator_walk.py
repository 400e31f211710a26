"""The walks through the operator: a new object, and a settled one, from its watch to its status.

The API server is a real one, without controllers, so that nobody but the operator and this module changes
anything in it. Counted is what the operator calls from the change of an object to the end of the pass that it
causes:

- new: an object is created; the operator writes its children and its status;
- settled: an object whose pod is ready gets a label; the operator compares everything, asks the pod's server,
  and has nothing to write.

The watches also report the operator's own writes while the pass runs, and one that comes before the answer to
the write causes a second pass. Neither is counted (`bench.tracing.one_pass`).
"""

import contextlib
import json
import os
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import devcluster
from bench import models, peers
from bench.recording import Traced, traced, wait_for
from bench.tracing import Step, Walk, commonest, one_pass, walk, without
from devcluster.host.ports import free
from devcluster.kubectl import Kubernetes

CRD = Path(__file__).parents[1] / "crds" / "modelservers.modelserver.dev.yaml"
KIND = "modelserver"
MODEL = "model"
TIME = "2026-01-01T00:00:00Z"
LONG_SECONDS = "3600"
"""Longer than all walks: what the operator does from time to time does not happen in between."""
OBJECTS = tuple(f"server-{letter}" for letter in "abcde")
CORE = 0
LEASE = "modelserver-operator"
Raw = dict[str, Any]


@dataclass(frozen=True)
class Operator:
    """The traced operator and its API server."""

    program: Traced
    kubernetes: Kubernetes
    directory: Path

    def record(self, *kubectl: str, stdin: str | None = None) -> list[Step]:
        """What the operator does about a change that is made with kubectl."""
        steps = self.program.record_until_quiet(lambda: self.kubernetes.kubectl(*kubectl, stdin=stdin))
        return without(steps, self.program.idle)

    def report(self, kind: str, name: str, status: Raw) -> None:
        """Write a status as a controller or a kubelet would."""
        patch = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
        self.kubernetes.kubectl("patch", kind, name, *patch)

    def is_ready(self, name: str) -> bool:
        return self.kubernetes.condition(name, "Ready").get("status") == "True"


def walks(directory: Path) -> Iterator[Walk]:
    """Both, by one operator."""
    models.save(models.dummy(), directory / MODEL)
    ports = dict(zip(("grpc", "rest", "status"), free(3), strict=True))
    with _running(directory) as operator:
        yield _new(operator, ports)
        with _pod(operator, OBJECTS[-1], ports["status"]):
            wait_for(lambda: operator.is_ready(OBJECTS[-1]), "Ready")
            yield _settled(operator, OBJECTS[-1])


@contextlib.contextmanager
def _running(directory: Path) -> Iterator[Operator]:
    name = f"walks-{os.getpid()}"
    try:
        kubernetes = devcluster.up(name, no_node=True).kubernetes()
        kubernetes.kubectl("apply", "--server-side", "-f", str(CRD))
        wait_for(lambda: kubernetes.succeeds("get", KIND), "the API of the CRD")
        # One worker: others would look at the queue in between.
        port = free(1)[0]
        options = ["run", "--liveness-port", str(port), "--scale-port", str(free(1)[0]), "--workers", "1"]
        options += ["--resync-seconds", LONG_SECONDS, "--relist-seconds", LONG_SECONDS]
        variables = {"KUBECONFIG": kubernetes.environment["KUBECONFIG"]}
        with traced("modelserver_operator", options, directory / "operator.log", **variables) as program:
            wait_for(lambda: _lives(port), "the operator")
            wait_for(lambda: kubernetes.succeeds("get", "lease", LEASE, "-n", "kube-system"), "its Lease")
            program.learn_idle()
            yield Operator(program, kubernetes, directory)
    finally:
        devcluster.down(name)


def _lives(port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
        return True
    return False


def _new(operator: Operator, ports: dict[str, int]) -> Walk:
    """The last object stays; the others are deleted, so that no pass of theirs falls into a recording."""
    model = {"name": MODEL, "uri": (operator.directory / MODEL).as_uri()}
    found: list[Walk] = []
    for name in OBJECTS:
        if found:
            operator.record("delete", KIND, OBJECTS[len(found) - 1])
        body = {
            "apiVersion": "modelserver.dev/v1alpha1", "kind": "ModelServer", "metadata": {"name": name},
            "spec": {"models": [model], "ports": ports},
        }  # fmt: skip
        found.append(_walk("new", operator.record("create", "-f", "-", stdin=json.dumps(body))))
        if not operator.kubernetes.get(KIND, name).get("status"):
            raise RuntimeError(f"{name} has no status")
    return commonest(found)


def _settled(operator: Operator, name: str) -> Walk:
    labels = [f"walk={number}" for number in range(len(OBJECTS))]
    recordings = [operator.record("label", "--overwrite", KIND, name, label) for label in labels]
    return commonest([_walk("settled", steps) for steps in recordings])


@contextlib.contextmanager
def _pod(operator: Operator, name: str, status_port: int) -> Iterator[None]:
    """What controllers and a kubelet do with the children: one ready pod, its server pinned to a core."""
    kubernetes = operator.kubernetes
    config = operator.directory / "config.json"
    config.write_text(kubernetes.get("configmap", f"{name}-config")["data"]["config.json"])
    template = kubernetes.get("deployment", name)["spec"]["template"]
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": "r", "controller": True}
    metadata = {"name": f"{name}-1", "labels": template["metadata"]["labels"], "ownerReferences": [owner]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    kubernetes.kubectl("create", "-f", "-", stdin=json.dumps(pod))
    options = ("--status_port", str(status_port))
    with peers.ours(operator.directory / MODEL, operator.directory, *options, core=CORE, config=config):
        counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "observedGeneration")
        operator.report("deployment", name, dict.fromkeys(counts, 1))
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": TIME}
        operator.report("pod", f"{name}-1", {"phase": "Running", "podIP": "127.0.0.1", "conditions": [ready]})
        yield


def _walk(name: str, steps: list[Step]) -> Walk:
    return walk(f"ModelServer to its status, {name}", one_pass(steps), ())
