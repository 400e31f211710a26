"""Why a pod finds no node, in numbers: several objects with exclusive CPUs in unequal sizes."""

from dataclasses import replace
from decimal import Decimal

import pytest

from modelserver_operator.api import Status
from modelserver_operator.conditions import judge
from modelserver_operator.observed.facts import Facts
from modelserver_operator.observed.nodes.room import Room, largest, read_room
from tests.operator.test_conditions import POD, REVISION, ROLLOUT, server

WAITING = "Unschedulable: 0/2 nodes are available: 2 Insufficient cpu."


def node(name: str, cpu: str | None, *, ready: str = "True", unschedulable: bool = False) -> dict:
    return {
        "metadata": {"name": name},
        "spec": {"unschedulable": unschedulable} if unschedulable else {},
        "status": {
            "allocatable": {"cpu": cpu, "memory": "8Gi"} if cpu else {},
            "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": ready}],
        },
    }


def rooms(*nodes: dict) -> tuple[Room, ...]:
    return tuple(room for room in map(read_room, nodes) if room)


def message(*nodes: dict, cpus: str = "4", waiting: str = WAITING, qos: str = "Guaranteed") -> str:
    """What Available says of one pod that waits, with these nodes in the cluster."""
    waits = replace(
        POD, is_ready=False, is_running=False, waiting=waiting, cpu_request=Decimal(cpus), qos_class=qos
    )
    found = Facts(replace(ROLLOUT, ready=0), (waits,), rooms=rooms(*nodes))
    status = judge(server(), found, REVISION, Status(), "2026-01-01T00:00:00Z")
    return next(c.message for c in status.conditions if c.type == "Available")


def test_a_pod_larger_than_every_node_is_told_the_largest():
    said = message(node("b", "1500m"), node("a", "3500m"))

    assert "It asks 4 exclusive CPUs; the largest allocatable node is a with 3500m. Lower resources" in said


def test_a_node_that_would_be_large_enough_is_full_of_others():
    said = message(node("a", "7500m"), node("b", "3500m"))

    assert "the largest allocatable node is a with 7500m, of which other pods request too much." in said


def test_shared_cpus_are_not_called_exclusive():
    assert "It asks 4 CPUs;" in message(node("a", "3500m"), qos="Burstable")
    assert "It asks 3500m CPUs;" in message(node("a", "3"), cpus="3.5")


def test_without_the_right_to_list_nodes_the_schedulers_own_words_stand_alone():
    assert "It asks" not in message()


def test_what_is_not_about_cpus_gets_no_numbers_of_cpus():
    assert "It asks" not in message(node("a", "3500m"), waiting="Unschedulable: 1 Insufficient memory.")


@pytest.mark.parametrize(
    "body",
    [
        node("a", "8", ready="False"),
        node("a", "8", ready="Unknown"),
        node("a", "8", unschedulable=True),
        node("a", None),
        {"metadata": {"name": "new"}},
    ],
)
def test_a_node_that_takes_no_pods_has_no_room(body: dict):
    assert read_room(body) is None


def test_of_equal_nodes_the_first_by_name_is_named_so_that_the_message_does_not_change():
    assert largest((Room("b", Decimal(4)), Room("a", Decimal(4)))) == Room("a", Decimal(4))
    assert largest(()) is None
