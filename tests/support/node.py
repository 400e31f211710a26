"""The one node of a kind cluster, changed as an administrator would change it."""

import json
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
