"""What in a pod itself rules exclusive CPUs out, whatever its node does."""

from modelserver_operator import naming
from modelserver_operator.api.status import Reason
from modelserver_operator.conditions.verdict import Verdict, fails
from modelserver_operator.observed.pod import Pod

_MESH = ", ".join(
    f"sidecar.istio.io/{name}" for name in ("proxyCPU", "proxyCPULimit", "proxyMemory", "proxyMemoryLimit")
)


def ineligible(pod: Pod) -> Verdict | None:
    """The first cause; None where the kubelet may give this pod CPUs of its own."""
    if pod.has_pod_resources:
        # Its QoS class comes from them and reads Guaranteed, and the static policy leaves such a pod out.
        return fails(
            Reason.POD_LEVEL_RESOURCES,
            f"pod {pod.name} has resources of the pod as a whole (spec.resources), and kubelets give "
            "exclusive CPUs only to containers of pods without: find the admission policy or webhook that "
            "adds them, and exclude these pods",
        )
    if pod.qos_class and pod.qos_class != "Guaranteed":
        return _not_guaranteed(pod)
    if pod.cpu_request % 1 or pod.cpu_request < 1:
        return fails(
            Reason.FRACTIONAL_CPU,
            f"pod {pod.name} requests {pod.cpu_request} CPUs, but only whole CPUs can be exclusive",
        )
    return None


def _not_guaranteed(pod: Pod) -> Verdict:
    injected = [name for name in pod.containers if name != naming.CONTAINER]
    if not injected:
        return fails(Reason.NOT_GUARANTEED, f"pod {pod.name} is {pod.qos_class}: requests and limits differ")
    return fails(
        Reason.INJECTED_CONTAINER,
        f"pod {pod.name} is {pod.qos_class}, not Guaranteed, because {', '.join(injected)} was injected with "
        "requests that differ from its limits: exclude these pods from the injection, or make requests and "
        f"limits equal; for Istio's sidecar by the annotations {_MESH} in pod.annotations",
    )
