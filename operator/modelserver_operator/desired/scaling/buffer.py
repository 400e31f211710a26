"""The CapacityBuffer: room for more replicas, kept by the cluster's autoscaler."""

from typing import Any

from modelserver_operator import naming
from modelserver_operator.api import ModelServer


def capacity_buffer(server: ModelServer, api_version: str) -> dict[str, Any] | None:
    """Of the Deployment's pods: not every autoscaler resolves another kind."""
    if server.spec.headroom is None:
        return None
    return {
        "apiVersion": api_version,
        "kind": naming.CAPACITY_BUFFER,
        "metadata": {"name": server.name},
        "spec": {
            "scalableRef": {"apiGroup": "apps", "kind": "Deployment", "name": server.name},
            "replicas": server.spec.headroom,
        },
    }
