"""Verdicts while the server of a ready pod has not been asked: nothing becomes True, nothing is withdrawn."""

from dataclasses import replace
from decimal import Decimal

from modelserver_operator.api import Status, parse
from modelserver_operator.conditions import judge
from modelserver_operator.observed.child import Rollout
from modelserver_operator.observed.facts import Facts
from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.report import Reply, read_reply
from tests.support.modelservers import model_server
from tests.support.reports import document

NOW = "2026-01-01T00:00:00Z"
POD = Pod(
    name="p", namespace="default", uid="u", resource_version="1", address="127.0.0.1", is_running=True,
    is_ready=True, is_leaving=False, qos_class="Guaranteed", cpu_request=Decimal(1),
    containers=("modelserver",), revision_annotation="", waiting="", crash=None, status_port=8082,
)  # fmt: skip
SECOND = replace(POD, name="q", uid="v")
SERVED = read_reply(document())
OUTDATED = replace(SERVED, is_current=False)
SILENT = Reply(None, "no answer")
AWAITED = ("ModelsServed", "ExclusiveCPUs", "DeviceBound")
NEVER_JUDGED = Status()


def judged(*pods: Pod, previous: Status = NEVER_JUDGED, generation: int = 1, **replies: Reply) -> Status:
    count = len(pods)
    rollout = Rollout(
        generation=1, observed_generation=1, replicas=count, updated=count, ready=count, stuck="", refused=""
    )
    server = replace(parse(model_server(replicas=count)), generation=generation)
    return judge(server, Facts(rollout, pods, replies), "r1", previous, NOW)


def found(status: Status) -> dict[str, tuple[str, str]]:
    return {c.type: (c.status, c.reason) for c in status.conditions}


def test_a_ready_pod_that_was_never_asked_is_not_called_ready():
    status = found(judged(POD))

    assert {kind: status[kind] for kind in AWAITED} == dict.fromkeys(AWAITED, ("Unknown", "AwaitingReport"))
    assert status["Available"] == ("True", "PodsReady")
    assert status["Ready"] == ("False", "Starting")


def test_a_second_pod_that_was_never_asked_keeps_the_object_from_becoming_ready():
    one = judged(POD, u=SERVED)
    scaling = one.model_copy(
        update={
            "conditions": [
                c.model_copy(update={"status": "False", "reason": "Scaling"}) if c.type == "Ready" else c
                for c in one.conditions
            ]
        }
    )

    status = found(judged(POD, SECOND, previous=scaling, u=SERVED))

    assert status["ModelsServed"] == ("True", "Served")
    assert status["Ready"] == ("False", "Starting")
    assert found(judged(POD, SECOND, previous=scaling, u=SERVED, v=SERVED))["Ready"] == ("True", "Ready")


def test_a_restarted_operator_withdraws_nothing_before_it_has_asked():
    before = judged(POD, SECOND, u=SERVED, v=SERVED)

    assert judged(POD, SECOND, previous=before) == before
    assert judged(POD, SECOND, previous=before, v=SERVED) == before


def test_a_restarted_operator_keeps_an_unreachable_pod_unreachable():
    before = judged(POD, u=SILENT)

    assert found(before)["ModelsServed"] == ("Unknown", "PodUnreachable")
    assert judged(POD, previous=before) == before


def test_a_verdict_of_an_earlier_generation_is_not_kept():
    before = judged(POD, u=SERVED)

    status = found(judged(POD, previous=before, generation=2))

    assert status["ModelsServed"] == ("Unknown", "AwaitingReport")
    assert status["Ready"] == ("False", "Starting")


def test_an_answer_from_before_a_change_does_not_make_the_object_ready():
    """A→B→A: the answer says A, but the server may have taken B meanwhile."""
    before = judged(POD, u=SERVED)

    status = found(judged(POD, previous=before, generation=3, u=OUTDATED))

    assert status["ModelsServed"] == ("Unknown", "AwaitingReport")
    assert status["ExclusiveCPUs"] == ("True", "Exclusive")
    assert status["Ready"] == ("False", "Starting")


def test_a_failure_is_reported_although_another_pod_was_never_asked():
    failing = read_reply(document(error="no such file"))

    assert found(judged(POD, SECOND, u=failing))["ModelsServed"] == ("False", "ModelNotServed")
    assert found(judged(POD, SECOND, u=SILENT))["ModelsServed"] == ("Unknown", "PodUnreachable")


def test_a_pod_without_a_status_port_is_unreachable():
    status = judged(replace(POD, status_port=0))

    (served,) = [c for c in status.conditions if c.type == "ModelsServed"]
    assert served.reason == "PodUnreachable"
    assert "no port named status" in served.message


def test_the_port_that_is_named_is_the_pods_own():
    status = judged(replace(POD, status_port=9000), u=SILENT)

    (served,) = [c for c in status.conditions if c.type == "ModelsServed"]
    assert "status port 9000: no answer" in served.message


def test_only_ready_pods_count_as_ready_pods_of_a_version():
    starting = replace(POD, is_ready=False)

    status = judged(starting, u=SERVED)

    assert status.models is not None
    assert status.models[0].versions[0].ready_pods == 0
    ready = judged(POD, replace(SECOND, is_ready=False), u=SERVED, v=SERVED)
    assert ready.models is not None
    assert ready.models[0].versions[0].ready_pods == 1
