"""A rollout without room for an extra pod: when old pods are stopped first, how it is reported and undone."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import devcluster
from devcluster.kubectl import Kubernetes
from modelserver_operator.api import ModelServer, Status, parse
from modelserver_operator.changes.in_place import replaces_in_place
from modelserver_operator.changes.plan import Why, plan
from modelserver_operator.conditions import judge
from modelserver_operator.desired import Images, render
from modelserver_operator.observed.child import Rollout, read_child
from modelserver_operator.observed.facts import Facts
from modelserver_operator.observed.pod import Pod, read_pod
from tests.support.children import created, deployment, events, submit
from tests.support.modelservers import model_server, with_model
from tests.support.operator_process import OperatorProcess, install, kubeconfig
from tests.support.waiting import until

START = datetime(2026, 1, 1, tzinfo=UTC)
INSUFFICIENT = "0/1 nodes are available: 1 Insufficient cpu. "
HELPS = INSUFFICIENT + "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
NO_PREEMPTION = INSUFFICIENT + "preemption: not eligible due to preemptionPolicy=Never."
TOO_LARGE = INSUFFICIENT + "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
NO_NODE = (
    "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. preemption: 0/1 nodes are "
    "available: 1 Preemption is not helpful for scheduling."
)
ONE_OF_TWO = (
    "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {a: b}. preemption: 0/2 "
    "nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for "
    "scheduling."
)
NEVER_PREEMPTS = {
    "apiVersion": "scheduling.k8s.io/v1",
    "kind": "PriorityClass",
    "metadata": {"name": "never-preempts"},
    "value": 0,
    "preemptionPolicy": "Never",
}
LIVE = Rollout(generation=2, observed_generation=2, replicas=2, updated=1, ready=1, stuck="", refused="")


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def server(**spec: Any) -> ModelServer:
    return parse(model_server(**spec))


def pod(name: str, template: str, message: str = "", **metadata: Any) -> Pod:
    """One that is ready, or, with a message of the scheduler, one that waits for a node."""
    waits = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    ready = {"type": "Ready", "status": "True"}
    return read_pod(
        {
            "metadata": {
                "name": name, "namespace": "n", "uid": name, "resourceVersion": "1",
                "labels": {"pod-template-hash": template}, **metadata,
            },
            "status": {"conditions": [waits | {"lastTransitionTime": at(0)} if message else ready]},
        }
    )  # fmt: skip


OLD, NEW = pod("old", "a"), pod("new", "b", HELPS)


def decides(*pods: Pod, live: Rollout | None = LIVE, seconds: float = 30, **spec: Any) -> bool:
    return replaces_in_place(server(**spec), live, pods, at(seconds))


@pytest.mark.parametrize(("seconds", "want"), [(0, False), (29, False), (30, True), (3600, True)])
def test_after_thirty_seconds_without_room_old_pods_end_first(seconds: int, want: bool):
    assert decides(OLD, NEW, seconds=seconds) is want


@pytest.mark.parametrize(
    ("pods", "want"),
    [
        pytest.param([], False, id="no pod"),
        pytest.param([NEW], False, id="nothing to replace"),
        pytest.param([OLD, pod("second", "a", HELPS)], False, id="a pod more of the same template"),
        pytest.param([pod("old", "a", deletionTimestamp=at(0)), NEW], False, id="an old pod that leaves"),
        pytest.param([pod("old", "a", HELPS), NEW], False, id="an old pod that has no room itself"),
        pytest.param([OLD, pod("new", "b", NO_PREEMPTION)], True, id="a pod that may not preempt"),
        pytest.param([OLD, pod("new", "b", ONE_OF_TWO)], True, id="room would help on one node of two"),
        pytest.param([OLD, pod("new", "b", TOO_LARGE)], False, id="more than a whole node"),
        pytest.param([OLD, pod("new", "b", NO_NODE)], False, id="a selector that fits no node"),
    ],
)
def test_only_pods_that_would_make_room_go(pods: list[Pod], want: bool):
    assert decides(*pods) is want


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"rollout": {"maxSurge": 1}}, id="maxSurge is set"),
        pytest.param({"rollout": {"maxUnavailable": 0}}, id="maxUnavailable is set"),
    ],
)
def test_a_setting_of_the_object_is_never_overridden(spec: dict[str, Any]):
    assert not decides(OLD, NEW, **spec)
    assert not decides(OLD, NEW, live=replace(LIVE, in_place=True), **spec)


def test_pods_with_a_device_are_replaced_in_place_anyway():
    pods = [replace(each, devices=("a.b/c",)) for each in (OLD, NEW)]

    assert not decides(*pods, device="GPU", accelerator={"resourceName": "a.b/c"})
    assert decides(*pods, resources={"limits": {"a.b/c": 1}}), "one that the object lists is no GPU"


@given(
    st.builds(
        replace,
        st.just(replace(LIVE, in_place=True)),
        observed_generation=st.integers(1, 2),
        replicas=st.integers(0, 3),
        updated=st.integers(0, 3),
        ready=st.integers(0, 3),
    ),
    st.integers(0, 3),
)
def test_it_holds_exactly_until_the_rollout_is_complete(live: Rollout, wanted: int):
    is_complete = live.observed_generation == 2 and {live.replicas, live.updated, live.ready} == {wanted}

    assert decides(live=live, replicas=wanted) is not is_complete


def test_the_strategy_changes_with_it_and_that_is_not_drift():
    def children(*, in_place: bool):
        body = model_server()
        body["metadata"] |= {"namespace": "n", "uid": "owner"}
        return render(parse(body), Images("c", "g", "n"), in_place=in_place).children

    usual, in_place = children(in_place=False), children(in_place=True)
    (deployment,) = [item for item in in_place if item.kind == "Deployment"]
    assert deployment.manifest["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}

    for before, after in ((usual, in_place), (in_place, usual)):
        stored = {
            (i.kind, i.name): read_child(
                i.kind,
                {**i.manifest, "metadata": {**i.manifest["metadata"], "uid": i.name, "resourceVersion": "1"}},
            )
            for i in before
        }
        found = plan(after, stored, "owner", {})
        assert [(change.desired.kind, change.why) for change in found.changes] == [
            ("Deployment", Why.CHANGED)
        ]
        live = stored["Deployment", "server"].rollout
        assert live is not None
        assert live.in_place is (before is in_place)


@pytest.mark.parametrize(
    ("live", "spec", "reason", "words"),
    [
        (LIVE, {}, "RollingOut", "if that lasts 30 s, an old pod is stopped first; pod new: Unsch"),
        (LIVE, {"rollout": {"maxSurge": 1}}, "RollingOut", "rollout.maxSurge 0 and maxUnavailable 1"),
        (replace(LIVE, in_place=True), {}, "ReplacingInPlace", "until then nothing is served"),
        (replace(LIVE, in_place=True), {"replicas": 2}, "ReplacingInPlace", "one at a time; 1 of 2 pods"),
    ],
)
def test_it_is_announced_before_it_happens_and_reported_meanwhile(
    live: Rollout, spec: dict[str, Any], reason: str, words: str
):
    status = judge(server(**spec), Facts(live, (OLD, NEW)), "r", Status(), at(0))

    (ready,) = [c for c in status.conditions if c.type == "Ready"]
    assert (ready.status, ready.reason) == ("False", reason)
    assert words in ready.message


@pytest.fixture(scope="module")
def full(run_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    """A scheduler, one simulated node of 64 CPUs, and the operator."""
    cluster = devcluster.up(
        f"{run_name}-room", no_node=True, extras=("controller-manager", "scheduler", "kwok")
    )
    kubernetes = Kubernetes(cluster.environment())
    install(kubernetes)
    directory = tmp_path_factory.mktemp("operator")
    operator = OperatorProcess(kubeconfig(kubernetes, directory), directory / "log")
    operator.start("--cpu-image=modelserver:test")
    yield kubernetes
    assert operator.stop() == 0, operator.log()[-3000:]
    devcluster.down(cluster.name)


def simulated_pod(name: str, cpu: int, **spec: Any) -> dict[str, Any]:
    """One that only the scheduler and the simulated node see."""
    container = {"name": "modelserver", "image": "none", "resources": {"requests": {"cpu": str(cpu)}}}
    metadata = {"name": name, "labels": {"pod-template-hash": name}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [container], **spec},
    }


@pytest.mark.long
@pytest.mark.api
def test_the_scheduler_says_whether_removing_a_pod_would_help(full: Kubernetes):
    """`read_pod` relies on the scheduler's sentences: here are those of the real one."""
    full.kubectl("create", "namespace", "sizes")
    mine = Kubernetes(full.environment, "sizes")
    until("the default ServiceAccount", lambda: mine.items("serviceaccounts"), timeout=30)

    def waiting(name: str) -> Pod:
        until(f"{name} waits", lambda: read_pod(mine.get("pod", name)).waiting, timeout=30)
        return read_pod(mine.get("pod", name))

    submit(mine, simulated_pod("holder", 40))
    until("the holder runs", lambda: read_pod(mine.get("pod", "holder")).is_ready, timeout=30)
    submit(mine, simulated_pod("fits-without-it", 30))
    submit(mine, NEVER_PREEMPTS)
    submit(mine, simulated_pod("may-not-preempt", 30, priorityClassName="never-preempts"))
    submit(mine, simulated_pod("above-a-node", 65))
    submit(mine, simulated_pod("selects-no-node", 1, nodeSelector={"none": "such"}))

    assert waiting("fits-without-it").no_room_since
    assert waiting("may-not-preempt").no_room_since
    assert not waiting("above-a-node").no_room_since
    assert not waiting("selects-no-node").no_room_since
    mine.kubectl("delete", "namespace", "sizes", "--wait=true")


@pytest.mark.api
def test_a_rollout_on_a_full_node_ends_and_the_next_one_surges_again(full: Kubernetes):
    large = with_model(uri="file:///m") | {"resources": {"limits": {"cpu": 40}}}
    created(full, **large)
    until("the pod is ready", lambda: deployment(full).get("status", {}).get("readyReplicas"), timeout=30)

    submit(full, model_server(**large, image="other:1"))

    until(
        "it is announced",
        lambda: "lasts 30 s" in full.condition("server", "Ready").get("message", ""),
        timeout=20,
    )
    assert _strategy(full) == {"maxSurge": 1, "maxUnavailable": 0}
    # With simulated pods the roll itself takes less than a second.
    until("old pods end first", lambda: events(full, "ReplacingInPlace"), timeout=60)
    until("the rollout is complete", lambda: _images(full) == ["other:1"], timeout=60)
    until("the usual strategy is back", lambda: _strategy(full)["maxSurge"] == 1, timeout=20)
    assert events(full, "DriftCorrected") == []


def _strategy(kubernetes: Kubernetes) -> dict:
    return deployment(kubernetes)["spec"]["strategy"]["rollingUpdate"]


def _images(kubernetes: Kubernetes) -> list[str]:
    """Of the pods that are ready."""
    pods = [item for item in kubernetes.items("pods") if read_pod(item).is_ready]
    return [item["spec"]["containers"][0]["image"] for item in pods]
