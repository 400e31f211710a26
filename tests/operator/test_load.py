"""The load of an object's pods: the arithmetic, and how the pods are asked for it."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserver_operator.clients.scaling.loads import FRESH_SECONDS, Loads
from modelserver_operator.clients.servers import ServerClient
from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.scaling.load import NOTHING, Load, ModelLoad, load_of, read_load, summed
from tests.support.hpa import replicas_for
from tests.support.status_port import Respond, black_hole, head, status_port, whole
from tests.support.waiting import until_async

KEY = ("n", "server")
POD = Pod(
    name="p", namespace="n", uid="u", resource_version="1", address="127.0.0.1", is_running=True,
    is_ready=True, is_leaving=False, qos_class="Guaranteed", cpu_request=Decimal(1),
    containers=("modelserver",), revision_annotation="", waiting="", crash=None, process="0 a",
)  # fmt: skip


def model(in_flight: float = 0, queued: float = 0, streams: int | None = 1, **more: Any) -> ModelLoad:
    return ModelLoad(in_flight=in_flight, queued=queued, streams=streams, **more)


def answer(in_flight: float, queued: float = 0, streams: int = 1) -> bytes:
    entry = {"name": "m", "inFlight": in_flight, "queued": queued, "streams": streams, "inline": False}
    return json.dumps({"load": [entry]}).encode()


def test_four_pods_at_one_and_a_half_per_stream_with_target_three_quarters_become_eight_and_not_two():
    """KEDA multiplies nothing and divides nothing: the sum goes to Kubernetes with AverageValue."""
    total = summed([load_of([model(in_flight=4, queued=2, streams=4)])] * 4)

    assert total.requests_per_stream == 6.0
    assert replicas_for(total.requests_per_stream, 0.75, replicas=4) == 8
    average = total.requests_per_stream / 4  # what an average would do
    assert replicas_for(average, 0.75, replicas=4) == 2


@pytest.mark.parametrize(
    ("total", "replicas", "want"),
    [
        pytest.param(3.0, 4, 4, id="at the target"),
        pytest.param(3.2, 4, 4, id="within the tolerance"),
        pytest.param(3.4, 4, 5, id="above it"),
        pytest.param(0.3, 4, 1, id="little"),
        pytest.param(0.0, 4, 0, id="nothing: the least number applies"),
        pytest.param(30.0, 1, 40, id="a queue at one pod"),
    ],
)
def test_what_becomes_of_a_sum(total: float, replicas: int, want: int):
    assert replicas_for(total, 0.75, replicas) == want


def test_the_model_that_is_hottest_decides_and_all_requests_count_for_concurrency():
    load = load_of([model(2, 2, streams=4), model(1, 2, streams=1), model(0, 0, streams=8)])

    assert load == Load(requests_per_stream=3.0, concurrency=7)


def test_models_on_the_event_loop_share_it():
    load = load_of([model(0.5, streams=2, inline=True), model(0.4, inline=True), model(0.2, streams=1)])

    assert load.requests_per_stream == pytest.approx(0.9)
    assert load.concurrency == pytest.approx(1.1)


@pytest.mark.parametrize("streams", [None, 0])
def test_a_model_without_streams_counts_as_one(streams: int | None):
    assert load_of([model(1, 1, streams=streams)]).requests_per_stream == 2


def test_no_model_is_no_load():
    assert load_of([]) == NOTHING


AMOUNTS = st.floats(0, 1000, allow_nan=False)
MODELS = st.builds(model, AMOUNTS, AMOUNTS, st.integers(1, 64), inline=st.booleans())


@given(st.lists(MODELS, min_size=1), MODELS)
def test_more_requests_are_never_less_load(models: list[ModelLoad], more: ModelLoad):
    before, after = load_of(models), load_of([*models, more])

    assert after.requests_per_stream >= before.requests_per_stream
    assert after.concurrency >= before.concurrency


@pytest.mark.parametrize("figure", ["-1", "NaN", "Infinity", "1e10", '"many"'])
def test_a_figure_that_cannot_be_is_no_load(figure: str):
    entry = f'{{"name": "m", "inFlight": {figure}, "queued": 0, "streams": 1}}'

    assert read_load(f'{{"load": [{entry}]}}'.encode()) is None


@pytest.mark.parametrize("text", [b"", b"{}", b'{"load": 1}', b'{"load": [{"name": "m"}]}', b"<html>"])
def test_what_reports_no_load_is_not_taken_for_none(text: bytes):
    assert read_load(text) is None


@pytest.mark.parametrize("item", [b"{}", b'{"load": []}', b'{"inFlight": 1, "queued": 1, "streams": 1}'])
def test_a_hostile_answer_costs_no_time(item: bytes):
    document = b'{"load": [' + b", ".join([item] * (2_000_000 // len(item))) + b"]}"
    start = time.process_time()

    assert read_load(document) is None
    assert time.process_time() - start < 1


# How the pods are asked.


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@contextlib.asynccontextmanager
async def asking() -> AsyncIterator[tuple[Loads, Clock]]:
    client, clock = ServerClient(), Clock()
    loads = Loads(client, clock)
    try:
        yield loads, clock
    finally:
        await loads.close()
        await client.close()


def pod(port: int, name: str = "a", **changes: Any) -> Pod:
    return replace(POD, **{"uid": name, "name": name, "status_port": port, **changes})


def counting(body: bytes, asked: list[int]) -> Respond:
    async def respond(writer: asyncio.StreamWriter) -> None:
        asked.append(1)
        await whole(body)(writer)

    return respond


async def test_the_sum_is_over_the_ready_pods():
    async with (
        status_port(whole(answer(2))) as first,
        status_port(whole(answer(1, 3))) as second,
        asking() as (loads, _),
    ):
        pods = [pod(first, "a"), pod(second, "b"), pod(second, "c", is_ready=False)]

        assert await loads.of(KEY, pods) == Load(6, 6)


async def test_a_pod_that_is_leaving_counts_no_more():
    async with status_port(whole(answer(2))) as port, asking() as (loads, _):
        assert await loads.of(KEY, [pod(port, "a"), pod(port, "b", is_leaving=True)]) == Load(2, 2)


async def test_without_pods_there_is_no_load():
    """At zero replicas KEDA must get an answer, and not an error."""
    async with asking() as (loads, _):
        assert await loads.of(KEY, []) == NOTHING


async def test_while_there_are_pods_and_none_of_them_is_ready_nothing_is_said():
    """Whatever keeps all of them from serving, a node or a change, must not cost the replicas, too."""
    async with asking() as (loads, _):
        assert await loads.of(KEY, [pod(1, is_ready=False), pod(2, "b", is_ready=False)]) is None
        assert await loads.of(KEY, [pod(1, is_leaving=True)]) == NOTHING


async def test_pods_that_are_slow_do_not_keep_others_from_being_asked():
    """With servers of their own a few objects could otherwise hold back the figures of all."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(head(100_000))
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.1)

    async with status_port(drip) as slow, status_port(whole(answer(3))) as port, asking() as (loads, clock):

        async def attack() -> None:
            pods = [pod(slow, str(number)) for number in range(8)]
            await asyncio.gather(*(loads.of(("evil", str(one)), pods) for one in range(16)))

        async def beside() -> float:
            """How long the others take meanwhile."""
            clock.now += FRESH_SECONDS
            again = asyncio.create_task(attack())
            await until_async("they are asked", lambda: len(asyncio.all_tasks()) > 64, timeout=5)
            begun = time.monotonic()
            assert await loads.of(KEY, [pod(port, str(number)) for number in range(20)]) == Load(60, 60)
            seconds = time.monotonic() - begun
            await again
            return seconds

        await attack()
        # A slow pod is given up after 1.5 s; the quickest of three, for a machine that is busy otherwise.
        assert min([await beside() for _ in range(3)]) < 1


async def test_each_pod_is_asked_at_most_once_in_two_seconds_however_many_ask():
    asked: list[int] = []
    async with status_port(counting(answer(2), asked)) as port, asking() as (loads, clock):
        results = await asyncio.gather(*(loads.of(KEY, [pod(port)]) for _ in range(20)))
        assert results == [Load(2, 2)] * 20
        assert await loads.of(KEY, [pod(port)]) == Load(2, 2)
        assert len(asked) == 1

        clock.now += FRESH_SECONDS
        await loads.of(KEY, [pod(port)])

    assert len(asked) == 2


async def test_a_pod_that_does_not_answer_any_more_counts_as_it_did_last():
    async with asking() as (loads, clock):
        async with status_port(whole(answer(3))) as port:
            assert await loads.of(KEY, [pod(port)]) == Load(3, 3)
        for _ in range(5):
            clock.now += FRESH_SECONDS
            assert await loads.of(KEY, [pod(port)]) == Load(3, 3)


async def test_nothing_is_said_before_every_ready_pod_was_heard():
    with black_hole() as silent:
        async with status_port(whole(answer(3))) as port, asking() as (loads, _):
            assert await loads.of(KEY, [pod(port, "a"), pod(silent, "b")]) is None


async def test_a_pod_that_never_answers_counts_as_nothing_in_the_end():
    async with status_port(whole(b"")) as port:
        closed = port
    async with status_port(whole(answer(3))) as port, asking() as (loads, clock):
        for _ in range(2):
            assert await loads.of(KEY, [pod(port, "a"), pod(closed, "b")]) is None
            clock.now += FRESH_SECONDS

        assert await loads.of(KEY, [pod(port, "a"), pod(closed, "b")]) == Load(3, 3)


async def test_a_new_pod_that_misses_its_first_request_has_no_load_yet():
    async with status_port(whole(b"")) as port:
        closed = port
    async with status_port(whole(answer(3))) as port, asking() as (loads, clock):
        assert await loads.of(KEY, [pod(port, "a")]) == Load(3, 3)
        clock.now += FRESH_SECONDS

        assert await loads.of(KEY, [pod(port, "a"), pod(closed, "b")]) == Load(3, 3)


async def test_an_old_server_that_does_not_answer_any_more_is_not_taken_for_idle_either():
    async with asking() as (loads, clock):
        async with status_port(whole(b'{"models": []}')) as port:
            for _ in range(4):
                assert await loads.of(KEY, [pod(port)]) is None
                clock.now += FRESH_SECONDS

        for _ in range(4):
            assert await loads.of(KEY, [pod(port)]) is None
            clock.now += FRESH_SECONDS


async def test_a_server_too_old_to_report_its_load_is_never_taken_for_idle():
    async with status_port(whole(b'{"models": []}')) as port, asking() as (loads, clock):
        for _ in range(5):
            assert await loads.of(KEY, [pod(port)]) is None
            clock.now += FRESH_SECONDS


async def test_after_a_restart_a_pod_is_another_server():
    async with asking() as (loads, _):
        async with status_port(whole(answer(3))) as port:
            assert await loads.of(KEY, [pod(port)]) == Load(3, 3)

        assert await loads.of(KEY, [pod(port, process="1 b")]) is None


async def test_a_silent_pod_delays_the_others_by_less_than_keda_waits():
    with black_hole() as silent:
        async with status_port(whole(answer(3))) as port, asking() as (loads, clock):

            async def asked() -> float:
                clock.now += FRESH_SECONDS
                begun = time.monotonic()
                await loads.of(KEY, [pod(port, "a"), pod(silent, "b")])
                return time.monotonic() - begun

            assert min([await asked() for _ in range(3)]) < 2.9


async def test_closing_ends_what_runs():
    with black_hole() as silent:
        client = ServerClient()
        loads = Loads(client)
        task = asyncio.create_task(loads.of(KEY, [pod(silent)]))
        await until_async("it asks", lambda: len(asyncio.all_tasks()) > 2, timeout=5)
        await loads.close()
        await client.close()

        assert await task is None
