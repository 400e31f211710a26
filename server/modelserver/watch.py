"""Watches config.json every second and the model directories at the polling interval.

One task does all of it in turn, so configuration changes and new versions never race.
"""

import asyncio
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

from modelserver.config import Configuration, read_configuration
from modelserver.errors import ConfigError
from modelserver.health import Health
from modelserver.registry import Registry

LOG = logging.getLogger(__name__)
TICK_SECONDS = 1.0

Signature = tuple[int, int, int] | None
_NEVER_SEEN = (0, 0, 0)
"""The file is read once more after the start: it may have changed while the parts were built."""


@dataclass(frozen=True)
class Watch:
    """What to watch."""

    config_path: Path | None
    poll_seconds: float


class Watcher:
    """Keeps the registry going where the files say."""

    def __init__(
        self, registry: Registry, health: Health, configuration: Configuration, watch: Watch
    ) -> None:
        self._registry = registry
        self._health = health
        self._configuration = configuration
        self._watch = watch
        self._signature: Signature = _NEVER_SEEN
        self._polled = time.monotonic()

    @property
    def poll_seconds(self) -> float:
        """How often model directories are looked at; 0 is never."""
        told = self._configuration.poll_seconds
        return self._watch.poll_seconds if told is None else told

    async def load_first(self) -> None:
        """The first pass."""
        await self._registry.apply(self._configuration)

    async def run(self) -> None:
        """Every further pass, until cancelled."""
        while True:
            await asyncio.sleep(min(TICK_SECONDS, self.poll_seconds or TICK_SECONDS))
            try:
                await self._tick()
                self._health.watch_error = None
            except Exception as error:
                # Whatever it was, the models that serve go on serving and the next tick tries again.
                LOG.exception("looking for changes failed in a way nobody foresaw")
                self._health.watch_error = repr(error)

    async def _tick(self) -> None:
        signature = self._look_at_config()
        if signature != self._signature:
            await self._reload()
            self._signature = signature
        is_due = self.poll_seconds and time.monotonic() - self._polled >= self.poll_seconds
        if is_due or self._registry.is_retry_due():
            self._polled = time.monotonic()
            # Without polling, what failed is tried again, but nothing new is looked for.
            await self._registry.converge(self._configuration.revision, scan=self.poll_seconds > 0)

    def _look_at_config(self) -> Signature:
        """Follows symbolic links: a mounted ConfigMap changes by swapping one."""
        if self._watch.config_path is None:
            return None
        try:
            stat = os.stat(self._watch.config_path)  # noqa: PTH116 - one system call, no object
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ino, stat.st_size

    async def _reload(self) -> None:
        if self._watch.config_path is None:
            return
        try:
            configuration = read_configuration(self._watch.config_path)
        except ConfigError as error:
            self._health.config_error = str(error)
            LOG.error("%s; what was served is served on", error)  # noqa: TRY400 - the message is all
            return
        self._health.config_error = None
        if configuration == self._configuration:
            return
        names = ", ".join(model.name for model in configuration.models)
        LOG.info("the configuration changed (revision %s); models: %s", configuration.revision, names)
        await self._registry.apply(configuration)
        self._configuration = configuration
