"""The Deployment: replicas, how pods are replaced, and the pod template."""

from collections.abc import Mapping
from typing import Any

from modelserver_operator import naming
from modelserver_operator.api import ModelServer, Spec
from modelserver_operator.desired.images import Images
from modelserver_operator.desired.pod import pod_spec


def deployment(server: ModelServer, template: Mapping[str, Any], *, in_place: bool = False) -> dict[str, Any]:
    """What can change without new pods (models, tuning, polling) is in the ConfigMap, not here."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": server.name,
            **({"annotations": {naming.IN_PLACE_ANNOTATION: "true"}} if in_place else {}),
        },
        "spec": {
            "replicas": server.spec.replicas,
            "paused": False,
            "revisionHistoryLimit": 3,
            # Loading may use the whole start-up timeout before a rollout counts as stuck.
            "progressDeadlineSeconds": server.spec.rollout.startup_timeout_seconds + 60,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": strategy(server.spec, in_place=in_place)},
            "selector": {"matchLabels": naming.selector(server.name)},
            "template": dict(template),
        },
    }


def pod_template(server: ModelServer, images: Images) -> dict[str, Any]:
    """The pod template as this operator makes it."""
    pod = server.spec.pod
    return {
        "metadata": {
            "labels": {**pod.labels, **naming.labels(server)},
            **({"annotations": dict(pod.annotations)} if pod.annotations else {}),
        },
        "spec": pod_spec(server, images.choose(server)),
    }


def strategy(spec: Spec, *, in_place: bool = False) -> dict[str, int | str]:
    """Where no node can fit an extra pod, or with an accelerator, an old pod is stopped first."""
    scarce = in_place or spec.accelerator is not None
    surge, unavailable = spec.rollout.max_surge, spec.rollout.max_unavailable
    if surge is None:
        surge = 0 if scarce and unavailable not in {0, "0%"} else 1
    if unavailable is None:
        unavailable = 1 if surge in {0, "0%"} else 0
    return {"maxSurge": surge, "maxUnavailable": unavailable}
