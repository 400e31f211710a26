"""Watches config.json every second and the model directories at the polling interval.

All passes, those asked for from outside included, take turns: configuration changes and new versions
never race.
"""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from modelserver.admission import LiveLimits
from modelserver.errors import ConfigError, LoadFailed, NotReady
from modelserver.models.catalogue import Catalogue
from modelserver.models.converger import Converger
from modelserver.settings.config_file import Configuration, read_configuration
from modelserver.telemetry.recurring import RecurringErrors

T = TypeVar("T")
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
    """Follows config.json and the model directories."""

    def __init__(
        self,
        catalogue: Catalogue,
        converger: Converger,
        limits: LiveLimits,
        configuration: Configuration,
        watch: Watch,
    ) -> None:
        self.config_error: str | None = None
        """Why the last change of config.json was rejected; None when it was followed."""
        self.watch_error: str | None = None
        """What keeps the watcher from looking; None while it can."""
        self._catalogue = catalogue
        self._converger = converger
        self._limits = limits
        self._configuration = configuration
        self._watch = watch
        self._signature: Signature = _NEVER_SEEN
        self._polled = time.monotonic()
        self._begun = asyncio.Event()
        self._turn = asyncio.Lock()
        self._asked: set[asyncio.Task[object]] = set()
        self._reported = 0
        """The changes that a caller of `reload` has heard of."""
        self._errors = RecurringErrors(LOG, "checking for changes")

    @property
    def poll_seconds(self) -> float:
        """How often model directories are looked at; 0 is never."""
        configured = self._configuration.poll_seconds
        return self._watch.poll_seconds if configured is None else configured

    @property
    def ignored(self) -> tuple[str, ...]:
        """Paths of keys in config.json that this server does not know."""
        return self._configuration.ignored

    @property
    def _is_file_watched(self) -> bool:
        """Not when the command line switches polling off, as in OVMS; config.json can switch it on again."""
        return self._watch.poll_seconds > 0 or self.poll_seconds > 0

    async def load_first(self) -> None:
        """The first pass."""
        _warn_of_ignored(self._configuration)
        async with self._turn:
            await self._apply(self._configuration)
        self._reported = self._catalogue.changes
        self._begun.set()

    async def in_turn(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do this between the passes, to its end even when the caller has gone meanwhile.

        Before the first pass there is nothing to change: it is waited for.
        """

        async def taken() -> T:
            await self._begun.wait()
            async with self._turn:
                return await work()

        task = asyncio.get_running_loop().create_task(taken())
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise NotReady("The server is stopping") from None
            raise

    def stop(self) -> None:
        """A stopping server changes nothing any more."""
        for task in self._asked:
            task.cancel()

    async def reload(self) -> bool:
        """Look at config.json and all files now; True when anything was to be done.

        Raises ConfigError for the file, LoadFailed for models; everything else keeps serving, or serves what
        is new.
        """
        asked = self._catalogue.changes
        return await self.in_turn(lambda: self._reload(asked))

    async def _reload(self, asked: int) -> bool:
        """`asked` counts the changes when the caller came: a pass he waited for was made for him, too."""
        signature = self._look_at_config()
        for model in self._catalogue.models.values():
            model.forgive()
        is_new = await self._follow_config()
        self._signature = signature
        if not is_new:
            await self._converger.converge(self._configuration.revision)
        if failures := self._catalogue.failures():
            raise LoadFailed(f"Reloading models versions failed: {'; '.join(failures)}")
        has_changed = is_new or self._catalogue.changes > max(asked, self._reported)
        self._reported = self._catalogue.changes
        return has_changed

    async def run(self) -> None:
        """Every further pass, until cancelled."""
        while True:
            await asyncio.sleep(min(TICK_SECONDS, self.poll_seconds or TICK_SECONDS))
            try:
                async with self._turn:
                    await self._tick()
            except Exception as error:  # noqa: BLE001 - the loaded models keep serving, the next tick tries again
                self._errors.failed(error)
                self._note_watch_error(repr(error))
            else:
                self._errors.succeeded()
                self._note_watch_error(None)

    def _note_watch_error(self, error: str | None) -> None:
        if error != self.watch_error:
            self.watch_error = error
            self._catalogue.notify()

    async def _tick(self) -> None:
        signature = self._look_at_config()
        if self._is_file_watched and signature != self._signature:
            try:
                await self._follow_config()
            except ConfigError as error:
                LOG.error("%s; keeping the previous configuration", error)  # noqa: TRY400 - the message is all
            self._signature = signature
        is_due = self.poll_seconds and time.monotonic() - self._polled >= self.poll_seconds
        if is_due or self._converger.is_retry_due():
            self._polled = time.monotonic()
            # Without polling, what failed is tried again, but nothing new is looked for.
            await self._converger.converge(self._configuration.revision, scan=self.poll_seconds > 0)

    def _look_at_config(self) -> Signature:
        """Follows symbolic links: a mounted ConfigMap changes by swapping one."""
        if self._watch.config_path is None:
            return None
        try:
            stat = os.stat(self._watch.config_path)  # noqa: PTH116 - one system call, no object
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ino, stat.st_size

    async def _follow_config(self) -> bool:
        """True when config.json says something new; raises ConfigError when it cannot be followed."""
        if self._watch.config_path is None:
            return False
        try:
            configuration = read_configuration(self._watch.config_path)
        except ConfigError as error:
            self._note_config_error(str(error))
            raise
        self._note_config_error(None)
        if configuration == self._configuration:
            return False
        names = ", ".join(model.name for model in configuration.models)
        LOG.info("the configuration changed (revision %s); models: %s", configuration.revision, names)
        has_other_keys = configuration.ignored != self._configuration.ignored
        await self._apply(configuration)
        self._configuration = configuration
        if has_other_keys:
            _warn_of_ignored(configuration)
            self._catalogue.notify()
        return True

    async def _apply(self, configuration: Configuration) -> None:
        self._limits.follow(configuration.limits)
        await self._converger.apply(configuration.models, configuration.revision)

    def _note_config_error(self, error: str | None) -> None:
        if error != self.config_error:
            self.config_error = error
            self._catalogue.notify()


def _warn_of_ignored(configuration: Configuration) -> None:
    if configuration.ignored:
        LOG.warning("config.json has keys that this server ignores: %s", ", ".join(configuration.ignored))
