"""The HorizontalPodAutoscaler of an object that is scaled by CPU alone."""

from typing import Any

from modelserver_operator import naming
from modelserver_operator.api import ModelServer
from modelserver_operator.desired.scaling.wish import behavior, metric, target


def horizontal_autoscaler(server: ModelServer) -> dict[str, Any] | None:
    """Measured at the server's own container: an injected one would distort the figure of the pod."""
    wish = server.spec.autoscaling
    cpu = metric(wish, "CPU") if wish else None
    if wish is None or cpu is None:
        return None
    return {
        "apiVersion": "autoscaling/v2",
        "kind": naming.HPA,
        "metadata": {"name": server.name},
        "spec": {
            "scaleTargetRef": target(server.name),
            # It never goes to zero by CPU: without a pod there is none to measure.
            "minReplicas": max(1, wish.min_replicas),
            "maxReplicas": wish.max_replicas,
            "metrics": [
                {
                    "type": "ContainerResource",
                    "containerResource": {
                        "name": "cpu",
                        "container": naming.CONTAINER,
                        "target": {"type": "Utilization", "averageUtilization": cpu.average_utilization},
                    },
                }
            ],
            "behavior": behavior(wish),
        },
    }
