"""`modelserver-operator run`: logging, kopf, and the exit code."""

import asyncio
import logging
import os
import socket

import kopf

from modelserver_operator.controller.watching import register
from modelserver_operator.settings import Settings


def run(settings: Settings) -> int:
    """Until SIGTERM or SIGINT; 1 when it could not start or broke."""
    _configure_logs(settings)
    # Without it kopf asks for the user's name, and a container's numeric user has none.
    os.environ.setdefault("POD_ID", socket.gethostname())
    registry = kopf.OperatorRegistry()
    register(registry, settings)
    try:
        asyncio.run(
            kopf.operator(
                registry=registry,
                settings=kopf.OperatorSettings(),
                standalone=True,
                clusterwide=not settings.namespaces,
                namespaces=settings.namespaces,
                liveness_endpoint=f"http://0.0.0.0:{settings.liveness_port}/healthz",
            )
        )
    except kopf.PermanentError as error:
        logging.getLogger(__name__).critical("%s", error)
        return 1
    except Exception as error:  # noqa: BLE001 - the last line of defence: say it, end, be started again
        logging.getLogger(__name__).critical("the operator ends: %s", error)
        return 1
    return 0


def _configure_logs(settings: Settings) -> None:
    kopf.configure(
        debug=settings.log_level == "debug",
        quiet=settings.log_level == "warning",
        log_format=kopf.LogFormat.JSON if settings.log_format == "json" else kopf.LogFormat.PLAIN,
    )
    # kopf tells of every event it hands over, aiohttp of every probe.
    for name in ("kopf.objects", "kopf.activities", "aiohttp.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
