"""The one node of a kind cluster, changed as an administrator would change it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from devcluster import Cluster
from devcluster.engine import Engine
from devcluster.errors import CommandFailed
from tests.support.waiting import until

CONFIGURATION = "/var/lib/kubelet/config.yaml"


@dataclass(frozen=True)
class Node:
    cluster: Cluster
    engine: Engine

    @property
    def name(self) -> str:
        return f"{self.cluster.name}-control-plane"

    def set_cpu_policy(self, policy: str) -> None:
        """Restart the kubelet with another CPU policy; its old state would keep it from starting."""
        self.engine.run(
            "exec", self.name, "sh", "-c",
            f"systemctl stop kubelet && rm -f /var/lib/kubelet/cpu_manager_state"
            f" && sed -i 's/^cpuManagerPolicy: .*/cpuManagerPolicy: {policy}/' {CONFIGURATION}"
            f" && systemctl start kubelet",
        )  # fmt: skip
        until(f"a kubelet with the policy {policy}", lambda: self._cpu_policy() == policy, timeout=60)
        until("the kubelet knows its pods again", self._knows_its_pods, timeout=60)

    @contextmanager
    def redirected(self, source: str, port: int, to: int) -> Iterator[None]:
        """What the pod with this address sends to that port of any pod goes to a port of the node."""
        rule = ("PREROUTING", "-s", source, "-p", "tcp", "--dport", str(port))
        with self._rule("nat", *rule, "-j", "REDIRECT", "--to-ports", str(to)):
            yield

    @contextmanager
    def cut_off(self, source: str, port: int) -> Iterator[None]:
        """What it sends to that port is dropped, as by a network policy."""
        with self._rule("mangle", "FORWARD", "-s", source, "-p", "tcp", "--dport", str(port), "-j", "DROP"):
            yield

    @contextmanager
    def _rule(self, table: str, chain: str, *rule: str) -> Iterator[None]:
        command = ("exec", self.name, "iptables", "-w", "-t", table)
        self.engine.run(*command, "-I", chain, *rule)
        try:
            yield
        finally:
            self.engine.run(*command, "-D", chain, *rule)

    def pids(self, pod_uid: str, program: str) -> list[str]:
        """Processes of a pod on the node whose command line contains `program`."""
        # Its cgroup has the uid with hyphens or, by systemd, with underscores.
        uid = pod_uid.replace("-", "[-_]")
        script = (
            f"for p in /proc/[0-9]*; do grep -qs 'pod{uid}' $p/cgroup"
            f" && tr '\\0' ' ' < $p/cmdline | grep -q '{program}' && basename $p; done; true"
        )
        return self.engine.run("exec", self.name, "sh", "-c", script).split()

    def signal(self, pid: str, name: str) -> None:
        """Send a signal to a process."""
        self.engine.run("exec", self.name, "kill", f"-{name}", pid)

    def _cpu_policy(self) -> str:
        return self._ask("configz").get("kubeletconfig", {}).get("cpuManagerPolicy", "")

    def _knows_its_pods(self) -> bool:
        """Until it has read them from the API server, exec fails as for pods that do not exist."""
        known = {pod["metadata"]["uid"] for pod in self._ask("pods").get("items") or ()}
        text = self.cluster.kubectl(
            "get", "pods", "--all-namespaces", "--field-selector", f"spec.nodeName={self.name}", "-o", "json"
        )
        pods = [pod["metadata"] for pod in json.loads(text)["items"]]
        mirror = "kubernetes.io/config.mirror"
        return known >= {pod["uid"] for pod in pods if mirror not in pod.get("annotations", {})}

    def _ask(self, path: str) -> dict:
        """The kubelet itself; nothing while it is starting."""
        try:
            return json.loads(self.cluster.kubectl("get", "--raw", f"/api/v1/nodes/{self.name}/proxy/{path}"))
        except CommandFailed:
            return {}
