"""Which pods of ours may use the same CPUs of a node, and when that is certain."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from modelserver_operator.observed.nodes.occupancy import SETTLING_SECONDS, Key, Occupancy, Overlap
from modelserver_operator.observed.pod import Pod, read_pod
from modelserver_operator.observed.report import Reply, read_reply
from tests.support.reports import report

MINE, OTHER = ("n", "mine"), ("n", "other")


class Node:
    """Objects with one pod each on a node, and a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.woken: list[Key] = []
        self.occupancy = Occupancy(self.woken.append, lambda: self.now)

    def reports(self, key: Key, *cpus: int, claims: bool = True, **changes: Any) -> None:
        """Its server is asked, and may run on these CPUs of four."""
        found = pod(key[1], **changes)
        document = {**report(), "affinity": list(cpus), "cpusOnline": 4}
        reply = read_reply(json.dumps(document).encode())
        replies = {found.uid: Reply(reply.status, asked_at=self.now)} if cpus else {}
        self.occupancy.note(key, (found,), replies, claims=claims)

    def overlap(self, key: Key = MINE) -> Overlap | None:
        return self.occupancy.overlaps(key).get(key[1])


def pod(name: str, node: str = "a", ready: str = "True") -> Pod:
    return read_pod(
        {
            "metadata": {"name": f"{name}-1", "namespace": "n", "uid": name, "resourceVersion": "1"},
            "spec": {"nodeName": node, "containers": []},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
        }
    )


@pytest.fixture
def node() -> Iterator[Node]:
    return Node()


def test_pods_on_different_cpus_or_nodes_do_not_overlap(node: Node):
    node.reports(MINE, 1)
    node.reports(OTHER, 2, 3)
    assert node.overlap() is None

    node.reports(OTHER, 1, node="b")
    assert node.overlap() is None


def test_an_overlap_is_certain_when_both_have_said_it_again_after_a_while(node: Node):
    node.reports(OTHER, 1, 2)
    node.now = 100
    node.reports(MINE, 1)
    assert node.overlap() == Overlap(OTHER, "other-1", (1,), is_certain=False)
    assert node.woken == [OTHER], "once, because a CPU that it claims is claimed by another one now"

    node.now += SETTLING_SECONDS
    node.reports(MINE, 1)
    assert node.overlap() == Overlap(OTHER, "other-1", (1,), is_certain=False), "the other one was not asked"

    node.reports(OTHER, 1, 2)
    assert node.overlap() == Overlap(OTHER, "other-1", (1,), is_certain=True)
    assert node.woken == [OTHER], "two that woke each other in each pass would never rest"


def test_shared_cpus_that_the_kubelet_takes_away_later_are_no_overlap(node: Node):
    """It takes them from running containers only every ten seconds."""
    node.reports(OTHER, 0, 1, 2, claims=False)
    node.now = 100
    node.reports(MINE, 1)
    assert node.woken == [], "an overlap wakes nobody who claims no CPUs"
    assert node.overlap() is not None
    assert node.woken == [OTHER], "its server is asked again"

    node.now += 10
    node.reports(OTHER, 0, 2, claims=False)

    assert node.woken[1:] == [MINE], "who claims what changed is looked at again"
    assert node.overlap() is None


def test_both_of_two_that_claim_the_same_cpu_learn_it(node: Node):
    for _ in range(2):
        node.reports(MINE, 1)
        node.reports(OTHER, 1)
        node.now += SETTLING_SECONDS

    assert node.woken == [MINE], "the second one began to claim what the first one has"
    for key, other in ((MINE, OTHER), (OTHER, MINE)):
        found = node.overlap(key)
        assert found is not None
        assert (found.other, found.is_certain) == (other, True)


@pytest.mark.parametrize("end", ["gone", "not ready", "silent"])
def test_an_overlap_ends_with_the_other_pod(node: Node, end: str):
    for _ in range(2):
        node.reports(MINE, 1)
        node.reports(OTHER, 1)
        node.now += SETTLING_SECONDS
    node.woken.clear()

    if end == "gone":
        node.occupancy.forget(OTHER)
    elif end == "not ready":
        node.reports(OTHER, 1, ready="False")
    else:
        node.reports(OTHER)

    assert node.woken == [MINE]
    assert node.overlap() is None


def test_one_that_may_run_everywhere_or_claims_nothing_is_not_told(node: Node):
    for _ in range(2):
        node.reports(MINE, 0, 1, 2, 3)
        node.reports(OTHER, 1, claims=False)
        node.now += SETTLING_SECONDS

    assert node.overlap() is None
    assert node.overlap(OTHER) is None
    assert node.woken == []


def test_two_pods_of_one_object_can_overlap(node: Node):
    pods = (pod("mine"), pod("twin"))
    document = json.dumps({**report(), "affinity": [1], "cpusOnline": 4}).encode()
    for _ in range(2):
        replies = {uid: Reply(read_reply(document).status, asked_at=node.now) for uid in ("mine", "twin")}
        node.occupancy.note(MINE, pods, replies, claims=True)
        node.now += SETTLING_SECONDS

    found = node.occupancy.overlaps(MINE)
    assert {uid: (each.pod, each.is_certain) for uid, each in found.items()} == {
        "mine": ("twin-1", True), "twin": ("mine-1", True),
    }  # fmt: skip
    assert node.woken == []
