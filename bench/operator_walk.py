"""The walks through the operator: a new object, and a settled one, from its watch to its status."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from bench.apiserver import KINDS, SERVERS, TIME, ApiServer, Raw
from bench.recording import Traced, traced, wait_for
from bench.tracing import Walk, commonest, walk
from devcluster.host.ports import free

NAME, MODEL = "server", "m"
REPEATS = 5


def walks(directory: Path) -> Iterator[Walk]:
    """Both, by one operator."""
    api = ApiServer()
    with api.running(), _running(api, directory) as program:
        wait_for(lambda: api.watches == len(KINDS), "all watches")
        program.learn_idle()
        steps = program.record(lambda: _create(api))
        yield walk("ModelServer to its status, new", steps, program.idle)
        api.speak()
        _become_ready(api)
        passes = [program.record(lambda: _pass(api)) for _ in range(REPEATS)]
        yield commonest([walk("ModelServer to its status, settled", one, program.idle) for one in passes])


@contextlib.contextmanager
def _running(api: ApiServer, directory: Path) -> Iterator[Traced]:
    file = directory / "kubeconfig"
    named = {"name": "bench"}
    document = {
        "apiVersion": "v1", "kind": "Config", "current-context": "bench",
        "clusters": [named | {"cluster": {"server": f"http://127.0.0.1:{api.port}"}}],
        "users": [named | {"user": {"token": "bench"}}],
        "contexts": [named | {"context": {"cluster": "bench", "user": "bench"}}],
    }  # fmt: skip
    file.write_text(yaml.safe_dump(document))
    # One worker: others would look at the queue in between.
    options = ["run", "--liveness-port", str(free(1)[0]), "--workers", "1", "--resync-seconds", "1"]
    with traced("modelserver_operator", options, directory / "operator.log", KUBECONFIG=str(file)) as program:
        yield program


def _create(api: ApiServer) -> None:
    entry = {"name": MODEL, "uri": "file:///models/m"}
    ports = {"grpc": 9000, "rest": 8000, "status": api.port}
    api.put(SERVERS, {"metadata": {"name": NAME}, "spec": {"models": [entry], "ports": ports}})
    wait_for(lambda: api.statuses > 0, "a status")


def _pass(api: ApiServer) -> None:
    """A settled object is looked at again from time to time, and its pods are asked then."""
    asked = api.reports
    wait_for(lambda: api.reports > asked, "the next pass")


def _become_ready(api: ApiServer) -> None:
    """What a cluster does with the children: one pod, ready, that serves what it should."""
    deployment = api.objects["deployments", NAME]
    config = json.loads(api.objects["configmaps", f"{NAME}-config"]["data"]["config.json"])
    api.report = _report(config["revision"])
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "observedGeneration"), 1)
    api.put("deployments", {**deployment, "status": counts})
    template = deployment["spec"]["template"]
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": NAME, "uid": "r", "controller": True}
    metadata = {"name": f"{NAME}-1", "labels": template["metadata"]["labels"], "ownerReferences": [owner]}
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": TIME}
    status = {"phase": "Running", "podIP": "127.0.0.1", "qosClass": "Guaranteed", "conditions": [ready]}
    api.put("pods", {"metadata": metadata, "spec": template["spec"], "status": status})
    wait_for(lambda: _is_ready(api.objects[SERVERS, NAME]), "Ready")


def _is_ready(server: Raw) -> bool:
    conditions = server.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _report(revision: str) -> dict[str, Any]:
    version = {"version": 1, "state": "AVAILABLE", "wanted": True, "error": None}
    model = {
        "name": MODEL, "device": "CPU", "executionDevices": ["CPU"], "streams": 1, "nireq": 1,
        "hint": "LATENCY", "threads": 1, "versions": [version], "revision": revision, "error": None,
    }  # fmt: skip
    return {
        "schemaVersion": 1, "serverVersion": "bench", "revision": revision, "ready": True, "draining": False,
        "affinity": [0], "cpusOnline": 2, "quota": None, "threads": 1, "pinning": True, "pinningReason": "",
        "workers": 1, "warnings": [], "models": [model],
    }  # fmt: skip
