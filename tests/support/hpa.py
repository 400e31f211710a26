"""What a HorizontalPodAutoscaler makes of a figure: Kubernetes' replica calculator, in whole thousandths."""

import math

TOLERANCE = 0.1


def replicas_for(total: float, target: float, replicas: int, most: int = 1000) -> int:
    """Of an external metric with AverageValue: no change while each replica's share is near the target."""
    milli, per_pod = round(total * 1000), round(target * 1000)
    if replicas and abs(milli / (per_pod * replicas) - 1.0) <= TOLERANCE:
        return replicas
    return min(most, math.ceil(milli / per_pod))
