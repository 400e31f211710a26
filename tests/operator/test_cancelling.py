"""The operator's tasks end when it ends."""

import asyncio
from contextlib import suppress

from modelserver_operator.controller.application import cancel


async def test_a_task_that_loses_its_cancellation_is_cancelled_again():
    lost = 0

    async def loses_one() -> None:
        nonlocal lost
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        lost += 1
        await asyncio.sleep(60)

    async def fails() -> None:
        raise RuntimeError("of no interest any more")

    tasks = [asyncio.create_task(loses_one()), asyncio.create_task(fails())]
    await asyncio.sleep(0)

    await asyncio.wait_for(cancel(tasks), 10)

    assert lost == 1
    assert all(task.done() for task in tasks)
    await cancel([])
