"""The queue: one worker per key, nothing lost, and a back-off for what fails."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

from modelserver_operator.controller.workqueue import WorkQueue


@contextlib.asynccontextmanager
async def working(queue: WorkQueue, workers: int = 3) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(queue.work()) for _ in range(workers)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def within(condition, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the queue has no event to wait for
            await asyncio.sleep(0.005)


async def test_a_key_is_worked_on_by_one_worker_at_a_time():
    active: set[str] = set()
    seen: list[str] = []

    async def process(key: str) -> None:
        assert key not in active
        active.add(key)
        await asyncio.sleep(0.005)
        active.discard(key)
        seen.append(key)

    queue: WorkQueue[str] = WorkQueue(process)
    async with working(queue):
        for _ in range(10):
            for key in "abc":
                queue.wake(key)
            await asyncio.sleep(0.002)
        await within(lambda: queue.depth() == 0 and not active)
    assert set(seen) == set("abc")


async def test_a_wake_during_the_work_brings_another_pass():
    passes = 0
    gate = asyncio.Event()

    async def process(_key: str) -> None:
        nonlocal passes
        passes += 1
        await gate.wait()

    queue: WorkQueue[str] = WorkQueue(process)
    async with working(queue):
        queue.wake("a")
        await within(lambda: passes == 1)
        queue.wake("a")
        await asyncio.sleep(0.05)
        assert passes == 1
        gate.set()
        await within(lambda: passes == 2)


async def test_many_wakes_are_one_pass():
    passes: list[str] = []

    async def process(key: str) -> None:
        passes.append(key)

    queue: WorkQueue[str] = WorkQueue(process)
    for _ in range(100):
        queue.wake("a")
    async with working(queue):
        await within(lambda: queue.depth() == 0)
    assert passes == ["a"]


async def test_a_key_that_is_woken_for_ever_leaves_no_trace_of_its_later_passes():
    passes = 0

    async def process(_key: str) -> float:
        nonlocal passes
        passes += 1
        return 600.0

    queue: WorkQueue[str] = WorkQueue(process)
    async with working(queue):
        for number in range(1, 301):
            queue.wake("a")
            await within(lambda number=number: passes == number)

    assert queue.depth() == 1
    assert queue.entries() < 200


async def test_the_earliest_request_wins():
    done = asyncio.Event()

    async def process(_key: str) -> None:
        done.set()

    queue: WorkQueue[str] = WorkQueue(process)
    async with working(queue):
        queue.wake("a", after=60)
        queue.wake("a", after=0.02)
        await asyncio.wait_for(done.wait(), 5)


async def test_what_process_asks_for_is_its_next_pass():
    passes = 0

    async def process(_key: str) -> float | None:
        nonlocal passes
        passes += 1
        return 0.01 if passes < 3 else None

    queue: WorkQueue[str] = WorkQueue(process)
    async with working(queue):
        queue.wake("a")
        await within(lambda: passes == 3)
        await asyncio.sleep(0.05)
    assert passes == 3


async def test_a_failure_is_tried_again_later_and_holds_up_nobody():
    tries: list[float] = []
    others: list[str] = []

    async def process(key: str) -> None:
        if key != "bad":
            others.append(key)
            return
        tries.append(asyncio.get_running_loop().time())
        if len(tries) < 4:
            raise RuntimeError("not yet")

    queue: WorkQueue[str] = WorkQueue(process, back_off=0.02)
    async with working(queue, workers=1):
        queue.wake("bad")
        queue.wake("good")
        await within(lambda: len(tries) == 4)
    pauses = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert others == ["good"]
    assert pauses[0] >= 0.02
    assert pauses[2] >= 0.08


async def test_a_key_that_is_due_again_at_once_for_ever_holds_up_nobody():
    """Its passes may need nothing that would let others have their turn."""
    seen: list[str] = []

    async def process(key: str) -> float | None:
        seen.append(key)
        return 0.0 if key == "always" else None

    queue: WorkQueue[str] = WorkQueue(process)
    async with working(queue, workers=1):
        queue.wake("always")
        await within(lambda: "always" in seen)
        queue.wake("other")
        await within(lambda: "other" in seen)
        await asyncio.sleep(0.5)  # the length of the window is what is asserted
    assert seen.count("always") < 20


async def test_a_pass_that_never_ends_is_told():
    gate = asyncio.Event()

    async def process(_key: str) -> None:
        await gate.wait()

    queue: WorkQueue[str] = WorkQueue(process)
    assert queue.longest() == 0
    async with working(queue):
        queue.wake("a")
        await within(lambda: queue.longest() > 0.02)
        gate.set()
        await within(lambda: queue.longest() == 0)
