"""ExclusiveCPUs: true only where the live pods prove it.

A container gets CPUs of its own when its pod's QoS is Guaranteed, its CPU request is whole and the
node's kubelet has the static policy. Only the first two can be arranged from here.
"""

from modelserver_operator import naming
from modelserver_operator.api import ModelServer
from modelserver_operator.conditions.trouble import unreachable
from modelserver_operator.conditions.verdict import Reason, Verdict, fails, holds, unknown
from modelserver_operator.observed.facts import Facts
from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.report import Said


def exclusive_cpus(server: ModelServer, facts: Facts) -> Verdict:
    """Every ready pod: Guaranteed, whole CPUs, and an affinity of exactly those, fewer than the node has."""
    if server.spec.cpu_manager_policy == "none":
        return fails(Reason.NOT_REQUESTED, "cpuManagerPolicy is none: the pods share the node's CPUs")
    ready = facts.ready_pods()
    if not ready:
        return unknown(Reason.NO_POD_READY, "no pod is ready, so no affinity could be read")
    for pod in ready:
        if verdict := _could_not(pod):
            return verdict
    if verdict := unreachable(server, facts):
        return verdict
    for pod in ready:
        said = facts.reports[pod.uid].said
        if said is not None and (verdict := _does_not(pod, said)):
            return verdict
    return holds(Reason.EXCLUSIVE, f"each pod runs on {_count(ready[0])} of its own")


def _count(pod: Pod) -> str:
    number = int(pod.cpu_request)
    return "1 CPU" if number == 1 else f"{number} CPUs"


def _could_not(pod: Pod) -> Verdict | None:
    """What rules exclusive CPUs out before the node is asked."""
    injected = [name for name in pod.containers if name != naming.CONTAINER]
    if pod.qos_class and pod.qos_class != "Guaranteed":
        if injected:
            return fails(
                Reason.INJECTED_CONTAINER,
                f"pod {pod.name} is {pod.qos_class}, not Guaranteed, because {', '.join(injected)} was "
                "injected with requests other than limits: keep these pods out of it, or make them "
                "equal",
            )
        return fails(Reason.NOT_GUARANTEED, f"pod {pod.name} is {pod.qos_class}: requests and limits differ")
    if pod.cpu_request % 1 or pod.cpu_request < 1:
        return fails(
            Reason.FRACTIONAL_CPU, f"pod {pod.name} requests {pod.cpu_request} CPUs: whole CPUs are needed"
        )
    return None


def _does_not(pod: Pod, said: Said) -> Verdict | None:
    """What the server sees of its own affinity."""
    if len(said.affinity) == pod.cpu_request and len(said.affinity) < said.cpus_online:
        return None
    if len(said.affinity) == pod.cpu_request:
        return fails(
            Reason.NODE_POLICY_NONE,
            f"pod {pod.name} runs on all {said.cpus_online} CPUs of its node, so they cannot be its own: the "
            "kubelet keeps some for the shared pool under cpuManagerPolicy static",
        )
    return fails(
        Reason.NODE_POLICY_NONE,
        f"pod {pod.name} is Guaranteed and requests {_count(pod)}, but may run on {len(said.affinity)} of "
        f"{said.cpus_online}: the node's kubelet has CPU manager policy none. Set cpuManagerPolicy: static "
        "there, or cpuManagerPolicy: none here",
    )
