"""`modelserver-operator run`: logging, kopf, and the exit code."""

import asyncio
import logging
import os
import socket

import kopf

from modelserver_operator.controller.watching import register
from modelserver_operator.settings import Settings


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; returns 1 when the operator could not start or failed."""
    _configure_logs(settings)
    # Without POD_ID kopf asks for the user's name, and the numeric user of a container has none.
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
    except Exception as error:  # noqa: BLE001 - the last resort: log it and exit, so that the kubelet restarts the pod
        logging.getLogger(__name__).critical("operator stopped: %s", error)
        return 1
    return 0


def _configure_logs(settings: Settings) -> None:
    kopf.configure(
        debug=settings.log_level == "debug",
        quiet=settings.log_level == "warning",
        log_format=kopf.LogFormat.JSON if settings.log_format == "json" else kopf.LogFormat.PLAIN,
    )
    # kopf logs every event it passes on, and aiohttp every probe.
    for name in ("kopf.objects", "kopf.activities", "aiohttp.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
