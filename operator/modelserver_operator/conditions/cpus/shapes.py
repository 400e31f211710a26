"""CPUs that are a pod's own and slower than they need be: half cores, memory of another NUMA node."""

from modelserver_operator.api.status import Reason
from modelserver_operator.conditions.cpus.words import counted, listed
from modelserver_operator.conditions.verdict import Verdict, fails
from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.report import ServerStatus


def misaligned(pod: Pod, status: ServerStatus) -> Verdict | None:
    """A hardware thread of one of its cores may run something else."""
    mine = set(status.affinity)
    cores = status.cpus.siblings if status.cpus is not None else ()
    foreign = sorted({cpu for core in cores if mine & set(core) for cpu in core} - mine)
    if not foreign:
        return None
    threads = max(len(core) for core in cores)
    return fails(
        Reason.SMT_MISALIGNED,
        f"pod {pod.name} has {counted(len(mine))} to itself, but not their cores: {listed(foreign)} of the "
        f"same cores may run something else. Request a multiple of {threads} CPUs, and set the CPU manager's "
        "policy option full-pcpus-only on the node",
    )


def spanning(pod: Pod, status: ServerStatus) -> Verdict | None:
    """Its threads reach a part of its memory only through another NUMA node."""
    nodes = status.cpus.numa_nodes if status.cpus is not None else ()
    mine = set(status.affinity)
    used = [node for node in nodes if mine & set(node.cpus)]
    if len(used) < 2:
        return None
    largest, number = max(len(node.cpus) for node in used), len(mine)
    if number <= largest:
        remedy = "Set the topology manager policy single-numa-node on the node: one of them has room for all"
    else:
        parts = -(-number // largest)
        remedy = f"Split it into {parts} times as many replicas of {counted(-(-number // parts))} each"
    names = ", ".join(str(node.node) for node in used)
    return fails(
        Reason.SPANS_NUMA_NODES,
        f"pod {pod.name} has {counted(number)} to itself, but they span the NUMA nodes {names}. {remedy}",
    )
