"""Servers are asked in the background: bounded, fairly, and only as often as it is of use."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

from modelserver_operator.clients.asking import Asking
from modelserver_operator.clients.servers import ServerClient
from modelserver_operator.clients.slots import FairSlots
from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.report import ProbeOutcome
from tests.support.reports import document
from tests.support.status_port import black_hole, status_port, whole
from tests.support.waiting import until_async

POD = Pod(
    name="p", namespace="n", uid="u", resource_version="1", address="127.0.0.1", is_running=True,
    is_ready=True, is_leaving=False, qos_class="Guaranteed", cpu_request=Decimal(1),
    containers=("modelserver",), revision_annotation="", waiting="", crash=None,
)  # fmt: skip
KEY, OTHER = ("n", "server"), ("n", "other")
SLOW = 0.2
AT_ONCE = 3
"""Seconds: less than the others' turns take."""


@contextlib.asynccontextmanager
async def asking(slow: float = SLOW) -> AsyncIterator[tuple[Asking, list]]:
    """And the keys that it wakes."""
    client = ServerClient()
    asked, woken = Asking(client, lambda: slow), []
    asked.wake = woken.append
    try:
        yield asked, woken
    finally:
        await asked.close()
        await client.close()
        running = [task.get_coro() for task in asyncio.all_tasks()]
        assert [coro for coro in running if "Asking" in getattr(coro, "__qualname__", "")] == []


def pods(number: int, port: int) -> list[Pod]:
    return [replace(POD, name=f"p{n}", uid=f"u{port}-{n}", status_port=port) for n in range(number)]


async def test_what_is_known_is_returned_immediately_and_an_answer_wakes_the_object():
    async with status_port(whole(document())) as port, asking() as (asked, woken):
        (pod,) = pods(1, port)

        assert asked.replies(KEY, [pod], "r1") == {}

        await until_async("the object is woken", lambda: woken)
        assert woken == [KEY]
        (reply,) = asked.replies(KEY, [pod], "r1").values()
        assert reply.status is not None
        assert (reply.status.revision, reply.is_current) == ("r1", True)


async def test_the_same_answer_wakes_nobody_and_a_different_one_does():
    current = [document()]

    async def respond(writer: asyncio.StreamWriter) -> None:
        await whole(current[0])(writer)

    async with status_port(respond) as port, asking() as (asked, woken):
        asked.replies(KEY, pods(1, port), "r1")
        await until_async("several answers", lambda: asked.outcomes[ProbeOutcome.ANSWERED] >= 4, timeout=10)
        assert woken == [KEY]

        current[0] = document(error="the file is gone")

        await until_async("the object is woken", lambda: len(woken) == 2)


async def test_a_new_configuration_is_asked_for_immediately():
    async with status_port(whole(document())) as port, asking(slow=1000) as (asked, _):
        asked.replies(KEY, pods(1, port), "r1")
        await until_async("an answer", lambda: asked.outcomes[ProbeOutcome.ANSWERED] == 1)

        (reply,) = asked.replies(KEY, pods(1, port), "r2").values()

        assert not reply.is_current
        await until_async("another", lambda: asked.outcomes[ProbeOutcome.ANSWERED] == 2)


async def test_an_answer_to_an_earlier_question_does_not_count():
    """The server still answers the first one while the configuration changes and changes back."""
    held = asyncio.Event()

    async def respond(writer: asyncio.StreamWriter) -> None:
        await held.wait()
        await whole(document())(writer)

    async with status_port(respond) as port, asking(slow=1000) as (asked, woken):
        asked.replies(KEY, pods(1, port), "r1")
        await asyncio.sleep(0.1)
        for revision in ("r2", "r1"):
            assert asked.replies(KEY, pods(1, port), revision) == {}
        held.set()
        await until_async("the object is woken", lambda: woken)

        assert asked.outcomes[ProbeOutcome.ANSWERED] == 1


async def test_an_object_is_woken_when_its_server_missed_three_requests_and_when_it_answers_again():
    async with asking() as (asked, woken):
        async with status_port(whole(document())) as port:
            asked.replies(KEY, pods(1, port), "r1")
            await until_async("an answer", lambda: woken == [KEY])

        await until_async("the object is woken", lambda: woken == [KEY, KEY], timeout=10)

        assert asked.outcomes[ProbeOutcome.UNREACHABLE] == 3
        (reply,) = asked.replies(KEY, pods(1, port), "r1").values()
        assert reply.status is None
        assert "cannot be reached" in reply.problem


async def test_pods_that_are_gone_are_asked_no_more():
    async with status_port(whole(document())) as port, asking() as (asked, _):
        asked.replies(KEY, pods(2, port), "r1")
        await until_async("an answer", lambda: asked.outcomes[ProbeOutcome.ANSWERED] >= 2)

        asked.replies(KEY, pods(1, port), "r1")
        asked.replies(OTHER, pods(1, port), "r1")
        asked.forget(OTHER)

        assert len(asked.replies(KEY, pods(1, port), "r1")) == 1
        before, began = asked.outcomes[ProbeOutcome.ANSWERED], time.monotonic()
        await until_async("more", lambda: asked.outcomes[ProbeOutcome.ANSWERED] >= before + 5)
        assert asked.outcomes[ProbeOutcome.ANSWERED] - before <= (time.monotonic() - began) / SLOW + 2


async def test_many_silent_pods_of_one_object_do_not_delay_the_pod_of_another():
    async with status_port(whole(document())) as port, asking() as (asked, woken):
        with black_hole() as silence:
            asked.replies(KEY, pods(1000, silence), "r1")
            await asyncio.sleep(0.1)

            asked.replies(OTHER, pods(1, port), "r1")
            await until_async("the other is woken", lambda: OTHER in woken, timeout=AT_ONCE)


async def test_objects_known_to_be_silent_do_not_delay_another():
    async with status_port(whole(document())) as port, asking() as (asked, woken):
        with black_hole() as silence:
            for number in range(300):
                asked.replies(("silent", str(number)), pods(1, silence), "r1")
            await until_async("all are silent", lambda: asked.outcomes.total() >= 300, timeout=20)

            asked.replies(OTHER, pods(1, port), "r1")
            await until_async("the other is woken", lambda: OTHER in woken, timeout=AT_ONCE)


async def test_waiting_objects_take_turns_and_none_has_more_than_its_share():
    slots: FairSlots[str] = FairSlots(total=4, each=2)
    order: list[str] = []
    most: dict[str, int] = {"many": 0}
    running = dict.fromkeys(("many", "few"), 0)

    async def use(key: str) -> None:
        async with slots.slot(key):
            running[key] += 1
            most[key] = max(most.get(key, 0), running[key])
            order.append(key)
            await asyncio.sleep(0.01)
            running[key] -= 1

    async with asyncio.TaskGroup() as group:
        for key in ["many"] * 20 + ["few"] * 3:
            group.create_task(use(key))

    assert most == {"many": 2, "few": 2}
    assert sorted(order[:4]) == ["few", "few", "many", "many"]


async def test_a_cancelled_wait_takes_no_slot():
    slots: FairSlots[str] = FairSlots(total=1, each=1)

    async def use(key: str) -> None:
        async with slots.slot(key):
            await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(use(key)) for key in "abcabc"]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    await asyncio.wait_for(use("d"), 1)
