"""Where a command line's cluster is: the kubeconfig's current context, or the pod's ServiceAccount."""

import os
from pathlib import Path

from kubernetes.aio import config

from modelserver_operator.errors import NoCluster

_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def is_in_pod() -> bool:
    """Whether the pod's own ServiceAccount is used; KUBECONFIG comes first."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and not os.environ.get("KUBECONFIG")


def default_namespace() -> str:
    """The namespace of objects that name none, as kubectl has it; raises NoCluster."""
    if is_in_pod():
        return _NAMESPACE.read_text(encoding="utf-8").strip() if _NAMESPACE.exists() else "default"
    try:
        _, current = config.list_kube_config_contexts()  # type: ignore[no-untyped-call]
    except config.ConfigException as error:
        raise no_cluster(error) from None
    return (current.get("context") or {}).get("namespace") or "default"


def no_cluster(error: Exception) -> NoCluster:
    """What a kubeconfig that cannot be used means, and what to do."""
    return NoCluster(f"no cluster can be reached: {error}; set KUBECONFIG to the kubeconfig of a cluster")
