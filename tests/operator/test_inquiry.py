"""When a server is asked, and which of its answers count."""

import time
from dataclasses import replace

import pytest

from modelserver_operator.observed.inquiry import MISSES, Endpoint, Inquiry, Question, endpoint
from modelserver_operator.observed.pod import read_pod
from modelserver_operator.observed.report import Answer, ProbeOutcome
from tests.support.reports import document

SLOW = 30.0
ENDPOINT = Endpoint("u", "10.0.0.1", 8082, "0 containerd://a")
QUESTION = Question(ENDPOINT, is_ready=True, revision="r1", changes=0)
MISS = Answer(ProbeOutcome.TIMED_OUT, problem="no answer")


def answer(revision: str = "r1", **model) -> Answer:
    return Answer(ProbeOutcome.ANSWERED, document(revision, **model))


def asked(*answers: Answer, question: Question = QUESTION) -> Inquiry:
    inquiry = Inquiry(question)
    for number, one in enumerate(answers):
        inquiry.take(one, float(number))
    return inquiry


def served(inquiry: Inquiry) -> str | None:
    known = inquiry.known()
    return known.status.revision if known and known.status else None


def test_nothing_is_known_before_the_first_answer():
    assert asked().known() is None
    assert served(asked(answer())) == "r1"


@pytest.mark.parametrize("misses", range(1, MISSES))
def test_fewer_misses_than_three_change_nothing(misses: int):
    inquiry = asked(answer(), *[MISS] * misses)

    assert served(inquiry) == "r1"
    assert inquiry.pause(SLOW) == 1


def test_three_misses_in_a_row_are_a_problem_and_one_answer_ends_it():
    inquiry = asked(answer(), *[MISS] * MISSES)
    known = inquiry.known()
    assert known is not None
    assert (known.status, known.problem) == (None, "no answer")

    inquiry.take(answer(), 9.0)

    assert served(inquiry) == "r1"


def test_misses_that_are_not_in_a_row_are_not_counted_together():
    assert served(asked(answer(), MISS, MISS, answer(), MISS, MISS)) == "r1"


def test_a_document_that_cannot_be_read_is_a_miss():
    inquiry = asked()

    assert inquiry.take(Answer(ProbeOutcome.ANSWERED, b"<html>"), 0.0) is ProbeOutcome.UNREADABLE
    assert inquiry.is_silent


HOSTILE = {
    "a deep list": b'{"models":' + b"[" * 2_000_000,
    "a long number": document().replace(b'"version": 1', b'"version": ' + b"9" * 1_000_000),
    "no UTF-8": b'{"revision":"\xff"}',
    "half a surrogate": document().replace(b'"r1"', b'"\\ud800"'),
    "NaN": document().replace(b'"streams": 1', b'"streams": NaN'),
    "nothing": b"",
    "very many empty versions": document().replace(b'"versions": [', b'"versions": [' + b"{}," * 300_000),
    "very many numbers": document().replace(b'"versions": [', b'"versions": [' + b"0," * 500_000),
    "very many fields": b"{%s}" % b",".join(b'"%d":0' % number for number in range(100_000)),
    "very many CPUs": document().replace(b'"affinity": [', b'"affinity": [' + b"0," * 500_000),
    "a version of the contract without end": document().replace(
        b'"schemaVersion": 1', b'"schemaVersion": ' + b"9" * 4000
    ),
}


def test_a_text_without_end_is_kept_in_part():
    inquiry = asked(answer(error="x" * 1_000_000))

    known = inquiry.known()
    assert known is not None
    assert known.status is not None
    assert len(known.status.models[0].error or "") == 4096


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_document_is_a_problem_in_words(name: str):
    begun = time.process_time()
    inquiry = asked(*[Answer(ProbeOutcome.ANSWERED, HOSTILE[name])] * MISSES)

    assert time.process_time() - begun < 2, "all other objects wait meanwhile"
    known = inquiry.known()
    assert known is not None
    assert known.problem.startswith("its /status cannot be read")
    assert len(known.problem) < 300


@pytest.mark.parametrize(
    "change",
    [
        {"is_ready": True, "endpoint": replace(ENDPOINT, process="1 containerd://b")},
        {"is_ready": True, "endpoint": replace(ENDPOINT, address="10.0.0.2")},
    ],
    ids=["a restarted container", "another address"],
)
def test_an_answer_of_another_process_is_forgotten(change: dict):
    inquiry = asked(answer())

    assert inquiry.change(replace(QUESTION, **change))

    assert inquiry.known() is None


@pytest.mark.parametrize(
    "change", [{"is_ready": False}, {"revision": "r2", "changes": 1}, {"revision": "r1", "changes": 2}]
)
def test_an_answer_from_before_a_change_is_known_but_not_current(change: dict):
    inquiry = asked(answer())

    assert inquiry.change(replace(QUESTION, **change))

    known = inquiry.known()
    assert known is not None
    assert served(inquiry) == "r1"
    assert not known.is_current
    inquiry.take(answer(), 1.0)
    known = inquiry.known()
    assert known is not None
    assert known.is_current


def test_a_pod_that_becomes_ready_is_not_blamed_for_misses_before():
    inquiry = asked(*[MISS] * MISSES, question=replace(QUESTION, is_ready=False))

    inquiry.change(QUESTION)

    assert inquiry.known() is None


def test_an_unreachable_pod_stays_so_when_the_configuration_changes():
    inquiry = asked(*[MISS] * MISSES)

    inquiry.change(replace(QUESTION, revision="r2", changes=1))

    known = inquiry.known()
    assert known is not None
    assert known.problem == "no answer"


def test_a_server_that_serves_everything_is_asked_slowly():
    assert asked(answer()).pause(SLOW) == SLOW


@pytest.mark.parametrize(
    "busy",
    [
        answer("r0"),
        answer(error="no such file"),
        answer(state="LOADING"),
        answer(state="END", wanted=False),
    ],
    ids=["an old configuration", "an error", "loading", "no version"],
)
def test_a_server_at_work_is_asked_quickly_for_two_minutes(busy: Answer):
    inquiry = asked()
    pauses = []
    for _ in range(30):
        inquiry.take(busy, 0.0)
        pauses.append(inquiry.pause(SLOW))

    assert pauses[:5] == [1, 2, 4, 5, 5]
    assert pauses[-1] == SLOW
    assert 90 < sum(pause for pause in pauses if pause < SLOW) < 130


def test_a_pod_that_is_not_ready_is_asked_quickly():
    assert asked(answer(), question=replace(QUESTION, is_ready=False)).pause(SLOW) == 1


def test_an_unreachable_server_is_asked_less_and_less_often():
    inquiry = asked(*[MISS] * (MISSES - 1))
    pauses = []
    for _ in range(5):
        inquiry.take(MISS, 0.0)
        pauses.append(inquiry.pause(SLOW))

    assert pauses == [5, 10, 20, SLOW, SLOW]


def test_a_pass_refreshes_an_answer_older_than_five_seconds():
    inquiry = asked(answer())  # at 0 s

    assert inquiry.freshen(2.0) == 3.0
    assert inquiry.freshen(60.0) == 0.0
    inquiry.take(MISS, 60.0)
    assert inquiry.freshen(61.0) is None


def pod(**status) -> dict:
    ports = [{"name": "rest", "containerPort": 8081}, {"name": "status", "containerPort": 9000}]
    metadata = {"name": "p", "namespace": "n", "uid": "u", "resourceVersion": "1"}
    containers = [
        {"name": "sidecar", "ports": [{"name": "status", "containerPort": 1}]},
        {"name": "modelserver", "ports": ports},
    ]
    return {
        "metadata": metadata,
        "spec": {"containers": containers},
        "status": {"phase": "Running", "podIP": "fd00::1", **status},
    }


def test_a_pod_is_asked_on_the_status_port_of_its_own_container():
    containers = [{"name": "modelserver", "restartCount": 2, "containerID": "containerd://a"}]

    assert endpoint(read_pod(pod(containerStatuses=containers))) == Endpoint(
        "u", "fd00::1", 9000, "2 containerd://a"
    )


@pytest.mark.parametrize("status", [{"phase": "Pending"}, {"podIP": ""}, {"phase": "Failed"}])
def test_a_pod_without_a_running_server_is_not_asked(status: dict):
    assert endpoint(read_pod(pod(**status))) is None
