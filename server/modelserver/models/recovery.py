"""Finds out whether a failed inference was the fault of its request or of the version, and repairs that.

OpenVINO may keep a primitive that it could not make for one caller's shapes, and fail the requests of all
callers from then on. So after a failure the version is asked for an inference of the server's own:

    TRUSTED ──an inference fails──▶ CHECKED ──its own passes──▶ TRUSTED   the request was wrong: 500
       ▲                               └──its own fails──▶ BROKEN         callers whose inference fails: 503
       └──────────compiled again, next to itself, and swapped───┤
                                                                └──cannot be compiled──▶ no longer AVAILABLE

It goes on serving meanwhile: other streams and other shapes may still be right. No failure counts towards
liveness: another process would be no better.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from modelserver.engine import LoadedModel
from modelserver.errors import InferenceFailed, NotReady
from modelserver.models.converger import Converger
from modelserver.models.model import Version

COMPILED_AGAIN = "being compiled again because inferences fail"
LOG = logging.getLogger(__name__)
CHECK_SECONDS = 1.0
"""How often a version that waits to be compiled again is asked whether it has come back."""
RENEW_SECONDS = 60.0
"""A version is compiled again at most this often."""

InTurn = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
"""Does work between the passes of the watcher."""


@dataclass(eq=False)
class _Case:
    """A model that is not trusted, because an inference has failed.

    CHECKED while its verdict is awaited, BROKEN when that is a reason; without a case it is TRUSTED.
    """

    version: Version
    loaded: LoadedModel
    verdict: asyncio.Task[str | None] | None = None
    """Why it is broken, or None; shared by all whose inferences fail meanwhile."""


@dataclass
class _Moments:
    """When a version was last checked and compiled again, on the monotonic clock."""

    checked: float = float("-inf")
    renewed: float = float("-inf")


class Recovery:
    """Judges after failures, and repairs; on the event loop."""

    def __init__(self, converger: Converger, in_turn: InTurn, thread: Executor) -> None:
        self._converger = converger
        self._in_turn = in_turn
        self._thread = thread
        self._cases: dict[Version, _Case] = {}
        """Versions that are not trusted."""
        self._moments: WeakKeyDictionary[Version, _Moments] = WeakKeyDictionary()
        self._tasks: set[asyncio.Task[Any]] = set()

    def stop(self) -> None:
        """A stopping server repairs nothing any more."""
        for task in self._tasks:
            task.cancel()

    def is_suspect(self, version: Version, loaded: LoadedModel) -> bool:
        """Whether an inference has failed whose verdict is not known yet, or was that it is broken."""
        case = self._cases.get(version)
        return case is not None and case.loaded is loaded

    async def judge(self, version: Version, loaded: LoadedModel) -> None:
        """After a failed inference: return if the request was wrong, raise NotReady if the version is."""
        if version.loaded is not loaded:
            raise NotReady(f"{version} was replaced during the inference, which failed; try again")
        if (reason := await asyncio.shield(self.suspect(version, loaded))) is not None:
            raise NotReady(f"{version} is {COMPILED_AGAIN}; try again later: {reason}")

    def suspect(self, version: Version, loaded: LoadedModel) -> asyncio.Task[str | None]:
        """After a failed inference, whatever caused it; gives why the version is broken, or None."""
        case = self._cases.get(version)
        if case is None or case.loaded is not loaded:
            case = self._cases[version] = _Case(version, loaded)
            case.verdict = self._begin(self._check(case))
        assert case.verdict is not None  # noqa: S101 - a case begins with its check
        return case.verdict

    async def _check(self, case: _Case) -> str | None:
        moments = self._moments.setdefault(case.version, _Moments())
        if (reason := await self._ask(case, moments)) is None:
            self._close(case)
            return None
        if case.version.loaded is not case.loaded:  # it was replaced meanwhile
            self._close(case)
            return reason
        LOG.error("%s can no longer answer and is compiled again: %s", case.version, reason)
        self._converger.distrust(case.version, f"it is {COMPILED_AGAIN}: {reason}")
        self._begin(self._repair(case, moments))
        return reason

    async def _ask(self, case: _Case, moments: _Moments) -> str | None:
        """Why the model cannot answer; None when it can."""
        moments.checked = time.monotonic()
        try:
            if case.loaded.inline:
                case.loaded.check()
            else:
                await asyncio.get_running_loop().run_in_executor(self._thread, case.loaded.check)
        except InferenceFailed as error:
            return str(error)
        return None

    async def _repair(self, case: _Case, moments: _Moments) -> None:
        """Compile it again as soon as that is allowed; until then requests with other shapes may mend it."""
        version, due = case.version, moments.renewed + RENEW_SECONDS
        while version.loaded is case.loaded and time.monotonic() < due:
            await _sleep_until(min(due, moments.checked + CHECK_SECONDS))
            if await self._ask(case, moments) is None:
                LOG.info("%s answers again", version)
                self._converger.distrust(version, None)
                self._close(case)
                return
        moments.renewed = time.monotonic()
        with suppress(NotReady):  # the server is stopping
            await self._in_turn(lambda: self._converger.renew(version, case.loaded))
        self._close(case)

    def _close(self, case: _Case) -> None:
        """The version is trusted again, or no longer served."""
        if self._cases.get(case.version) is case:
            del self._cases[case.version]

    def _begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _sleep_until(moment: float) -> None:
    if (seconds := moment - time.monotonic()) > 0:
        await asyncio.sleep(seconds)
