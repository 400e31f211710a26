"""What an object's `autoscaling` amounts to."""

from typing import Any

from modelserver_operator import naming
from modelserver_operator.api import API_VERSION, KIND, Spec
from modelserver_operator.api.autoscaling import Autoscaling, Metric, ScalingRules
from modelserver_operator.api.pod.scheduling import manifest

_UP: dict[str, Any] = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Percent", "value": 100, "periodSeconds": 15},
        {"type": "Pods", "value": 4, "periodSeconds": 15},
    ],
}
_DOWN: dict[str, Any] = {
    "stabilizationWindowSeconds": 300,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 1, "periodSeconds": 60},
        {"type": "Percent", "value": 10, "periodSeconds": 60},
    ],
}


def scaler_kind(spec: Spec) -> str:
    """A HorizontalPodAutoscaler for CPU alone; it knows neither requests nor times. Empty: none."""
    wish = spec.autoscaling
    if wish is None:
        return ""
    is_plain = not wish.schedule and all(metric.type == "CPU" for metric in wish.metrics)
    return naming.HPA if is_plain else naming.SCALED_OBJECT


def least(wish: Autoscaling) -> int:
    """The least number of replicas in effect.

    At zero only a schedule would start a pod again; and where CPU is all that is measured, KEDA would stop
    the last one at work: for zero it looks at other triggers only.
    """
    is_seen = not wish.metrics or any(item.type != "CPU" for item in wish.metrics)
    return wish.min_replicas if wish.schedule and is_seen else max(1, wish.min_replicas)


def stable(spec: Spec) -> int:
    """The number of replicas that an object has at least while nobody changes it."""
    return spec.replicas if spec.autoscaling is None else least(spec.autoscaling)


def metric(wish: Autoscaling, kind: str) -> Metric | None:
    """The metric of this type."""
    return next((item for item in wish.metrics if item.type == kind), None)


def behavior(wish: Autoscaling) -> dict[str, Any]:
    """Up immediately and down slowly, unless the object says otherwise."""
    up = wish.behavior.scale_up if wish.behavior else None
    down = wish.behavior.scale_down if wish.behavior else None
    return {"scaleUp": _rules(up, _UP), "scaleDown": _rules(down, _DOWN)}


def _rules(rules: ScalingRules | None, default: dict[str, Any]) -> dict[str, Any]:
    return default if rules is None else manifest(rules)


def target(name: str) -> dict[str, str]:
    """What a scaler scales: the object itself, whose replicas are the only place for this number."""
    return {"apiVersion": API_VERSION, "kind": KIND, "name": name}
