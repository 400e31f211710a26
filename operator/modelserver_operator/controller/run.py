"""`modelserver-operator run`: logging, kopf, and the exit code."""

import asyncio
import logging
import os
import socket

import kopf

from modelserver_operator.controller.application import Application
from modelserver_operator.controller.watching import register
from modelserver_operator.errors import OperatorError, VersionsWentBack
from modelserver_operator.settings import Settings

_logger = logging.getLogger(__name__)


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; returns 1 when the operator could not start or failed."""
    _configure_logs(settings)
    # Without POD_ID kopf asks for the user's name, and the numeric user of a container has none.
    os.environ.setdefault("POD_ID", socket.gethostname())
    try:
        while not asyncio.run(_operate(settings)):
            pass
    except Exception as error:  # the last resort: log it and exit, so that the kubelet restarts the pod
        # kopf wraps what keeps it from starting.
        cause = error.__cause__ if isinstance(error.__cause__, kopf.PermanentError) else error
        is_bug = not isinstance(cause, kopf.PermanentError | OperatorError)
        _logger.critical("operator stopped: %s", cause, exc_info=cause if is_bug else None)
        return 1
    return 0


async def _operate(settings: Settings) -> bool:
    """Whether it was asked to stop; otherwise it has to start again."""
    registry, memo, ended = kopf.OperatorRegistry(), kopf.Memo(), asyncio.Event()
    register(registry, settings, ended)
    await kopf.operator(
        registry=registry,
        settings=kopf.OperatorSettings(),
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
        memo=memo,
        stop_flag=ended,
    )
    application: Application | None = memo.get("application")
    failure = application.failure if application is not None else None
    if isinstance(failure, VersionsWentBack):
        _logger.warning("%s", failure)
        return False
    if failure is not None:
        raise failure
    return True


def _configure_logs(settings: Settings) -> None:
    kopf.configure(
        debug=settings.log_level == "debug",
        quiet=settings.log_level == "warning",
        log_format=kopf.LogFormat.JSON if settings.log_format == "json" else kopf.LogFormat.PLAIN,
    )
    # kopf logs every event it passes on, and the election every renewal.
    for name in ("kopf.objects", "kopf.activities", "leaderelection"):
        logging.getLogger(name).setLevel(logging.WARNING)
