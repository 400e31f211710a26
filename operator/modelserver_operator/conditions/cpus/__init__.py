"""ExclusiveCPUs: true only where the live pods prove it, by whatever means they got their CPUs.

Judged by comparison: what the kernel lets each server run on, beside what its pod requests, what the node
has and what other pods of ours on that node may use. Whether the kubelet chose those CPUs for this container
alone is not in the Kubernetes API; witnesses.py has what speaks for and against it.
"""

from collections.abc import Callable

from modelserver_operator.api import ModelServer
from modelserver_operator.api.status import Reason
from modelserver_operator.conditions.cpus import pods, shapes, witnesses
from modelserver_operator.conditions.cpus.words import count, listed
from modelserver_operator.conditions.reported import unheard
from modelserver_operator.conditions.trouble import unreachable
from modelserver_operator.conditions.verdict import Verdict, fails, holds, unknown
from modelserver_operator.observed.facts import Facts
from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.report import ServerStatus

_Check = Callable[[Pod, ServerStatus], Verdict | None]


def exclusive_cpus(server: ModelServer, facts: Facts) -> Verdict:
    """Every ready pod: an affinity of its own, fewer than the node's CPUs, and a witness for it."""
    policy = server.spec.cpu_manager_policy
    if policy == "none":
        return fails(Reason.NOT_REQUESTED, "cpuManagerPolicy is none: the pods share the node's CPUs")
    ready = facts.ready_pods()
    if not ready:
        return unknown(Reason.NO_POD_READY, "no pod is ready yet, so its CPU affinity is unknown")
    for pod in ready if policy == "static" else ():
        if verdict := pods.ineligible(pod):
            return verdict
    if verdict := unreachable(facts) or unheard(facts):
        return verdict
    return _external(facts) if policy == "external" else _static(facts)


def _static(facts: Facts) -> Verdict:
    """The worst of all pods: what is certain first, then what only nobody proves."""
    checks: tuple[_Check, ...] = (
        _not_as_requested,
        lambda pod, _: _overlapping(facts, pod),
        lambda pod, status: witnesses.against(pod, status, lifts_quota=facts.lifts_quota),
        shapes.misaligned,
        shapes.spanning,
        lambda pod, _: _settling(facts, pod),
        lambda pod, status: witnesses.lacking(pod, status, lifts_quota=facts.lifts_quota),
    )
    ready = facts.ready_pods()
    return _first(checks, facts) or holds(Reason.EXCLUSIVE, f"each pod has {count(ready[0])} to itself")


def _external(facts: Facts) -> Verdict:
    checks: tuple[_Check, ...] = (
        _not_pinned,
        lambda pod, _: _overlapping(facts, pod),
        lambda pod, _: _settling(facts, pod),
    )
    return _first(checks, facts) or holds(
        Reason.PINNED_EXTERNALLY,
        "each pod runs on CPUs that were chosen for it, and shares none with another ModelServer's pod; "
        "only what pins them can tell whether anything else shares them",
    )


def _first(checks: tuple[_Check, ...], facts: Facts) -> Verdict | None:
    for check in checks:
        for pod, status in facts.servers(facts.ready_pods()):
            if verdict := check(pod, status):
                return verdict
    return None


def _not_as_requested(pod: Pod, status: ServerStatus) -> Verdict | None:
    allowed = len(status.affinity)
    if allowed == pod.cpu_request and allowed < status.cpus_online:
        return None
    if allowed == pod.cpu_request:
        return fails(
            Reason.NODE_POLICY_NONE,
            f"pod {pod.name} runs on all {status.cpus_online} CPUs of its node, so they are not exclusive: "
            "with cpuManagerPolicy static the kubelet reserves some CPUs for the shared pool",
        )
    return fails(
        Reason.NODE_POLICY_NONE,
        f"pod {pod.name} is Guaranteed and requests {count(pod)}, but it may run on {allowed} of "
        f"{status.cpus_online}: the node's kubelet has CPU manager policy none. Set cpuManagerPolicy: static "
        "in the kubelet's configuration, or cpuManagerPolicy: none in this object",
    )


def _not_pinned(pod: Pod, status: ServerStatus) -> Verdict | None:
    if len(status.affinity) < status.cpus_online:
        return None
    return fails(
        Reason.NODE_POLICY_NONE,
        f"pod {pod.name} may run on all {status.cpus_online} CPUs of its node: nobody has pinned it. Check "
        "the NRI plugin or the DRA driver of that node and what it selects pods by, or set cpuManagerPolicy: "
        "static",
    )


def _overlapping(facts: Facts, pod: Pod) -> Verdict | None:
    overlap = facts.overlaps.get(pod.uid)
    if overlap is None or not overlap.is_certain:
        return None
    namespace, name = overlap.other
    return fails(
        Reason.OVERLAPPING,
        f"pod {pod.name} shares {listed(overlap.cpus)} of node {pod.node} with pod {overlap.pod} of "
        f"ModelServer {namespace}/{name}: check who pins CPUs on that node; it must be one alone",
    )


def _settling(facts: Facts, pod: Pod) -> Verdict | None:
    """The kubelet takes CPUs from the shared pool of its node every ten seconds."""
    overlap = facts.overlaps.get(pod.uid)
    if overlap is None:
        return None
    return unknown(
        Reason.AWAITING_REPORT,
        f"pods {pod.name} and {overlap.pod} both reported {listed(overlap.cpus)} last: they are asked again",
    )
