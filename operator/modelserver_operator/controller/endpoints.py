"""The operator's HTTP port: liveness and readiness for the kubelet."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

Answer = Callable[[], tuple[int, Mapping[str, Any]]]
"""An HTTP status and what is shown as JSON."""


async def serve(port: int, answers: Mapping[str, Answer]) -> web.AppRunner:
    """Serve these paths on every address of the machine, IPv4 and IPv6, until `cleanup` of the runner."""
    application = web.Application()
    application.add_routes([web.get(path, _handler(answer)) for path, answer in answers.items()])
    runner = web.AppRunner(application, handle_signals=False, shutdown_timeout=1.0, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host=None, port=port).start()
    return runner


def _handler(answer: Answer) -> Callable[[web.Request], Any]:
    async def handle(_request: web.Request) -> web.Response:
        status, shown = answer()
        return web.Response(status=status, text=json.dumps(shown), content_type="application/json")

    return handle
