"""Why a pod waits or has ended whose status does not say so, read from the Events about it. Pure."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from modelserver_operator.observed.child import Raw

UNKNOWN = "its container has not been created yet, and no Event says why: see kubectl describe pod"
_SAME_TIME = timedelta(minutes=3)
"""The kubelet repeats an attempt after two minutes at most."""
_ENDS = {"Evicted", "Preempting"}
"""Reasons of the Events by which the kubelet says that it ends a pod."""
_SANDBOX = re.compile(r'"[0-9a-f]{64}"')


def cause(events: Iterable[Raw]) -> str:
    """One sentence; the same as long as the same things happen, in whatever order their Events come."""
    dated = [(when, event) for event in events if (when := _last(event))]
    newest = max((when for when, _ in dated), default=None)
    if newest is None:
        return UNKNOWN
    return min(_sentence(event) for when, event in dated if newest - when <= _SAME_TIME)


def end(events: Iterable[Raw]) -> tuple[str, str] | None:
    """Reason and message of the kubelet that ended the pod; None if no Event says so."""
    dated = [(when, event) for event in events if event.get("reason") in _ENDS and (when := _last(event))]
    _, newest = max(dated, key=lambda pair: pair[0], default=(None, None))
    return None if newest is None else (newest["reason"], _text(newest))


def _last(event: Raw) -> datetime | None:
    times = (
        (event.get("series") or {}).get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event.get("firstTimestamp"),
    )
    return next((datetime.fromisoformat(time) for time in times if time), None)


def _sentence(event: Raw) -> str:
    return f"{event.get('reason', '')}: {_text(event)}"


def _text(event: Raw) -> str:
    # Every attempt has a sandbox of its own.
    return " ".join(_SANDBOX.sub('"…"', event.get("message") or "").split())
