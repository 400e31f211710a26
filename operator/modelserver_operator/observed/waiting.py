"""Why a pod waits whose status does not say so, read from the Events about it. Pure."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from modelserver_operator.observed.child import Raw

UNKNOWN = "its container has not been created yet, and no Event says why: see kubectl describe pod"
_SAME_TIME = timedelta(minutes=3)
"""The kubelet repeats an attempt after two minutes at most."""
_SANDBOX = re.compile(r'"[0-9a-f]{64}"')


def cause(events: Iterable[Raw]) -> str:
    """One sentence; the same as long as the same things happen, in whatever order their Events come."""
    dated = [(when, event) for event in events if (when := _last(event))]
    newest = max((when for when, _ in dated), default=None)
    if newest is None:
        return UNKNOWN
    return min(_sentence(event) for when, event in dated if newest - when <= _SAME_TIME)


def _last(event: Raw) -> datetime | None:
    times = (
        (event.get("series") or {}).get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event.get("firstTimestamp"),
    )
    return next((datetime.fromisoformat(time) for time in times if time), None)


def _sentence(event: Raw) -> str:
    # Every attempt has a sandbox of its own.
    message = _SANDBOX.sub('"…"', event.get("message") or "")
    return f"{event.get('reason', '')}: {' '.join(message.split())}"
