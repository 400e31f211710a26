"""The one node of a kind cluster, changed as an administrator would change it."""

import json
from dataclasses import dataclass

from devcluster import Cluster
from devcluster.engine import Engine
from devcluster.errors import CommandFailed
from devcluster.kubectl import until

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

    def _cpu_policy(self) -> str:
        try:
            document = self.cluster.kubectl("get", "--raw", f"/api/v1/nodes/{self.name}/proxy/configz")
        except CommandFailed:  # it is starting
            return ""
        return json.loads(document)["kubeletconfig"]["cpuManagerPolicy"]
