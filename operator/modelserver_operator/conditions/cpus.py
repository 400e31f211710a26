"""ExclusiveCPUs: true only where the live pods prove it.

A container gets CPUs of its own when its pod's QoS is Guaranteed, its CPU request is a whole number and the
node's kubelet has the static policy. The operator controls only the first two.
"""

from modelserver_operator import naming
from modelserver_operator.api import ModelServer
from modelserver_operator.api.status import Reason
from modelserver_operator.conditions.reported import unheard
from modelserver_operator.conditions.trouble import unreachable
from modelserver_operator.conditions.verdict import Verdict, fails, holds, unknown
from modelserver_operator.observed.facts import Facts
from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.report import ServerStatus


def exclusive_cpus(server: ModelServer, facts: Facts) -> Verdict:
    """Every ready pod: Guaranteed, whole CPUs, and an affinity of exactly those, fewer than the node has."""
    if server.spec.cpu_manager_policy == "none":
        return fails(Reason.NOT_REQUESTED, "cpuManagerPolicy is none: the pods share the node's CPUs")
    ready = facts.ready_pods()
    if not ready:
        return unknown(Reason.NO_POD_READY, "no pod is ready yet, so its CPU affinity is unknown")
    for pod in ready:
        if verdict := _ineligible(pod):
            return verdict
    if verdict := unreachable(facts) or unheard(facts):
        return verdict
    for pod, status in facts.servers(ready):
        if verdict := _shared(pod, status):
            return verdict
    return holds(Reason.EXCLUSIVE, f"each pod has {_count(ready[0])} to itself")


def _count(pod: Pod) -> str:
    number = int(pod.cpu_request)
    return "1 CPU" if number == 1 else f"{number} CPUs"


def _ineligible(pod: Pod) -> Verdict | None:
    """What in the pod itself rules exclusive CPUs out."""
    injected = [name for name in pod.containers if name != naming.CONTAINER]
    if pod.qos_class and pod.qos_class != "Guaranteed":
        if injected:
            return fails(
                Reason.INJECTED_CONTAINER,
                f"pod {pod.name} is {pod.qos_class}, not Guaranteed, because {', '.join(injected)} was "
                "injected with requests that differ from its limits: exclude these pods from the injection, "
                "or make requests and limits equal",
            )
        return fails(Reason.NOT_GUARANTEED, f"pod {pod.name} is {pod.qos_class}: requests and limits differ")
    if pod.cpu_request % 1 or pod.cpu_request < 1:
        return fails(
            Reason.FRACTIONAL_CPU,
            f"pod {pod.name} requests {pod.cpu_request} CPUs, but only whole CPUs can be exclusive",
        )
    return None


def _shared(pod: Pod, status: ServerStatus) -> Verdict | None:
    """What the server's own affinity rules out."""
    if len(status.affinity) == pod.cpu_request and len(status.affinity) < status.cpus_online:
        return None
    if len(status.affinity) == pod.cpu_request:
        return fails(
            Reason.NODE_POLICY_NONE,
            f"pod {pod.name} runs on all {status.cpus_online} CPUs of its node, so they are not exclusive: "
            "with cpuManagerPolicy static the kubelet reserves some CPUs for the shared pool",
        )
    return fails(
        Reason.NODE_POLICY_NONE,
        f"pod {pod.name} is Guaranteed and requests {_count(pod)}, but it may run on {len(status.affinity)} "
        f"of {status.cpus_online}: the node's kubelet has CPU manager policy none. Set cpuManagerPolicy: "
        "static in the kubelet's configuration, or cpuManagerPolicy: none in this object",
    )
