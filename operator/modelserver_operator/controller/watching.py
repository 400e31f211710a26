"""The connection to kopf: the process's start and end, and the watch of the Leases. It decides nothing.

`on.event` alone leaves no annotation and no finalizer on any object.
"""

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import kopf

from modelserver_operator import naming
from modelserver_operator.controller.application import Application, prepare
from modelserver_operator.errors import OperatorError
from modelserver_operator.settings import Settings


def register(registry: kopf.OperatorRegistry, settings: Settings, ended: asyncio.Event) -> None:
    """Register the handlers; importing this module registers nothing. kopf's memo holds the application."""
    operator_settings = settings

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: Any) -> None:
        _configure(settings)
        try:
            memo.application = await prepare(operator_settings, ended)
            await memo.application.start(operator_settings)
        except (OperatorError, OSError) as error:
            raise kopf.PermanentError(str(error)) from None

    @kopf.on.cleanup(registry=registry)
    async def stop(memo: kopf.Memo, **_: Any) -> None:
        if application := memo.get("application"):
            await application.stop()

    @kopf.on.login(registry=registry)
    def login(**arguments: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)

    if not settings.namespaces:
        _watch_leases(registry)


def _watch_leases(registry: kopf.OperatorRegistry) -> None:
    @kopf.on.event(*naming.LEASES, registry=registry, id="seen-lease")
    async def seen(type: str | None, body: kopf.Body, memo: kopf.Memo, **_: Any) -> None:  # noqa: A002 - kopf's name
        _application(memo).leadership.seen(type, dict(body))


def _application(memo: kopf.Memo) -> Application:
    """What `start` put there: kopf calls no other handler before it."""
    application: Application = memo.application
    return application


def _configure(settings: kopf.OperatorSettings) -> None:
    settings.posting.enabled = False
    settings.queueing.idle_timeout = 1.0
    settings.watching.reconnect_backoff = 1.0
    settings.watching.field_selectors[naming.LEASES] = f"metadata.name={naming.LEASE}"
    settings.networking.connect_timeout = 10.0
    settings.networking.error_backoffs = _EndlessPauses()
    # The watched kinds are fixed; looking for new ones would need rights on CRDs and namespaces.
    settings.scanning.disabled = True


class _EndlessPauses:
    """kopf's pauses between attempts, without an end: a namespace that lost its Role must not stop others."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((1.0, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0), itertools.repeat(20.0))
