"""What the kernel shows of the kubelet's choice: for and against a container's CPUs being its own.

Since 1.33 kubelets lift the CFS quota of a container with exclusive CPUs although its limit stands; every
other container with a limit keeps one. And in version 2 of the control groups cpuset.cpus is empty unless a
CPU manager wrote it; in version 1 it always shows a set, so that nothing follows from it.
"""

from modelserver_operator.api.status import Reason
from modelserver_operator.conditions.cpus.words import counted
from modelserver_operator.conditions.verdict import Verdict, fails, unknown
from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.report import ServerStatus


def against(pod: Pod, status: ServerStatus, *, lifts_quota: bool) -> Verdict | None:
    """The node has narrowed all its containers to as many CPUs as this one requests.

    `lifts_quota`: whether every kubelet of the cluster is known to lift the quota.
    """
    if status.quota is not None and lifts_quota:
        witness = (
            f"its CFS quota of {status.quota:g} CPUs stands, which kubelets lift from exclusive containers"
        )
    elif status.cpus is not None and status.cpus.cgroup == 2 and not status.cpus.own_cpuset:
        witness = "nothing was written into the cpuset.cpus of its control group"
    else:
        return None
    return fails(
        Reason.NODE_NARROWED,
        f"pod {pod.name} may run on {counted(len(status.affinity))} of {status.cpus_online}, as it requests, "
        f"but nobody chose them for it alone: {witness}. Everything on that node is confined to them. Set "
        "cpuManagerPolicy: static in its kubelet's configuration, or cpuManagerPolicy: external in this "
        "object if an NRI plugin or a DRA driver pins it",
    )


def lacking(pod: Pod, status: ServerStatus, *, lifts_quota: bool) -> Verdict | None:
    """Nothing speaks against it, but nothing speaks for it either."""
    own = status.cpus.own_cpuset if status.cpus is not None else ()
    if own and set(own) == set(status.affinity):
        return None
    if lifts_quota and pod.is_limited and "quota" in status.model_fields_set and status.quota is None:
        return None
    return unknown(
        Reason.NO_WITNESS,
        f"pod {pod.name} may run on {counted(len(status.affinity))} of {status.cpus_online}, as it requests, "
        "but nothing shows that the kubelet chose them for it: kubelets before 1.33 keep the CFS quota of "
        "exclusive containers, and version 1 of the control groups shows every container a cpuset",
    )
