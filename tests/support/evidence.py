"""What a cluster looks like at the moment a test failed: shown beside the failure, since it is gone later."""

from devcluster.demo import installation
from devcluster.errors import CommandFailed
from devcluster.kubectl import Kubernetes

_LOG = (
    "logs", f"deployment/{installation.RELEASE}", f"--namespace={installation.SYSTEM_NAMESPACE}",
    "--timestamps", "--tail=200",
)  # fmt: skip
_LOOKS = {
    "objects": ("get", "modelservers,deployments,replicasets,pods", "--all-namespaces", "-o", "wide"),
    "events": ("get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"),
    "status": ("get", "modelservers", "-o", "yaml"),
    "deployments": ("get", "deployments", "-o", "yaml"),
    "operator": _LOG,
    "operator before its last start": (*_LOG, "--previous"),
}
_LINES = 400


def of(kubernetes: Kubernetes) -> dict[str, str]:
    """The last lines of each look, by its title."""
    return {title: _looked(kubernetes, words) for title, words in _LOOKS.items()}


def _looked(kubernetes: Kubernetes, words: tuple[str, ...]) -> str:
    try:
        text = kubernetes.kubectl(*words, timeout=30)
    except CommandFailed as error:
        text = str(error)
    return "\n".join(text.splitlines()[-_LINES:])
