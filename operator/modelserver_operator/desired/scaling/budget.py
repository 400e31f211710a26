"""The PodDisruptionBudget: a drain takes the replicas one after the other, and is never blocked."""

from typing import Any

from modelserver_operator import naming
from modelserver_operator.api import ModelServer
from modelserver_operator.desired.scaling.wish import stable

_SHARE = "10%"
"""Rounded up by Kubernetes: one of up to ten pods. A target of 0.6 to 0.8 leaves room for that."""


def disruption_budget(server: ModelServer) -> dict[str, Any] | None:
    """Not for one replica, which nothing could ever evict then; nor where one is all that is certain."""
    if stable(server.spec) < 2:
        return None
    return {
        "apiVersion": "policy/v1",
        "kind": naming.BUDGET,
        "metadata": {"name": server.name},
        "spec": {
            # With minAvailable, a number that an autoscaler has since reached would block every drain.
            "maxUnavailable": _SHARE,
            "selector": {"matchLabels": naming.selector(server.name)},
            # A pod that is not ready serves nobody, and must not block a drain.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
