"""The Deployment: replicas, how pods are replaced, and the pod template."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelserver_operator import naming
from modelserver_operator.api import ModelServer, Spec
from modelserver_operator.desired.accelerators import Allotment, beside
from modelserver_operator.desired.images import Images
from modelserver_operator.desired.pod import pod_spec

_SETTLING_SECONDS = 5
"""An old pod goes only when the new one has been ready for this time, so that clients have found it."""
_EVICTABLE = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}
"""Nothing in the pod is lost with it; otherwise an emptyDir could keep a node that is empty otherwise."""


@dataclass(frozen=True)
class Measures:
    """How the Deployment differs for a time from what the object says."""

    in_place: bool = False
    """Old pods are stopped before new ones start."""
    only_surges: bool = False
    """One pod is tried beside those that serve, and none of them is stopped."""
    replicas: int | None = None
    """Another number of replicas."""
    breaker: str = ""
    """What is to be remembered of rejected pods."""

    def annotations(self) -> dict[str, str]:
        """They are stored on the Deployment."""
        stored = {naming.IN_PLACE_ANNOTATION: "true" if self.in_place else ""}
        stored[naming.BREAKER_ANNOTATION] = self.breaker
        return {name: value for name, value in stored.items() if value}


AS_USUAL = Measures()


def deployment(
    server: ModelServer, template: Mapping[str, Any], measures: Measures = AS_USUAL
) -> dict[str, Any]:
    """What can change without new pods (models, tuning, polling) is in the ConfigMap, not here."""
    annotations, replicas = measures.annotations(), measures.replicas
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": server.name,
            **({"annotations": annotations} if annotations else {}),
        },
        "spec": {
            "replicas": server.spec.replicas if replicas is None else replicas,
            "paused": False,
            "revisionHistoryLimit": 3,
            "minReadySeconds": _SETTLING_SECONDS,
            # Loading may use the whole start-up timeout before a rollout counts as stuck.
            "progressDeadlineSeconds": server.spec.rollout.startup_timeout_seconds + 60,
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": strategy(
                    server.spec, measures, has_devices=bool(beside(server.spec, devices_of(template)))
                ),
            },
            "selector": {"matchLabels": naming.selector(server.name)},
            "template": dict(template),
        },
    }


def pod_template(server: ModelServer, images: Images, allotment: Allotment) -> dict[str, Any]:
    """The pod template as this operator makes it."""
    pod = server.spec.pod
    return {
        "metadata": {
            "labels": {**pod.labels, **naming.labels(server)},
            "annotations": {**_EVICTABLE, **pod.annotations},
        },
        "spec": pod_spec(server, images.choose(server), allotment),
    }


def devices_of(template: Mapping[str, Any]) -> tuple[str, ...]:
    """Resources of device plugins that a pod template requests."""
    containers = (template.get("spec") or {}).get("containers") or []
    limits = [(container.get("resources") or {}).get("limits") or {} for container in containers]
    return tuple(sorted({name for amounts in limits for name in amounts if "/" in name}))


def strategy(spec: Spec, measures: Measures = AS_USUAL, *, has_devices: bool = False) -> dict[str, int | str]:
    """Where no node can fit an extra pod, or with a GPU or NPU, an old pod is stopped first."""
    if measures.only_surges:
        return {"maxSurge": 1, "maxUnavailable": 0}
    scarce = measures.in_place or has_devices
    surge, unavailable = spec.rollout.max_surge, spec.rollout.max_unavailable
    if surge is None:
        surge = 0 if scarce and unavailable not in {0, "0%"} else 1
    if unavailable is None:
        unavailable = 1 if surge in {0, "0%"} else 0
    return {"maxSurge": surge, "maxUnavailable": unavailable}
