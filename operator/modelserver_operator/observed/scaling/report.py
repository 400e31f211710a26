"""What a scaler reports: our HorizontalPodAutoscaler, KEDA's, and our ScaledObject."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from modelserver_operator import naming

Raw = Mapping[str, Any]
_KEY = re.compile(r"[A-Za-z0-9_-]{1,256}")
"""What a URL contains as it is. Anything else is nothing that the operator wrote."""
_METRIC = {"containerResource": "CPU", "resource": "CPU", "external": "", "pods": "", "object": ""}
_NAMES = {"requestsPerStream": "requests per stream", "concurrency": "concurrency", "cron": "schedule"}


@dataclass(frozen=True)
class HpaReport:
    """A HorizontalPodAutoscaler."""

    name: str
    current: int
    wanted: int
    metrics: tuple[str, ...]
    """Each metric that has a figure, with its target, in words."""
    limit: str
    """TooManyReplicas at the largest number, TooFewReplicas at the least; empty between."""
    problem: str
    """Why it does not scale: reason and message; empty while it does."""
    is_off: bool
    """Whether it pauses because there are zero replicas."""
    is_ambiguous: bool
    """Whether another one selects the same pods, so that none of them scales."""
    last_scale: str
    """When it last changed replicas; empty when it never did."""
    has_looked: bool
    """Whether it has reported at all."""
    lacking: tuple[str, ...] = ()
    """The names of metrics that have no figure."""


@dataclass(frozen=True)
class ScaledObjectReport:
    """KEDA's ScaledObject."""

    key: str
    """What a question for the load must contain."""
    address: str
    """Where KEDA asks: the URL up to the path."""
    problem: str
    """Why KEDA does not scale; empty while it does."""
    is_fallback: bool
    """Whether KEDA gets no figures."""
    is_paused: bool
    has_looked: bool


Report = HpaReport | ScaledObjectReport


def read_report(kind: str, body: Raw) -> Report | None:
    """Of a scaler; None for every other kind."""
    if kind == naming.HPA:
        return _hpa(body)
    return _scaled_object(body) if kind == naming.SCALED_OBJECT else None


def _hpa(body: Raw) -> HpaReport:
    status = body.get("status") or {}
    conditions = _conditions(status)
    active, able = conditions.get("ScalingActive", {}), conditions.get("AbleToScale", {})
    limited = conditions.get("ScalingLimited", {})
    is_off, measured = active.get("reason") == "ScalingDisabled", tuple(_measured(body))
    failed = [item for item in (able, active) if item.get("status") == "False"]
    return HpaReport(
        name=body["metadata"]["name"],
        current=status.get("currentReplicas") or 0,
        wanted=status.get("desiredReplicas") or 0,
        metrics=tuple(f"{name} {figure}" for name, figure in measured if figure is not None),
        limit=limited.get("reason", "") if limited.get("status") == "True" else "",
        problem="" if is_off or not failed else _said(failed[0]),
        is_off=is_off,
        is_ambiguous=active.get("reason") == "AmbiguousSelector",
        last_scale=status.get("lastScaleTime") or "",
        has_looked=bool(conditions),
        lacking=tuple(name for name, figure in measured if figure is None),
    )


def _scaled_object(body: Raw) -> ScaledObjectReport:
    conditions = _conditions(body.get("status") or {})
    ready = conditions.get("Ready", {})
    address, key = next(_addresses(body), ("", ""))
    return ScaledObjectReport(
        key=key,
        address=address,
        problem=_said(ready) if ready.get("status") == "False" else "",
        is_fallback=conditions.get("Fallback", {}).get("status") == "True",
        is_paused=conditions.get("Paused", {}).get("status") == "True",
        # KEDA begins with Unknown and no reason; later Unknown says that only some triggers work.
        has_looked=ready.get("status") in {"True", "False"} or bool(ready.get("reason")),
    )


def _addresses(body: Raw) -> Iterator[tuple[str, str]]:
    """Of each trigger that asks the operator: where, and the key."""
    for trigger in (body.get("spec") or {}).get("triggers") or []:
        with contextlib.suppress(ValueError):  # somebody has made it something that is no URL
            url = urlsplit((trigger.get("metadata") or {}).get("url") or "")
            for key in filter(_KEY.fullmatch, parse_qs(url.query).get("key", [])):
                yield f"{url.scheme}://{url.netloc}", key


def _conditions(status: Raw) -> dict[str, Raw]:
    return {item["type"]: item for item in status.get("conditions") or []}


def _said(condition: Raw) -> str:
    return f"{condition.get('reason', '')}: {condition.get('message', '')}"


def _measured(body: Raw) -> Iterator[tuple[str, str | None]]:
    """Each metric in the order of the spec: its name, and its figure with the target.

    None where the HorizontalPodAutoscaler has no figure: it leaves an empty entry in that place.
    """
    figures = {_place(item): item for item in (body.get("status") or {}).get("currentMetrics") or []}
    for item in (body.get("spec") or {}).get("metrics") or []:
        if (place := _place(item)) is None:
            continue
        part, found = place[0], figures.get(place)
        name, target = _METRIC[part] or _name(item[part]), item[part].get("target") or {}
        yield name, None if found is None else _figure(found[part].get("current") or {}, target)


def _place(metric: Raw) -> tuple[str, str] | None:
    for part in _METRIC:
        if part in metric:
            inner = metric[part]
            return part, str(inner.get("name") or (inner.get("metric") or {}).get("name") or "")
    return None


def _name(source: Raw) -> str:
    """In KEDA's names, such as s0-metric-api-requestsPerStream, they are a part."""
    full = str((source.get("metric") or {}).get("name") or "")
    return next((words for part, words in _NAMES.items() if part in full), full)


def _figure(now: Raw, target: Raw) -> str:
    pairs = (("averageUtilization", " %"), ("averageValue", ""), ("value", ""))
    for field, unit in pairs:
        if field in target:
            return f"{now.get(field, '?')}{unit} of {target[field]}{unit}"
    return "unknown"
