"""The operator as a process of its own, under the very rights the chart gives it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families

from devcluster.kubectl import Kubernetes
from tests.support.server_process import fetch, free_port
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "modelserver-operator"
RELEASE = "modelserver-operator"
SYSTEM = "modelserver-system"
ACCOUNT = f"system:serviceaccount:{SYSTEM}:{RELEASE}"


def template(kubernetes: Kubernetes, *options: str, release: str = RELEASE) -> list[dict]:
    """The chart's manifests."""
    text = kubernetes.helm("template", release, str(CHART), "--namespace", SYSTEM, *options)
    return [document for document in yaml.safe_load_all(text) if document]


def is_operators_role(manifest: dict) -> bool:
    """The chart has other ClusterRoles, which are for people."""
    return manifest["kind"] in {"ClusterRole", "Role"} and manifest["metadata"]["name"] == RELEASE


def install(kubernetes: Kubernetes, *options: str, release: str = RELEASE) -> None:
    """All of the chart but the Deployment: the operator runs here as a process."""
    manifests = [
        item for item in template(kubernetes, *options, release=release) if item["kind"] != "Deployment"
    ]
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}}
    for place in dict.fromkeys(item["metadata"].get("namespace", SYSTEM) for item in (namespace, *manifests)):
        mine = [i for i in (namespace, *manifests) if i["metadata"].get("namespace", SYSTEM) == place]
        Kubernetes(kubernetes.environment, place).kubectl(
            "apply",
            "--server-side",
            "--force-conflicts",
            "-f",
            "-",
            stdin="\n---\n".join(map(json.dumps, mine)),
        )
    kubernetes.kubectl(
        "wait", "crd/modelservers.modelserver.dev", "--for=condition=Established", "--timeout=30s"
    )


def kubeconfig(kubernetes: Kubernetes, directory: Path, account: str = RELEASE) -> Path:
    """A kubeconfig that holds nothing but a token of the chart's ServiceAccount."""
    admin = yaml.safe_load(Path(kubernetes.environment["KUBECONFIG"]).read_text())
    token = (
        Kubernetes(kubernetes.environment, SYSTEM)
        .kubectl("create", "token", account, "--duration=2h")
        .strip()
    )
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": admin["clusters"][0]["cluster"]}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = directory / "operator.kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return path


@dataclass
class OperatorProcess:
    """Started and stopped at will; ended by its own pid."""

    kubeconfig: Path
    log_path: Path
    process: subprocess.Popen | None = None
    pod: str = "pod-0"
    """Its identity in the Lease: a process started again is a restarted container."""
    port: int = 0
    scale_port: int = 0

    def start(self, *options: str) -> None:
        self.port = self._spawn(*options)
        until("the operator lives", lambda: self._lives(self.port), timeout=30)

    def run_to_end(self) -> int:
        """Start one that is expected to exit on its own."""
        self._spawn()
        assert self.process is not None
        try:
            return self.process.wait(30)
        finally:
            self.stop()

    def _spawn(self, *options: str) -> int:
        port = free_port()
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("PYTEST")},
            "KUBECONFIG": str(self.kubeconfig),
            "PYTHONPATH": str(ROOT / "operator"),
            "POD_NAME": self.pod,
            "PYTHONFAULTHANDLER": "1",
        }
        self.port = port
        self.scale_port = free_port()
        command = [sys.executable, "-m", "modelserver_operator", "run", f"--liveness-port={port}"]
        command += [f"--scale-port={self.scale_port}", f"--scale-url=http://127.0.0.1:{self.scale_port}"]
        with self.log_path.open("a") as log:
            self.process = subprocess.Popen(
                [*command, *options], env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        return port

    def _lives(self, port: int) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()[-3000:]
        try:
            return fetch(f"http://127.0.0.1:{port}/healthz")[0] == 200
        except OSError:
            return False

    def ready(self) -> tuple[bool, str]:
        """Whether it is ready, and what it says about it."""
        status, text = fetch(f"http://127.0.0.1:{self.port}/readyz")[:2]
        return status == 200, text if isinstance(text, str) else text.decode()

    def stop(self) -> int:
        """SIGTERM, and SIGABRT for one that does not end, which writes its threads' stacks; the exit code."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        process, self.process = self.process, None
        try:
            return process.wait(15)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()
        raise AssertionError(f"the operator did not end within 15 s of SIGTERM:\n{self.log()[-6000:]}")

    def log(self) -> str:
        return self.log_path.read_text()

    def metrics(self) -> dict[tuple[str, ...], float]:
        """Every sample of /metrics, by its name and the values of its labels."""
        text = fetch(f"http://127.0.0.1:{self.port}/metrics")[1].decode()
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


class Requests:
    """Requests of the operator's account by verb and resource, from the API server's own metrics.

    The server counts by flow schema and not by account, so each pair gets a flow schema that only this
    account matches. It classifies before it authorises: what is forbidden is counted too.
    """

    _METRIC = r'apiserver_flowcontrol_dispatched_requests_total\{flow_schema="%s-([a-z-]+)",[^}]*\} (\S+)'
    VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
    RESOURCES = (
        "modelservers", "modelservers/status", "configmaps", "services", "serviceaccounts", "deployments",
        "controllerrevisions", "pods", "events", "leases", "horizontalpodautoscalers", "poddisruptionbudgets",
        "scaledobjects", "capacitybuffers", "verticalpodautoscalers", "nodes",
    )  # fmt: skip

    def __init__(self, kubernetes: Kubernetes, account: str = RELEASE, prefix: str = "op") -> None:
        self._kubernetes = kubernetes
        self._account, self._prefix = account, prefix

    def install(self) -> None:
        pairs = [(verb, resource) for verb in self.VERBS for resource in self.RESOURCES]
        schemas = [self._schema(f"{v}-{r.replace('/', '-')}", v, r, 300) for v, r in pairs]
        schemas.append(self._schema("any-other", "*", "*", 301))
        self._kubernetes.kubectl(
            "apply", "--server-side", "-f", "-", stdin="\n---\n".join(map(json.dumps, schemas))
        )
        until("the flow schemas count", self._is_counting, timeout=30)

    def _is_counting(self) -> bool:
        who = ["--as", f"system:serviceaccount:{SYSTEM}:{self._account}"]
        self._kubernetes.kubectl(
            "get", "modelservers", "--all-namespaces", "--ignore-not-found", "-o", "name", *who
        )
        return self.totals().get(("list", "modelservers"), 0) > 0

    def totals(self) -> dict[tuple[str, str], float]:
        text = self._kubernetes.kubectl("get", "--raw", "/metrics")
        found = {}
        for name, value in re.findall(self._METRIC % self._prefix, text):
            verb, _, resource = name.partition("-")
            found[verb, resource.replace("modelservers-status", "modelservers/status")] = float(value)
        return {key: value for key, value in found.items() if value}

    def since(self, before: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
        now = self.totals()
        return {k: v - before.get(k, 0) for k, v in now.items() if v != before.get(k, 0)}

    def await_quiet(self) -> None:
        """Wait until two looks in a row see no new request but those for a Lease."""

        def is_quiet() -> bool:
            before = self.totals()
            time.sleep(1)  # between two looks
            return {pair for pair in self.since(before) if pair[1] != "leases"} == set()

        until("the operator is quiet", is_quiet, timeout=30)

    def _schema(self, name: str, verb: str, resource: str, precedence: int) -> dict:
        return {
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
            "kind": "FlowSchema",
            "metadata": {"name": f"{self._prefix}-{name}"},
            "spec": {
                "matchingPrecedence": precedence,
                "priorityLevelConfiguration": {"name": "workload-high"},
                "distinguisherMethod": {"type": "ByUser"},
                "rules": [
                    {
                        "subjects": [
                            {
                                "kind": "ServiceAccount",
                                "serviceAccount": {"name": self._account, "namespace": SYSTEM},
                            }
                        ],
                        "resourceRules": [
                            {
                                "verbs": [verb],
                                "apiGroups": ["*"],
                                "resources": [resource],
                                "namespaces": ["*"],
                                "clusterScope": True,
                            }
                        ],
                    }
                ],
            },
        }
