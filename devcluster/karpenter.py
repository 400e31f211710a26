"""Karpenter beside a control plane without a node: it makes simulated nodes for pods that find no room.

A real cluster autoscaler, with Karpenter's own provider for kwok: what it calls a machine is a Node in the
API, and kwok reports that node and its pods as running.
"""

from pathlib import Path

from devcluster.build import programs, upstream
from devcluster.host.process import Runner
from devcluster.host.progress import Progress
from devcluster.state import Cluster

PROGRAM = "karpenter"
_NAMESPACE = "kube-system"


def ensure(progress: Progress) -> Path:
    """The directory of the program, which is built if necessary."""
    return programs.build_separately(programs.KARPENTER, progress)


def start(cluster: Cluster) -> None:
    """Install its CRDs and start it; `down` ends it with the cluster."""
    directory = ensure(Progress())
    crds = upstream.karpenter_crds(directory)
    cluster.kubectl("apply", "--server-side", "-f", str(crds))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(crds))
    environment = {"KUBECONFIG": str(cluster.kubeconfig), "SYSTEM_NAMESPACE": _NAMESPACE}
    Runner(cluster.owner, environment).start(
        [
            directory / PROGRAM,
            "--disable-leader-election=true",
            "--metrics-port=0",
            "--health-probe-port=0",
            "--feature-gates=CapacityBuffer=true",
        ],
        cluster.directory / f"{PROGRAM}.log",
    )
