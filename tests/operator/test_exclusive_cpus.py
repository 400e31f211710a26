"""ExclusiveCPUs judged by what machines show that are not here.

The documents are constructed after the kernel's documentation (Documentation/admin-guide/cgroup-v2.rst
and cgroup-v1/cpusets.rst, ABI/stable/sysfs-devices-system-cpu and -node) and the kubelet's source (a
container with exclusive CPUs has its CFS quota lifted since 1.33); no machine with two sockets, SMT or a
kubelet on cgroup v2 has run them.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserver_operator.api import parse
from modelserver_operator.conditions.cpus import exclusive_cpus
from modelserver_operator.conditions.verdict import Verdict
from modelserver_operator.observed.facts import Facts
from modelserver_operator.observed.nodes.occupancy import Overlap
from modelserver_operator.observed.pod import read_pod
from modelserver_operator.observed.report import read_reply
from tests.support.modelservers import model_server
from tests.support.reports import report

CONTAINER: dict[str, Any] = {"name": "modelserver", "ports": [{"name": "status", "containerPort": 8082}]}
OWN = {
    "cgroup": 1,
    "cpuset": [1],
    "ownCpuset": None,
    "siblings": [[1]],
    "numaNodes": [{"node": 0, "cpus": [0, 1]}],
}
V2 = {**OWN, "cgroup": 2}


def pod(cpus: str | None = "1", **more: Any) -> dict[str, Any]:
    amounts = {"cpu": cpus, "memory": "1Gi"} if cpus else {}
    container = {**CONTAINER, "resources": {"requests": amounts, "limits": amounts} if cpus else {}}
    return {
        "metadata": {"name": "p", "namespace": "n", "uid": "u", "resourceVersion": "1"},
        "spec": {"nodeName": "a", "containers": [container, *more.get("beside", [])], **more.get("spec", {})},
        "status": {
            "phase": "Running", "podIP": "10.0.0.1", "qosClass": more.get("qos", "Guaranteed"),
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }  # fmt: skip


def judged(
    status: dict[str, Any],
    body: dict[str, Any] | None = None,
    *,
    policy: str = "static",
    lifts_quota: bool = True,
    overlap: Overlap | None = None,
) -> Verdict:
    """`status`: what differs from the document of a server on CPU 1 of two."""
    document = {**report(), "affinity": [1], "cpusOnline": 2, "quota": None, "cpus": OWN, **status}
    found = read_pod(body or pod())
    reply = read_reply(json.dumps({k: v for k, v in document.items() if v != "absent"}).encode())
    assert reply.status is not None, reply.problem
    facts = Facts(
        None, (found,), {"u": reply}, overlaps={"u": overlap} if overlap else {}, lifts_quota=lifts_quota
    )
    return exclusive_cpus(parse(model_server(cpuManagerPolicy=policy)), facts)


def of(
    cpus: list[int], siblings: list[list[int]], nodes: list[list[int]], own: list[int] | None
) -> dict[str, Any]:
    """A machine's document: the affinity, its cores and NUMA nodes, and what a CPU manager wrote."""
    numbered = [{"node": number, "cpus": each} for number, each in enumerate(nodes) if set(each) & set(cpus)]
    cores = [core for core in siblings if set(core) & set(cpus)]
    kernel = {"cgroup": 2, "cpuset": cpus, "ownCpuset": own, "siblings": cores, "numaNodes": numbered}
    return {"affinity": cpus, "cpusOnline": sum(map(len, nodes)), "cpus": kernel}


SOCKETS = [list(range(8)), list(range(8, 16))]
ALONE = [[cpu] for cpu in range(16)]
TWINS = [[cpu, cpu + 8] for cpu in range(8)]
ONE_SOCKET = [list(range(16))]
SIDECAR = {"name": "istio-proxy", "resources": {"requests": {"cpu": "100m"}}}

CASES: dict[str, tuple[Verdict, str, str, tuple[str, ...]]] = {
    "cgroup v1, the quota is lifted": (judged({}), "True", "Exclusive", ("1 CPU to itself",)),
    "cgroup v1, the quota stands": (
        judged({"quota": 1.0}), "False", "NodeNarrowed", ("1 CPU of 2", "quota of 1 CPUs stands", "static"),
    ),
    "the quota stands, but a kubelet may be older than 1.33": (
        judged({"quota": 1.0}, lifts_quota=False), "Unknown", "NoWitness", ("before 1.33",),
    ),
    "no quota, but a kubelet may be older than 1.33": (
        judged({}, lifts_quota=False), "Unknown", "NoWitness", (),
    ),
    "cgroup v2, a CPU manager wrote these": (
        judged({"cpus": {**V2, "ownCpuset": [1]}}, lifts_quota=False), "True", "Exclusive", (),
    ),
    "cgroup v2, written, on an old kubelet that keeps the quota": (
        judged({"cpus": {**V2, "ownCpuset": [1]}, "quota": 1.0}, lifts_quota=False), "True", "Exclusive", (),
    ),
    "cgroup v2, nothing was written": (
        judged({"cpus": V2}), "False", "NodeNarrowed", ("cpuset.cpus", "nobody chose them"),
    ),
    "cgroup v2, other CPUs were written, an old kubelet": (
        judged({"cpus": {**V2, "ownCpuset": [0, 1]}}, lifts_quota=False), "Unknown", "NoWitness", (),
    ),
    "an older server, the quota is lifted": (judged({"cpus": "absent"}), "True", "Exclusive", ()),
    "an older server, the quota stands": (
        judged({"cpus": "absent", "quota": 1.0}), "False", "NodeNarrowed", (),
    ),
    "a server that does not say its quota": (
        judged({"cpus": "absent", "quota": "absent"}), "Unknown", "NoWitness", (),
    ),
    "two sockets, all on one": (
        judged(of([2, 3, 4, 5], ALONE, SOCKETS, [2, 3, 4, 5]), pod("4")), "True", "Exclusive", ("4 CPUs",),
    ),
    "two sockets, on both although one would do": (
        judged(of([6, 7, 8, 9], ALONE, SOCKETS, [6, 7, 8, 9]), pod("4")), "False", "SpansNUMANodes",
        ("4 CPUs to itself", "NUMA nodes 0, 1", "single-numa-node"),
    ),
    "two sockets, more than one has": (
        judged(of([*range(2, 14)], ALONE, SOCKETS, [*range(2, 14)]), pod("12")), "False", "SpansNUMANodes",
        ("2 times as many replicas of 6 CPUs",),
    ),
    "SMT, whole cores": (
        judged(of([2, 3, 10, 11], TWINS, ONE_SOCKET, [2, 3, 10, 11]), pod("4")), "True", "Exclusive", (),
    ),
    "SMT, half a core": (
        judged(of([2, 10, 3], TWINS, ONE_SOCKET, [2, 3, 10]), pod("3")), "False", "SMTMisaligned",
        ("3 CPUs to itself", "CPU 11", "multiple of 2", "full-pcpus-only"),
    ),
    "an NRI plugin pins a Guaranteed pod of a static object": (
        judged({"quota": 1.0, "cpus": {**V2, "ownCpuset": [1]}}), "False", "NodeNarrowed", ("external",),
    ),
    "an NRI plugin pins a pod without requests": (
        judged({"cpus": {**V2, "ownCpuset": [1]}}, pod(None, qos="BestEffort"), policy="external"),
        "True", "PinnedExternally", ("only what pins them can tell",),
    ),
    "an NRI plugin has not pinned it": (
        judged({"affinity": [0, 1]}, pod(None, qos="BestEffort"), policy="external"),
        "False", "NodePolicyNone", ("nobody has pinned it", "NRI plugin"),
    ),
    "all CPUs of the node": (
        judged({"affinity": [0, 1]}, pod("2")), "False", "NodePolicyNone", ("all 2 CPUs",),
    ),
    "more CPUs than it requests": (
        judged({"affinity": [0, 1], "cpusOnline": 4}), "False", "NodePolicyNone", ("2 of 4",),
    ),
    "a sidecar that makes it Burstable": (
        judged({}, pod(beside=[SIDECAR], qos="Burstable")), "False", "InjectedContainer",
        ("istio-proxy", "sidecar.istio.io/proxyCPULimit"),
    ),
    "a sidecar that leaves it Guaranteed": (
        judged({}, pod(beside=[SIDECAR])), "True", "Exclusive", (),
    ),
    "requests below limits": (judged({}, pod(qos="Burstable")), "False", "NotGuaranteed", ()),
    "half a CPU": (judged({}, pod("1500m")), "False", "FractionalCPU", ("1.5",)),
    "resources of the pod as a whole": (
        judged({"quota": 1.0}, pod(spec={"resources": {"limits": {"cpu": "2"}}})), "False",
        "PodLevelResources", ("spec.resources", "admission policy or webhook"),
    ),
    "shared on purpose": (judged({}, policy="none"), "False", "NotRequested", ()),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_machine_gets_the_verdict_it_deserves(case: str):
    verdict, status, reason, words = CASES[case]

    assert (verdict.status, verdict.reason) == (status, reason), verdict.message
    assert [word for word in words if word not in verdict.message] == []


@pytest.mark.parametrize("policy", ["static", "external"])
def test_cpus_that_another_pod_of_ours_may_use_are_not_its_own(policy: str):
    overlap = Overlap(("team", "other"), "other-1", (1,), is_certain=True)

    verdict = judged({}, policy=policy, overlap=overlap)

    assert (verdict.status, verdict.reason) == ("False", "Overlapping")
    assert "shares CPU 1 of node a with pod other-1 of ModelServer team/other" in verdict.message


@pytest.mark.parametrize("policy", ["static", "external"])
def test_while_an_overlap_is_not_certain_nothing_is_claimed(policy: str):
    overlap = Overlap(("team", "other"), "other-1", (1,), is_certain=False)

    verdict = judged({}, policy=policy, overlap=overlap)

    assert (verdict.status, verdict.reason) == ("Unknown", "AwaitingReport")


CPU_SETS = st.lists(st.integers(0, 7), min_size=1, max_size=8, unique=True).map(sorted)
KERNELS = st.none() | st.fixed_dictionaries(
    {
        "cgroup": st.sampled_from([1, 2, None]),
        "cpuset": st.none() | CPU_SETS,
        "ownCpuset": st.none() | CPU_SETS,
        "siblings": st.lists(CPU_SETS, max_size=4),
        "numaNodes": st.lists(
            st.builds(lambda n, c: {"node": n, "cpus": c}, st.integers(0, 3), CPU_SETS), max_size=3
        ),
    }
)


@given(st.data())
def test_true_is_never_said_against_the_evidence(data: st.DataObject):
    affinity, kernel = data.draw(CPU_SETS), data.draw(KERNELS)
    online, request = max(affinity) + data.draw(st.integers(1, 9)), data.draw(st.integers(1, 8))
    quota, lifts_quota = data.draw(st.none() | st.floats(0.1, 8)), data.draw(st.booleans())
    certain = data.draw(st.none() | st.booleans())
    overlap = None if certain is None else Overlap(("n", "o"), "o-1", (affinity[0],), certain)
    status = {"affinity": affinity, "cpusOnline": online, "quota": quota, "cpus": kernel or "absent"}

    verdict = judged(status, pod(str(request)), lifts_quota=lifts_quota, overlap=overlap)

    if verdict.status != "True":
        return
    own = (kernel or {}).get("ownCpuset")
    assert overlap is None
    assert len(affinity) == request < online
    assert not (quota is not None and lifts_quota)
    assert own == affinity or (lifts_quota and quota is None)
    assert not ((kernel or {}).get("cgroup") == 2 and not own)


def test_the_first_pod_that_fails_is_the_one_that_is_named():
    good, bad = pod(), pod()
    bad["metadata"] = {**bad["metadata"], "name": "q", "uid": "v"}
    document = {**report(), "affinity": [1], "cpusOnline": 2, "quota": None, "cpus": OWN}
    replies = {
        "u": read_reply(json.dumps(document).encode()),
        "v": read_reply(json.dumps({**document, "affinity": [0, 1]}).encode()),
    }
    facts = Facts(None, (read_pod(good), read_pod(bad)), replies, lifts_quota=True)

    verdict = exclusive_cpus(parse(model_server()), facts)

    assert verdict.reason == "NodePolicyNone"
    assert "pod q " in verdict.message
