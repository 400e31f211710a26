"""What an object's children are like depends on what it asks for, not on what it asked for before.

For generated objects A and B: A that becomes B ends with the children of a B that was made from nothing; when
it becomes A again, they are A's as they were; and at rest, also after a restart, nothing is written.

No pod runs, so no template is ever the last good one, and of all that an object had only the current one is
kept. `tests.support.in_process.shape` says what of a child is not compared, and why.
"""

import asyncio
import json
import uuid
from collections.abc import Iterator
from difflib import unified_diff
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

import devcluster
from tests.support.in_process import Passes, Place, passes, shape
from tests.support.operator_process import install
from tests.support.valid_objects import changes

pytestmark = pytest.mark.api
TOGETHER = 16
Spec = dict[str, Any]


@pytest.fixture(scope="module")
def api_server(run_name: str) -> Iterator[str]:
    """The kubeconfig of an API server without controllers and without another operator."""
    name = f"{run_name}-convergence"
    kubernetes = devcluster.up(name, no_node=True).kubernetes()
    install(kubernetes)
    yield kubernetes.environment["KUBECONFIG"]
    devcluster.down(name)


def drawn(count: int) -> list[tuple[Spec, Spec]]:
    """So many different pairs."""
    found: dict[str, tuple[Spec, Spec]] = {}

    @settings(
        max_examples=2 * count,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(changes())
    def note(pair: tuple[Spec, Spec]) -> None:
        if pair[0] != pair[1] and len(found) < count:
            found[json.dumps(pair, sort_keys=True)] = pair

    note()
    assert len(found) == count
    return list(found.values())


async def converge(operator: Passes, first: Spec, second: Spec) -> str:
    """What is wrong with this pair; empty when nothing is."""
    changed, fresh = [
        await operator.namespace(f"{word}-{uuid.uuid4().hex[:8]}") for word in ("changed", "fresh")
    ]
    try:
        as_first = await state(changed, first)
        as_second = await state(changed, second)
        again = await state(changed, first)
        from_nothing = await state(fresh, second)
        await asyncio.gather(changed.end(), fresh.end())
    except Exception as error:  # noqa: BLE001 - which pair it was is what has to be known
        return f"{error!r}"
    return difference("A→B is not B", as_second, from_nothing) or difference(
        "A→B→A is not A", again, as_first
    )


async def state(place: Place, spec: Spec) -> list[str]:
    """Its children and what is said about them."""
    children = await place.become(spec)
    said = {c["type"]: [c["status"], c["reason"], c["message"]] for c in place.status()["conditions"]}
    assert said["Applied"][0] == "True", said["Applied"]
    return sorted([json.dumps(said), *(shape(child, place.uid()) for child in children)])


def difference(title: str, found: list[str], wanted: list[str]) -> str:
    """The lines that differ."""
    lines = ["\n".join(each).splitlines() for each in (wanted, found)]
    different = "\n".join(unified_diff(*lines, "wanted", "found", lineterm="", n=2))
    return different and f"{title}\n{different}"


async def faults(kubeconfig: str, count: int) -> list[str]:
    """What is wrong, with the pair."""
    operator, free = await passes(kubeconfig), asyncio.Semaphore(TOGETHER)

    async def one(first: Spec, second: Spec) -> str:
        async with free:
            fault = await converge(operator, first, second)
        return fault and f"A {json.dumps(first)}\nB {json.dumps(second)}\n{fault}"

    try:
        pairs = drawn(count)
        found = await asyncio.gather(*(one(*pair) for pair in pairs))
    finally:
        await operator.close()
    return [fault for fault in found if fault]


async def test_a_hundred_changes_end_as_if_made_from_nothing(api_server: str):
    found = await faults(api_server, 100)

    assert not found, f"{len(found)} of 100 pairs\n" + "\n\n".join(found[:3])


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_a_thousand_changes_end_as_if_made_from_nothing(api_server: str):
    found = await faults(api_server, 1000)

    assert not found, f"{len(found)} of 1000 pairs\n" + "\n\n".join(found[:3])
