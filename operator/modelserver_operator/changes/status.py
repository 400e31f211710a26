"""Writes the status: last in each pass, whatever happened before, in a form that the API server takes."""

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelserver_operator.api import KIND, Status
from modelserver_operator.api.status import Reason
from modelserver_operator.clients.installed import InstalledCrd, own_schema
from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.conditions.document import (
    document,
    minimal,
    misfit,
    not_ready,
    read_status,
    says_the_same,
    whole,
)
from modelserver_operator.errors import ApiError, NotFound, Unfit
from modelserver_operator.observed.store import Key, Store

Raw = Mapping[str, Any]
_REFUSED = {400, 413, 422, 500}
"""Answers that another status may not get."""
_INTERNAL, _INTERNAL_TRIES = 500, 3
"""An internal error is mostly one of the moment: only after some in a row it counts as a refusal."""
_CALM_SECONDS = 60.0
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Written:
    """The status that the object has now."""

    status: Status
    is_new: bool
    """Whether it was written; otherwise it was there already, or a status may wait."""


@dataclass
class StatusWriter:
    """Writes only what is new: a status that the API server keeps otherwise than written is written once."""

    cluster: Cluster
    store: Store
    installed: InstalledCrd
    now: Callable[[], str]
    clock: Callable[[], float] = time.monotonic
    _written: dict[Key, float] = field(default_factory=dict)
    """When."""
    _due: dict[Key, float] = field(default_factory=dict)
    """When a status that is held back may be written."""
    _kept: dict[Key, tuple[Raw, Raw]] = field(default_factory=dict)
    """What was written, and what the API server made of it."""
    _errors: dict[Key, int] = field(default_factory=dict)
    """Internal errors of the API server in a row."""

    def previous(self, body: Raw) -> Status:
        """What the object says now."""
        return read_status(body.get("status") or {}, own_schema()["properties"]["status"])

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._written.pop(key, None)
        self._kept.pop(key, None)
        self._due.pop(key, None)
        self._errors.pop(key, None)

    def held_back(self, key: Key) -> float | None:
        """The seconds until a status that was held back may be written; None if none was."""
        due = self._due.get(key)
        return None if due is None else max(0.0, due - self.clock())

    async def write(self, body: Raw, previous: Status, status: Status) -> Written:
        """The full status, or a minimal one where that is refused. ApiError: none was written."""
        try:
            return Written(status, await self._write(body, previous, status))
        except ApiError as error:
            if error.status not in _REFUSED or self._may_pass(_key(body), error):
                raise
            problem = error.cause
        except Unfit as error:
            problem = str(error)
        await self.installed.refresh_after_refusal()
        if self.installed.lacks:
            with contextlib.suppress(ApiError, Unfit):
                return Written(status, await self._write(body, previous, status))
        _logger.error("the status of %s/%s was refused, so only that is written: %s", *_key(body), problem)
        message = f"the full status was refused, so it is not shown: {problem}"
        return await self.write_problem(body, status, Reason.STATUS_REFUSED, message)

    async def write_problem(self, body: Raw, status: Status, reason: Reason, message: str) -> Written:
        """Write a minimal status that says what keeps the full one from being written."""
        generation, previous = body["metadata"].get("generation", 0), self.previous(body)
        problem = not_ready(reason, message, generation, previous, self.now())
        short = minimal(status, problem)
        return Written(short, await self._write(body, previous, short))

    def _may_pass(self, key: Key, error: ApiError) -> bool:
        if error.status != _INTERNAL:
            return False
        self._errors[key] = self._errors.get(key, 0) + 1
        return self._errors[key] <= _INTERNAL_TRIES

    async def _write(self, body: Raw, previous: Status, status: Status) -> bool:
        key, present = _key(body), body.get("status") or {}
        self._due.pop(key, None)
        before, wanted = whole(previous), self.installed.fitting(document(status))
        if (
            wanted == before
            or self._kept.get(key) == (wanted, present)
            or self._can_wait(key, before, wanted)
        ):
            return False
        if problem := misfit(wanted):
            raise Unfit(problem)
        try:
            answer = await self.cluster.apply_status(body["metadata"], wanted)
        except NotFound:
            # The object has been deleted meanwhile; the event will follow.
            return False
        self._errors.pop(key, None)
        self.store.put(KIND, answer)
        self._written[key] = self.clock()
        self._kept.pop(key, None)
        if whole(self.previous(answer)) != wanted:
            self._kept[key] = (wanted, answer.get("status") or {})
        return True

    def _can_wait(self, key: Key, before: Raw, wanted: Raw) -> bool:
        """New figures within the same sentences: a retry that fails as before is not news each time."""
        due = self._written.get(key, float("-inf")) + _CALM_SECONDS
        if self.clock() >= due or not says_the_same(before, wanted):
            return False
        self._due[key] = due
        return True


def _key(body: Raw) -> Key:
    metadata = body["metadata"]
    return metadata["namespace"], metadata["name"]
