"""What answers on loopback in the place of an API server."""

import contextlib
from collections.abc import AsyncIterator, Iterable

from aiohttp import web
from kubernetes.aio import client

from modelserver_operator.clients.kubernetes import Cluster


@contextlib.asynccontextmanager
async def answering(routes: Iterable[web.AbstractRouteDef]) -> AsyncIterator[Cluster]:
    """A connection to a server with these routes."""
    application = web.Application()
    application.add_routes(routes)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    cluster = Cluster(client.ApiClient(client.Configuration(host=f"http://{host}:{port}")))
    try:
        yield cluster
    finally:
        await cluster.close()
        await runner.cleanup()
