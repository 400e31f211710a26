"""How watches are opened again."""

import argparse
import asyncio
import contextlib

from aiohttp import web

from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.controller.relist import Relist
from modelserver_operator.controller.watches import Watches
from modelserver_operator.observed.store import Store
from modelserver_operator.settings import add_options, from_arguments
from tests.support.loopback import answering


def ending(opened: list[str]) -> contextlib.AbstractAsyncContextManager[Cluster]:
    """An API server that has no objects and ends every watch as soon as it is opened."""

    async def answer(request: web.Request) -> web.Response:
        if "watch" in request.query:
            opened.append(request.query["resourceVersion"])
            return web.Response(text="", content_type="application/json")
        return web.json_response({"items": [], "metadata": {"resourceVersion": "5"}})

    return answering([web.get("/{path:.*}", answer)])


async def test_an_api_server_that_ends_every_watch_is_not_asked_without_a_pause():
    parser, opened = argparse.ArgumentParser(), list[str]()
    add_options(parser)
    async with ending(opened) as cluster:
        relist = Relist(cluster, Store(), lambda _key: None, from_arguments(parser.parse_args([])))
        await relist.list("ModelServer")
        task = asyncio.create_task(Watches(cluster, relist, lambda *_: None).follow(("ModelServer", None)))
        await asyncio.sleep(2.5)  # the length of the window is what is asserted
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    assert 2 <= len(opened) <= 4
    assert set(opened) == {"5"}
