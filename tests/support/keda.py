"""KEDA on a kind cluster, real: its programs, its CRDs and rights, its metrics in the API server."""

from devcluster import Cluster, engine, load
from devcluster.build import keda
from devcluster.host.progress import Progress
from devcluster.kubectl import Kubernetes
from tests.support.waiting import until

NAMESPACE = keda.NAMESPACE
DEPLOYMENTS = (keda.OPERATOR, keda.ADAPTER)
_API = "v1beta1.external.metrics.k8s.io"


def install(cluster: Cluster) -> None:
    """Install it and wait until the API server gets metrics from it."""
    load(cluster.name, *keda.images(engine.ensure(), Progress(0)))
    kubernetes = cluster.kubernetes(NAMESPACE)
    manifest = keda.manifest(cluster.binaries / "kubectl")
    # A part of it is in kube-system.
    everywhere = Kubernetes(kubernetes.environment, namespace="")
    everywhere.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest)
    is_up(kubernetes)


def is_up(kubernetes: Kubernetes, timeout: float = 240) -> None:
    """Wait for both programs; the second one cannot start before the first has made the certificates."""
    system = Kubernetes(kubernetes.environment, NAMESPACE)
    for name in DEPLOYMENTS:
        system.kubectl(
            "rollout", "status", f"deployment/{name}", f"--timeout={timeout:.0f}s", timeout=timeout + 30
        )
    answers = lambda: system.succeeds("get", "--raw", "/apis/external.metrics.k8s.io/v1beta1")  # noqa: E731
    until(f"the API server reaches {_API}", answers, timeout=120)


def scale(kubernetes: Kubernetes, replicas: int) -> None:
    """Stop both programs, or start them again."""
    system = Kubernetes(kubernetes.environment, NAMESPACE)
    for name in DEPLOYMENTS:
        system.kubectl("scale", f"deployment/{name}", f"--replicas={replicas}")
    if replicas:
        is_up(kubernetes)
    else:
        until("KEDA is gone", lambda: not system.items("pods"), timeout=60)
