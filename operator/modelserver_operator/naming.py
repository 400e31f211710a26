"""Every name, label, annotation and path, so that a rename changes one line."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from modelserver_operator.api import GROUP, KIND, PLURAL, VERSION, ModelServer

MANAGER = "modelserver-operator"
"""Field manager, and the value of app.kubernetes.io/managed-by."""

NAME_LABEL = "app.kubernetes.io/name"
INSTANCE_LABEL = "app.kubernetes.io/instance"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
HASH_ANNOTATION = f"{GROUP}/desired-hash"
REVISION_ANNOTATION = f"{GROUP}/revision"
IN_PLACE_ANNOTATION = f"{GROUP}/in-place"
"""On a Deployment whose current rollout stops old pods before new ones start."""
BREAKER_ANNOTATION = f"{GROUP}/breaker"
"""On a Deployment whose pods a node has rejected: what is remembered of that (observed/rejections.py)."""
CURRENT_LABEL = f"{GROUP}/current"
LAST_GOOD_LABEL = f"{GROUP}/last-good"
"""Roles of the ControllerRevision in which a pod template is kept."""

OWN_SELECTOR = f"{MANAGED_BY_LABEL}={MANAGER}"
"""The label selector of watches and lists: only the operator's own children."""

CONTAINER = "modelserver"
STATUS_PORT = "status"
"""The name of the container port on which a server reports to the operator."""
CONFIG_VOLUME = "modelserver-config"
CONFIG_DIRECTORY = "/etc/modelserver"
CONFIG_FILE = "config.json"
MODELS_DIRECTORY = "/models"
CLAIM_VOLUME_PREFIX = "modelserver-claim-"

LEASE = "modelserver-operator"
"""The name of every Lease: installations that reach the same objects must meet in one."""
LEASES = ("coordination.k8s.io", "v1", "leases")
RELEASED_ANNOTATION = f"{GROUP}/released-by"
"""On a Lease without a holder: who released it."""

POD = "Pod"
CONTROLLER_REVISION = "ControllerRevision"
BUDGET = "PodDisruptionBudget"
HPA = "HorizontalPodAutoscaler"
SCALED_OBJECT = "ScaledObject"
"""KEDA's; from it KEDA makes a HorizontalPodAutoscaler."""
CAPACITY_BUFFER = "CapacityBuffer"
VPA = "VerticalPodAutoscaler"
SCALERS = (HPA, SCALED_OBJECT)
"""Only one of these scales an object at a time."""


class Resource(NamedTuple):
    """Where a kind is in the API; the group is empty for core kinds."""

    group: str
    version: str
    plural: str


KINDS = {
    KIND: Resource(GROUP, VERSION, PLURAL),
    "ServiceAccount": Resource("", "v1", "serviceaccounts"),
    "ConfigMap": Resource("", "v1", "configmaps"),
    "Service": Resource("", "v1", "services"),
    "Deployment": Resource("apps", "v1", "deployments"),
    CONTROLLER_REVISION: Resource("apps", "v1", "controllerrevisions"),
    BUDGET: Resource("policy", "v1", "poddisruptionbudgets"),
    HPA: Resource("autoscaling", "v2", "horizontalpodautoscalers"),
    POD: Resource("", "v1", "pods"),
}
"""Every kind that is watched, listed or written."""
OPTIONAL = {
    SCALED_OBJECT: Resource("keda.sh", "v1alpha1", "scaledobjects"),
    CAPACITY_BUFFER: Resource("autoscaling.x-k8s.io", "v1beta1", "capacitybuffers"),
}
"""Kinds that not every cluster has, with the version that is preferred; they are listed, but not watched."""
NEVER_OURS = {VPA: Resource("autoscaling.k8s.io", "v1", "verticalpodautoscalers")}
"""Kinds of others, which not every cluster has either."""


def selector(name: str) -> dict[str, str]:
    """The labels by which a Deployment and a Service select the pods; they never change."""
    return {NAME_LABEL: "modelserver", INSTANCE_LABEL: name, MANAGED_BY_LABEL: MANAGER}


def is_ours(metadata: Mapping[str, Any]) -> bool:
    """Whether an object has the operator's label; KEDA copies it."""
    return bool((metadata.get("labels") or {}).get(MANAGED_BY_LABEL) == MANAGER)


def selector_text(name: str) -> str:
    """The same for the scale subresource."""
    return ",".join(f"{key}={value}" for key, value in selector(name).items())


def labels(server: ModelServer) -> dict[str, str]:
    """The labels of every child."""
    return selector(server.name)


def config_map(name: str) -> str:
    """The ConfigMap that holds config.json."""
    return f"{name}-config"


def headless(name: str) -> str:
    """The Service that resolves to the pods themselves."""
    return f"{name}-headless"


def host(name: str, namespace: str) -> str:
    """A Service's name inside the cluster, without the cluster's own domain."""
    return f"{name}.{namespace}.svc"
