"""Pods that nodes reject: when fewer are kept or the last good template returns, and when one is tried."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelserver_operator.api import ModelServer, Status, parse
from modelserver_operator.changes.breaker import (
    Clock,
    Scene,
    applied,
    decide,
    digest,
    due,
    measures,
    scene,
    superfluous,
)
from modelserver_operator.changes.templates import History, choose, new_stored
from modelserver_operator.conditions import judge
from modelserver_operator.desired import Images, render_kept
from modelserver_operator.desired.kept import rendered
from modelserver_operator.observed.child import Rollout
from modelserver_operator.observed.facts import Facts, Snapshot
from modelserver_operator.observed.pod import Pod, read_pod
from modelserver_operator.observed.rejections import CLOSED, Breaker, is_rejected, read_breaker
from tests.support.modelservers import model_server

START = datetime(2026, 1, 1, tzinfo=UTC)
BROKEN = "Allocate failed due to rpc error: code = Unavailable desc = no driver, which is unexpected"
IMAGES = Images("c", "g", "n")
SERVING = "serving"


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def made(name: str, seconds: float, template: str, node: str, **status: Any) -> Pod:
    return read_pod(
        {
            "metadata": {
                "name": name, "namespace": "n", "uid": name, "resourceVersion": "1",
                "creationTimestamp": at(seconds), "labels": {"pod-template-hash": template},
            },
            "spec": {"nodeName": node, "containers": []},
            "status": status,
        }
    )  # fmt: skip


def rejected(
    seconds: float, template: str = "new", node: str = "n1", reason: str = "UnexpectedAdmissionError"
) -> Pod:
    """One that its node has rejected in the second in which it was created."""
    failed = {"phase": "Failed", "reason": reason, "message": BROKEN, "startTime": at(seconds)}
    return made(f"r{seconds}-{template}-{node}", seconds, template, node, **failed)


def ready(name: str = SERVING, template: str = "new", node: str = "n2") -> Pod:
    containers = [{"name": "modelserver", "state": {"running": {}}}]
    conditions = [{"type": "Ready", "status": "True"}]
    return made(name, 0, template, node, phase="Running", conditions=conditions, containerStatuses=containers)


def starting(name: str, template: str = "new", node: str = "n2") -> Pod:
    """Its kubelet has taken it and creates its container."""
    containers = [{"name": "modelserver", "state": {"waiting": {"reason": "ContainerCreating"}}}]
    return made(name, 0, template, node, phase="Pending", containerStatuses=containers)


def bound(name: str, template: str = "new", node: str = "n2") -> Pod:
    """It has a node, whose kubelet has not said anything yet."""
    return made(name, 0, template, node, phase="Pending")


def burst(first: float = 0, template: str = "new", **more: Any) -> list[Pod]:
    return [rejected(first + number, template, **more) for number in range(3)]


def look(*pods: Pod, seconds: float = 10, **changes: Any) -> Scene:
    given = Scene(
        wanted=2, template="T", can_go_back=False, may_surge=True, newest="new", is_complete=False,
        pods=pods,        clock=Clock(at(seconds), 600.0),
    )  # fmt: skip
    return replace(given, **changes)


def opened(*pods: Pod, **changes: Any) -> Breaker:
    found = decide(CLOSED, look(*burst(), *pods, **changes))
    assert found.is_open
    return found


@pytest.mark.parametrize(
    ("reason", "want"),
    [
        ("TopologyAffinityError", True), ("SMTAlignmentError", True), ("UnexpectedAdmissionError", True),
        ("OutOfcpu", True), ("OutOfexample.dev/npu", True), ("Evicted", False), ("NodeLost", False),
        ("Preempting", False),
    ],
)  # fmt: skip
def test_only_what_the_next_pod_meets_again_is_a_rejection(reason: str, want: bool):
    assert is_rejected(rejected(0, reason=reason)) is want


def test_a_container_that_ends_is_no_rejection():
    crash = {"exitCode": 1, "reason": "UnexpectedAdmissionError", "finishedAt": at(0)}
    container = {"name": "modelserver", "state": {"terminated": crash}}

    assert not is_rejected(made("p", 0, "new", "n", phase="Running", containerStatuses=[container]))


@pytest.mark.parametrize(
    ("times", "opens"),
    [
        ((0, 1), False),
        ((0, 1, 2), True),
        ((0, 30, 60), True),
        ((0, 30, 61), False),
        ((0, 50, 100, 110), True),
        ((0, 40, 80, 120, 160), False),
    ],
)
def test_three_within_sixty_seconds_open_it(times: Sequence[int], opens: bool):
    pods = [rejected(seconds) for seconds in times]

    assert decide(CLOSED, look(*pods, seconds=max(times))).is_open is opens


def test_it_opens_by_the_clock_of_the_nodes_however_wrong_that_of_the_operator_is():
    for wrong in (-3600, 3600):
        assert decide(CLOSED, look(*burst(), seconds=wrong)).is_open


def test_pods_of_several_replica_sets_do_not_add_up():
    assert not decide(CLOSED, look(*burst(template="old"))).is_open
    assert not decide(CLOSED, look(rejected(0, "old"), rejected(1), rejected(2))).is_open


def test_nothing_is_counted_while_the_newest_replica_set_is_unknown():
    assert not decide(CLOSED, look(*burst(template=""), newest="")).is_open


def test_what_serves_or_starts_stays_and_what_waits_for_the_same_node_goes():
    found = opened(
        ready(),
        starting("a"),
        bound("other", node="n3"),
        bound("same", node="n1"),
        made("nowhere", 0, "new", "", phase="Pending"),
        wanted=7,
    )

    assert found.replicas == 3
    assert measures(found, 7, in_place=False).replicas == 3


def test_without_any_pod_that_serves_nothing_runs():
    assert opened().replicas == 0


def test_it_says_which_node_why_and_when():
    found = opened(ready())

    assert (found.node, found.reason, found.message) == ("n1", "UnexpectedAdmissionError", BROKEN)
    assert found.next_try == at(610)
    assert due(found, look(wanted=2, seconds=100)) == 510
    assert due(found, look(wanted=2, seconds=700)) == 0


def test_pods_on_their_way_when_it_opened_change_nothing():
    found = opened(ready())
    later = [*burst(), *burst(5), ready()]

    assert decide(found, look(*later, seconds=20)) == found


def test_a_pod_that_is_lost_meanwhile_is_replaced_until_its_replacement_is_rejected_three_times():
    found = opened(ready("a"), ready("b"), wanted=3)
    assert found.replicas == 2
    assert decide(found, look(*burst(), ready("a"), rejected(100), wanted=3)).replicas == 2

    fewer = decide(found, look(*burst(), *burst(100, node="n4"), ready("a"), wanted=3, seconds=110))

    assert (fewer.replicas, fewer.node, fewer.next_try) == (1, "n4", at(710))


def test_one_pod_is_tried_when_the_time_has_come():
    found, pods = opened(ready()), (*burst(), ready())

    assert decide(found, look(*pods, seconds=609)) == found
    trying = decide(found, look(*pods, seconds=610))

    assert (trying.is_trying, trying.next_try) == (True, at(1210))
    assert measures(trying, 2, in_place=False).replicas == 2
    assert decide(trying, look(*pods, bound("try"), seconds=700)) == trying


@pytest.mark.parametrize("on_their_way", range(8))
def test_pods_on_their_way_when_it_opened_do_not_keep_it_from_trying(on_their_way: int):
    """Or the object would be due at every moment, and never tried again."""
    opened = decide(CLOSED, look(*burst(), seconds=3))
    late = [rejected(3 + n / 100, node=f"n{n}") for n in range(on_their_way)]

    tried = decide(opened, look(*burst(), *late, seconds=3 + 600))

    assert tried.is_trying
    assert due(tried, look(wanted=2, seconds=3 + 600)) is None


MOMENTS = st.sampled_from((0, 1, 2, 3, 4, 5, 602, 603, 604, 605, 1204, 1206, 1208, 2000))
"""A burst, pods on their way after it, and tries."""
TEMPLATES, NODES = st.sampled_from(("new", "new", "old")), st.sampled_from(("n1", "n2"))
PODS = st.lists(
    st.one_of(
        st.builds(rejected, MOMENTS, TEMPLATES, NODES),
        st.builds(rejected, MOMENTS, TEMPLATES, NODES),
        st.builds(rejected, MOMENTS, TEMPLATES, NODES),
        st.builds(ready, st.just("ready"), TEMPLATES),
        st.builds(bound, st.just("bound"), TEMPLATES, NODES),
        st.builds(starting, st.just("starting"), TEMPLATES),
    ),
    min_size=3,
    max_size=14,
)


def test_where_nothing_can_be_tried_it_is_not_due():
    """All replicas have the last good template, and the object allows no pod more."""
    pods = (*burst(), *(rejected(4, "old", node) for node in ("n1", "n2", "n3")), starting("s", "old"))
    rules = {"wanted": 1, "can_go_back": True, "may_surge": False}
    breaker = decide(decide(CLOSED, look(*burst(), seconds=2, **rules)), look(*pods, seconds=4, **rules))
    assert (breaker.is_back, breaker.replicas) == (True, 1)

    later = look(*pods, seconds=2000, **rules)

    assert decide(breaker, later) == breaker
    assert due(breaker, later) is None


@settings(max_examples=200)
@given(
    pods=PODS,
    moments=st.sets(MOMENTS, min_size=2),
    wanted=st.integers(0, 3),
    can_go_back=st.booleans(),
    may_surge=st.booleans(),
)
def test_whatever_happens_it_is_never_due_with_nothing_to_do(
    pods: list[Pod], moments: set[int], wanted: int, can_go_back: bool, may_surge: bool
):
    """Each look may be followed by more at the same moment; in the end nothing changes any more."""
    breaker, rules = CLOSED, {"wanted": wanted, "can_go_back": can_go_back, "may_surge": may_surge}
    for seconds in sorted(moments | {2}):
        there = [pod for pod in (*burst(), *pods) if pod.created <= at(seconds)]
        seen = look(*there, seconds=seconds, **rules)
        for _ in range(4):
            breaker = decide(breaker, seen)
        assert decide(breaker, seen) == breaker
        left = due(breaker, seen)
        assert left is None or left > 0


def test_a_try_ends_with_the_first_rejection():
    pods = (*burst(), ready())
    trying = decide(opened(ready()), look(*pods, rejected(5), seconds=610))
    assert decide(trying, look(*pods, rejected(5), seconds=611)) == trying, "it was rejected before the try"

    found = decide(trying, look(*pods, rejected(612, node="n7"), seconds=613))

    assert (found.is_trying, found.replicas, found.node, found.next_try) == (False, 1, "n7", at(1210))


@pytest.mark.parametrize("taken", [starting("try", node="n1"), ready("try", node="n1")])
def test_a_try_that_a_kubelet_takes_closes_it_and_old_failures_count_no_more(taken: Pod):
    pods = (*burst(), ready())
    trying = decide(opened(ready()), look(*pods, seconds=610))

    found = decide(trying, look(*pods, taken, seconds=612))

    assert not found.is_open
    assert decide(found, look(*pods, taken, seconds=613)) == found
    assert measures(found, 2, in_place=False).replicas is None
    assert decide(found, look(*pods, taken, *burst(620), seconds=623)).is_open


def test_when_the_old_failures_are_gone_nothing_is_remembered():
    assert decide(Breaker(counted=at(2)), look(ready())) == CLOSED
    assert CLOSED.text() == ""


def test_another_template_or_an_upgrade_closes_it_and_old_failures_count_no_more():
    found = decide(opened(ready()), look(*burst(), ready(), template="U"))

    assert (found.is_open, found.counted) == (False, at(2))
    assert decide(found, look(*burst(), ready(), template="U")) == found


def test_an_object_that_wants_no_more_than_there_is_is_not_held_back():
    found = opened(ready())

    assert not found.limits(1)
    assert due(found, look(wanted=1, seconds=700)) is None
    assert decide(found, look(*burst(), ready(), wanted=1, seconds=700)) == found
    assert decide(found, look(*burst(), ready(), wanted=2, seconds=701)).is_trying


def test_a_try_that_is_no_longer_wanted_ends():
    trying = decide(opened(ready()), look(*burst(), ready(), seconds=610))

    assert not decide(trying, look(*burst(), ready(), wanted=1, seconds=611)).is_trying


def test_a_shorter_interval_or_a_corrected_clock_moves_the_next_try():
    found = opened(ready())

    assert decide(found, look(*burst(), ready(), clock=Clock(at(20), 60.0))).next_try == at(80)
    assert decide(found, look(*burst(), ready(), seconds=-3600)).next_try == at(-3000)


def test_during_a_rollout_the_last_good_template_returns_with_all_replicas():
    old = ready(template="old")
    found = opened(old, can_go_back=True)

    assert (found.is_back, found.replicas) == (True, None)
    assert measures(found, 2, in_place=True).replicas is None
    assert not measures(found, 2, in_place=True).in_place, "no pod that serves is stopped for it"


def test_the_new_template_is_tried_beside_what_serves():
    old = ready(template="old")
    found = opened(old, can_go_back=True)
    back = look(*burst(), old, can_go_back=True, newest="old", seconds=610)

    trying = decide(found, back)
    assert trying.is_trying
    assert measures(trying, 2, in_place=False).only_surges

    # The Deployment names the ReplicaSet of the last good template for a moment longer.
    assert decide(trying, back) == trying
    for template in ("new", "restarted"):
        failed = decide(trying, replace(back, pods=(*back.pods, rejected(611, template))))
        assert (failed.is_open, failed.is_back, failed.is_trying) == (True, True, False)
    assert not decide(trying, replace(back, pods=(*back.pods, starting("s")))).is_open
    assert decide(trying, replace(back, pods=(*back.pods, starting("s", "restarted")))) == trying
    assert not decide(trying, replace(back, is_complete=True)).is_open


def test_without_surge_or_without_replicas_a_template_is_not_tried():
    old = ready(template="old")
    found = opened(old, can_go_back=True, may_surge=False)

    assert found.next_try == ""
    assert due(found, look(wanted=2, seconds=700)) is None
    assert decide(found, look(*burst(), old, can_go_back=True, may_surge=False, seconds=9999)) == found

    surging = opened(old, can_go_back=True)
    assert decide(surging, look(*burst(), can_go_back=True, wanted=0, seconds=9999)) == surging


def test_pods_of_the_new_template_on_their_way_do_not_count_against_the_last_good_one():
    found = opened(ready(template="old"), can_go_back=True)

    late = look(*burst(), *burst(5), ready(template="old"), can_go_back=True, newest="new", seconds=12)

    assert decide(found, late) == found


def test_if_the_last_good_template_is_rejected_too_fewer_of_it_are_kept_and_it_is_tried_first():
    old = ready(template="old")
    found = opened(old, can_go_back=True)
    pods = (*burst(), *burst(20, "old"), old)

    both = decide(found, look(*pods, can_go_back=True, newest="old", seconds=25))
    assert (both.is_back, both.replicas) == (True, 1)

    trying = decide(both, look(*pods, can_go_back=True, newest="old", seconds=700))
    assert trying.is_trying
    assert not measures(trying, 2, in_place=False).only_surges
    assert measures(trying, 2, in_place=False).replicas == 2

    taken = look(*pods, starting("s", "old"), can_go_back=True, newest="old", seconds=701)
    one = decide(trying, taken)
    assert (one.is_back, one.replicas, one.is_trying) == (True, None, False)


def test_without_the_last_good_template_it_closes():
    found = opened(ready(template="old"), can_go_back=True)

    assert not decide(found, look(*burst(), can_go_back=False, seconds=20)).is_open


def test_rejected_pods_are_deleted_except_the_newest_three():
    found = opened(ready())
    pods = [*burst(-60), *burst(-30), *burst(), rejected(5)]

    assert superfluous(found, look(*pods)) == pods[:6]
    assert superfluous(Breaker(counted=at(2)), look(*pods)) == pods[:9], "closed, none is needed"
    assert superfluous(CLOSED, look(*pods)) == []
    assert len(superfluous(found, look(*(rejected(-second) for second in range(100))))) == 20


def test_rejected_pods_are_deleted_when_all_replicas_are_ready_without_them():
    assert superfluous(CLOSED, look(ready(), rejected(5), is_complete=True)) == [rejected(5)]


def test_a_rejected_pod_is_deleted_once():
    deleted = replace(rejected(0), is_ending=True)

    assert superfluous(Breaker(counted=at(0)), look(deleted)) == []


def test_where_nothing_holds_them_back_many_are_counted_so_that_they_are_deleted():
    found = opened(ready("a", "old"), wanted=1)
    few = [rejected(100 + second) for second in range(19)]

    assert decide(found, look(*burst(), *few, ready("a", "old"), wanted=1)) == found
    many = decide(found, look(*burst(), *few, rejected(200), ready("a", "old"), wanted=1))

    assert many == replace(found, counted=at(200))
    assert len(superfluous(many, look(*burst(), *few, rejected(200)))) == 20


@given(
    st.builds(
        Breaker,
        counted=st.sampled_from(("", at(0))),
        template=st.text(),
        is_back=st.booleans(),
        replicas=st.none() | st.integers(0, 100),
        is_trying=st.booleans(),
        next_try=st.sampled_from(("", at(0))),
        node=st.text(),
        reason=st.text(),
        message=st.text(),
    )
)
def test_what_is_remembered_survives_a_restart(breaker: Breaker):
    assert read_breaker(breaker.text()) == breaker


@pytest.mark.parametrize(
    "text",
    ["", "?", "[]", "1", '{"replicas": "2", "template": "T"}', '{"replicas": -1}', '{"replicas": true}',
     '{"counted": "soon"}', '{"next_try": "2026-01-01"}', '{"is_back": 1}', '{"counted": 1}'],
)  # fmt: skip
def test_what_somebody_else_wrote_there_is_nothing(text: str):
    assert read_breaker(text) == CLOSED


def test_a_field_of_a_later_operator_is_ignored():
    assert read_breaker('{"template": "T", "later": 1}') == Breaker(template="T")


# From here on with an object.


def server(**spec: Any) -> ModelServer:
    body = model_server(**spec)
    body["metadata"] |= {"namespace": "n", "uid": "owner", "generation": 3}
    return parse(body)


def kept(**spec: Any) -> Any:
    return new_stored(server(**spec), rendered(server(**spec), IMAGES))


def past(good: dict[str, Any] | None, **current: Any) -> History:
    last = replace(kept(**good), is_good=True) if good is not None else None
    return History(current=replace(kept(**current), number=2), good=last)


def seen(wanted: ModelServer, history: History) -> Scene:
    choice = choose(wanted, IMAGES, history)
    return scene(wanted, choice, history, Snapshot({}, ()), Clock(at(0), 600.0))


def test_the_scene_of_an_object():
    new = {"resources": {"limits": {"example.dev/npu": 1}}}
    assert seen(server(**new), past({}, **new)).can_go_back
    assert not seen(server(**new), past(None, **new)).can_go_back
    assert not seen(server(**new), past(new, **new)).can_go_back, "it is the last good one"
    assert not seen(server(rollout={"maxSurge": "0%"}), past(None)).may_surge


def test_hot_changes_and_replicas_are_the_same_template_and_an_upgrade_is_another():
    known = past(None)
    usual = seen(server(), known).template

    assert seen(server(hint="LATENCY", replicas=5, paused=True), known).template == usual
    assert seen(server(workers=1, image="other"), known).template != usual
    assert seen(replace(server(), upgrade="1"), known).template != usual


def test_what_is_applied_while_it_is_back():
    new = {"resources": {"limits": {"example.dev/npu": 1}}, "hint": "LATENCY"}
    history = past({}, **new)
    wanted = choose(server(**new), IMAGES, history).kept
    good = history.good.kept
    back = Breaker(template=digest(wanted), is_back=True)

    assert applied(wanted, history, CLOSED) == wanted
    assert applied(wanted, history, back) == good
    tried = applied(wanted, history, replace(back, is_trying=True))
    assert (tried.template, tried.config) == (wanted.template, good.config)
    assert applied(wanted, history, replace(back, is_trying=True, replicas=1)) == good


def test_the_deployment_carries_what_is_remembered():
    breaker = Breaker(template="T", replicas=1, is_back=True, is_trying=True)
    found = render_kept(server(replicas=3), kept().kept, measures(breaker, 3, in_place=True))
    (deployment,) = [item.manifest for item in found.children if item.kind == "Deployment"]

    assert deployment["spec"]["replicas"] == 2
    assert read_breaker(deployment["metadata"]["annotations"]["modelserver.dev/breaker"]) == breaker
    assert "modelserver.dev/in-place" not in deployment["metadata"]["annotations"]

    trying = measures(Breaker(template="T", is_back=True, is_trying=True), 3, in_place=False)
    found = render_kept(server(rollout={"maxUnavailable": 2}), kept().kept, trying)
    (deployment,) = [item.manifest for item in found.children if item.kind == "Deployment"]
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


HELD = Breaker(
    template="T", replicas=1, next_try=at(610), node="n1", reason="UnexpectedAdmissionError", message=BROKEN
)
CAUSE = f"node n1 rejected pods: UnexpectedAdmissionError: {BROKEN}. Repair the device plugin"


def said(breaker: Breaker, *pods: Pod, **facts: Any) -> dict[str, tuple[str, str, str]]:
    rollout = Rollout(
        generation=3, observed_generation=3, replicas=1, updated=1, ready=1, stuck="", refused=""
    )
    found = judge(server(replicas=3), Facts(rollout, pods, breaker=breaker, **facts), "r", Status(), at(3600))
    return {c.type: (c.status, c.reason, c.message) for c in found.conditions}


@pytest.mark.parametrize(
    ("breaker", "words"),
    [
        (HELD, f"Deployment is kept at replicas=1; one more pod is tried at {at(610)}, or immediately after"),
        (replace(HELD, is_trying=True), "The Deployment is kept at replicas=1; one more pod is tried now"),
        (
            replace(HELD, replicas=None, is_back=True),
            f"the last good template again; one pod of the new template is tried at {at(610)}",
        ),
        (
            replace(HELD, replicas=None, is_back=True, next_try=""),
            "the new template is tried again after a change of its fields or a new value of the annotation",
        ),
        (replace(HELD, is_back=True), "last good template again, and the Deployment is kept at replicas=1"),
    ],
)
def test_ready_names_node_reason_remedy_and_the_next_try(breaker: Breaker, words: str):
    status, reason, message = said(breaker, ready())["Ready"]

    assert (status, reason) == ("False", "PodsRejected")
    assert message.startswith(f"1 of 3 pods are ready; {CAUSE}")
    assert words in message


def test_available_says_it_when_no_pod_serves_long_after_the_failures_are_old():
    found = said(replace(HELD, replicas=0), rejected(0))["Available"]

    assert found[:2] == ("False", "NoPodReady")
    assert CAUSE in found[2]


def test_a_try_that_finds_no_room_says_so():
    unscheduled = {
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes",
    }  # fmt: skip
    pod = made("w", 0, "new", "", phase="Pending", conditions=[unscheduled])

    assert said(replace(HELD, is_trying=True), ready(), pod)["Ready"][2].endswith(
        "one more pod is tried now, and waits: Unschedulable: 0/1 nodes"
    )


def test_models_of_the_last_good_configuration_are_not_those_of_the_object():
    found = said(replace(HELD, is_back=True), ready(), is_configuration_back=True)["ModelsServed"]

    assert found[:2] in {("False", "OldConfiguration"), ("Unknown", "PodUnreachable")}
