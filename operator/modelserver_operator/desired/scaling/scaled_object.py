"""KEDA's ScaledObject of an object that is scaled by requests or by the time of day."""

from typing import Any

from modelserver_operator import naming
from modelserver_operator.api import ModelServer
from modelserver_operator.api.autoscaling import Autoscaling, Metric, ScheduledReplicas
from modelserver_operator.api.fields import quantity
from modelserver_operator.desired.scaling.wish import behavior, least, target

VALUES = {"RequestsPerStream": "requestsPerStream", "Concurrency": "concurrency"}
"""Where each metric is in the operator's answer."""
_COOLDOWN, _POLLING, _FAILURES = 300, 15, 3


def scaled_object(server: ModelServer, api_version: str, url: str) -> dict[str, Any] | None:
    """`url` is where KEDA reads the object's load."""
    wish = server.spec.autoscaling
    if wish is None:
        return None
    return {
        "apiVersion": api_version,
        "kind": naming.SCALED_OBJECT,
        "metadata": {"name": server.name},
        "spec": {
            "scaleTargetRef": target(server.name),
            "minReplicaCount": least(wish),
            "maxReplicaCount": wish.max_replicas,
            **_at_zero(wish),
            # Without figures nothing is stopped. At least one replica, or nothing would ever start again.
            "fallback": {
                "failureThreshold": _FAILURES,
                "replicas": max(1, wish.min_replicas),
                "behavior": "currentReplicasIfHigher",
            },
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior(wish)}},
            "triggers": [
                *(_trigger(metric, url) for metric in wish.metrics),
                *(_times(item) for item in wish.schedule),
            ],
        },
    }


def _at_zero(wish: Autoscaling) -> dict[str, Any]:
    """Between zero and one KEDA works itself; elsewhere it warns of these fields."""
    if least(wish) > 0:
        return {}
    wished = wish.scale_to_zero_after_seconds
    seconds = _COOLDOWN if wished is None else wished
    return {"pollingInterval": _POLLING, "cooldownPeriod": seconds, "initialCooldownPeriod": seconds}


def _trigger(metric: Metric, url: str) -> dict[str, Any]:
    if metric.type == "CPU":
        percent = str(metric.average_utilization)
        return {
            "type": "cpu",
            "metricType": "Utilization",
            "metadata": {"value": percent, "containerName": naming.CONTAINER},
        }
    return {
        "type": "metrics-api",
        "metricType": "AverageValue",
        "metadata": {
            "url": url,
            "valueLocation": VALUES[metric.type],
            "targetValue": f"{quantity(metric.average_value or '0').normalize():f}",
        },
    }


def _times(item: ScheduledReplicas) -> dict[str, Any]:
    return {
        "type": "cron",
        "metadata": {
            "timezone": item.time_zone,
            "start": item.start,
            "end": item.end,
            "desiredReplicas": str(item.replicas),
        },
    }
