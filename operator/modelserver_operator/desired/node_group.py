"""What a group of nodes needs, and how an autoscaler learns of it before the first node exists. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelserver_operator.api.fields import quantity

Raw = Mapping[str, Any]
_ORDINARY = {"cpu", "memory", "ephemeral-storage"}
"""What every autoscaler knows of a machine type."""
_TAG = "k8s.io/cluster-autoscaler/node-template"
_AZURE = "k8s.io_cluster-autoscaler_node-template"


@dataclass(frozen=True)
class Taint:
    """A taint that the pods tolerate."""

    key: str
    value: str
    effect: str

    def __str__(self) -> str:
        """As it is written in tags."""
        return f"{self.value}:{self.effect}"


@dataclass(frozen=True)
class Needs:
    """Of the nodes for one object."""

    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    resources: Mapping[str, str]
    """Of one replica."""
    is_exclusive: bool
    """Whether the kubelet must give CPUs away for one container alone."""

    def devices(self) -> dict[str, str]:
        """Resources that a device plugin advertises, which no machine type says."""
        return {name: amount for name, amount in self.resources.items() if name not in _ORDINARY}


def needs(template: Raw, *, is_exclusive: bool) -> Needs:
    """By the pod template."""
    spec = template["spec"]
    (container,) = spec["containers"]
    amounts = container.get("resources") or {}
    taints = (
        Taint(item["key"], item.get("value") or "", item.get("effect") or "NoSchedule")
        for item in spec.get("tolerations") or []
        if item.get("key") and not _is_kubernetes_own(item["key"])
    )
    return Needs(
        labels=_required_labels(spec),
        taints=tuple(taints),
        resources={**(amounts.get("limits") or {}), **(amounts.get("requests") or {})},
        is_exclusive=is_exclusive,
    )


def _is_kubernetes_own(taint: str) -> bool:
    """Whether Kubernetes sets it on nodes in trouble, or on those that run the control plane."""
    place = taint.partition("/")[0]
    return place in {"node.kubernetes.io", "node.cloudprovider.kubernetes.io", "node-role.kubernetes.io"}


def _required_labels(spec: Raw) -> dict[str, str]:
    """Those of the selector, and those that a required affinity with one term allows one value of."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = required.get("nodeSelectorTerms") or []
    expressions = (terms[0].get("matchExpressions") or []) if len(terms) == 1 else []
    single = {
        item["key"]: item["values"][0]
        for item in expressions
        if item["operator"] == "In" and len(item["values"]) == 1
    }
    return {**single, **(spec.get("nodeSelector") or {})}


def describe(found: Needs, provider: str) -> list[str]:
    """One line each, for people."""
    amounts = ", ".join(f"{name} {amount}" for name, amount in sorted(found.resources.items()))
    lines = [f"a node must have room for {amounts}, beside what its own daemons request"]
    lines += _PROVIDERS[provider](found)
    return [*lines, _where(provider)] if found.is_exclusive else lines


def kubelet(found: Needs) -> list[str]:
    """The part of a KubeletConfiguration that gives this object exclusive CPUs, a line each.

    docs/exclusive-cpus.md shows and explains the same; nothing for an object on shared CPUs.
    """
    if not found.is_exclusive:
        return []
    cpus = int(quantity(found.resources["cpu"]))
    whole = ["cpuManagerPolicyOptions:", '  full-pcpus-only: "true"']
    odd = [f"# without full-pcpus-only: a node with two threads per core would reject {cpus} CPUs"]
    return [
        "apiVersion: kubelet.config.k8s.io/v1beta1",
        "kind: KubeletConfiguration",
        "cpuManagerPolicy: static",
        *(odd if cpus % 2 else whole),
        f"topologyManagerPolicy: single-numa-node  # best-effort if a NUMA node has fewer than {cpus} CPUs",
        "kubeReserved:  # required: rounded up to whole CPUs, it is what other pods always keep",
        "  cpu: 500m",
    ]


def _where(provider: str) -> str:
    where = {
        "aws": "in the launch template's user data (NodeConfig spec.kubelet.config of Amazon Linux 2023)",
        "azure": "by az aks nodepool add --kubelet-config",
        "gcp": "by gcloud container node-pools create --system-config-from-file",
        "karpenter": "in the node class's userData: a NodePool cannot ask for it",
    }
    return f"the kubelet's cpuManagerPolicy static is set {where[provider]}"


def _aws(found: Needs) -> Iterator[str]:
    yield from (f"tag of the Auto Scaling group: {_TAG}/label/{k} = {v}" for k, v in found.labels.items())
    yield from (f"tag of the Auto Scaling group: {_TAG}/taint/{t.key} = {t}" for t in found.taints)
    for name, amount in found.devices().items():
        yield f"tag of the Auto Scaling group: {_TAG}/resources/{name} = {amount} or more"


def _azure(found: Needs) -> Iterator[str]:
    """A tag's name there must not have a slash."""
    parts = [
        *((f"label_{key}", value) for key, value in found.labels.items()),
        *((f"taint_{taint.key}", str(taint)) for taint in found.taints),
        *((f"resources_{name}", f"{amount} or more") for name, amount in found.devices().items()),
    ]
    yield from (f"tag of the scale set: {_AZURE}_{n.replace('/', '_')} = {v}" for n, v in parts)


def _gcp(found: Needs) -> Iterator[str]:
    """A node pool's own labels and taints are enough there."""
    labels = ",".join(f"{key}={value}" for key, value in found.labels.items())
    taints = ",".join(f"{taint.key}={taint}" for taint in found.taints)
    yield from [f"gcloud container node-pools create --node-labels={labels}"] if labels else []
    yield from [f"gcloud container node-pools create --node-taints={taints}"] if taints else []
    for name, amount in found.devices().items():
        yield f"in AUTOSCALER_ENV_VARS of the instance template: extended_resources={name}={amount}"


def _karpenter(found: Needs) -> Iterator[str]:
    for key, value in found.labels.items():
        yield f"NodePool spec.template.spec.requirements: {{key: {key}, operator: In, values: [{value}]}}"
    for taint in found.taints:
        value = f", value: {taint.value}" if taint.value else ""
        yield f"NodePool spec.template.spec.taints: {{key: {taint.key}{value}, effect: {taint.effect}}}"
    for name in found.devices():
        yield f"{name}: Karpenter knows the devices of its provider's machine types only"


_PROVIDERS: Mapping[str, Callable[[Needs], Iterator[str]]] = {
    "aws": _aws,
    "azure": _azure,
    "gcp": _gcp,
    "karpenter": _karpenter,
}
PROVIDERS = tuple(_PROVIDERS)
