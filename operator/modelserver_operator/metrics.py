"""The operator's metrics, each with its name, its labels and what it counts; docs/operator.md lists them.

Counters are written where something happens; what can be read off the running operator at any time is
collected when somebody asks for it.
"""

import time
from collections import Counter as Counts
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

Key = TypeVar("Key", bound=Hashable)
_PREFIX = "modelserver_operator"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

RECONCILES = Counter(
    f"{_PREFIX}_reconciles_total",
    "Passes over an object, by result: done or failed.",
    ["result"],
    registry=REGISTRY,
)
SECONDS = Histogram(
    f"{_PREFIX}_reconcile_seconds", "How long a pass took.", buckets=_SECONDS, registry=REGISTRY
)
WRITES = Counter(
    f"{_PREFIX}_writes_total",
    "Writes to the API server, by kind and reason: a child is missing, changed, …; status, nudge, event.",
    ["kind", "reason"],
    registry=REGISTRY,
)
REFUSALS = Counter(
    f"{_PREFIX}_refusals_total",
    "Requests that the API server refused, by HTTP status; 0 when it did not answer.",
    ["code"],
    registry=REGISTRY,
)
DRIFT = Counter(
    f"{_PREFIX}_drift_total",
    "Children put right, by the field manager that changed them; other: one more than 50 managers.",
    ["manager"],
    registry=REGISTRY,
)
PROBES = Counter(
    f"{_PREFIX}_probes_total",
    "Requests to servers' status ports, by outcome.",
    ["outcome"],
    registry=REGISTRY,
)
SCALE_ANSWERS = Counter(
    f"{_PREFIX}_scale_answers_total",
    "Answers about the load of an object's pods, by HTTP status.",
    ["code"],
    registry=REGISTRY,
)
_MANAGERS = 50
"""Anyone may call a field manager what he likes, and each name is a series of its own for ever."""
_managers: set[str] = set()
LEADER = Gauge(f"{_PREFIX}_leader", "1 while this process writes, 0 while it stands by.", registry=REGISTRY)


@dataclass(frozen=True)
class Live(Collector):
    """What is read off the running operator."""

    depth: Callable[[], int]
    """Objects that wait for a pass."""
    oldest: Callable[[], float]
    """How long the first of them has waited, in seconds."""
    objects: Callable[[], Iterable[Mapping[str, Any]]]
    """Every ModelServer as it is stored."""

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """For prometheus_client."""
        yield GaugeMetricFamily(f"{_PREFIX}_queue_depth", "Objects that wait for a pass.", value=self.depth())
        yield GaugeMetricFamily(
            f"{_PREFIX}_queue_oldest_seconds",
            "How long the first of the objects that are due has waited.",
            value=self.oldest(),
        )
        objects = GaugeMetricFamily(
            f"{_PREFIX}_objects", "ModelServers, by condition and its status.", labels=["condition", "status"]
        )
        counts = Counts(
            (condition["type"], condition["status"])
            for body in self.objects()
            for condition in (body.get("status") or {}).get("conditions") or []
        )
        for labels, count in sorted(counts.items()):
            objects.add_metric(labels, count)
        yield objects


def count_drift(manager: str) -> None:
    """A child that this field manager had changed was put right."""
    if len(_managers) < _MANAGERS:
        _managers.add(manager)
    DRIFT.labels(manager if manager in _managers else "other").inc()


def measured(process: Callable[[Key], Awaitable[float | None]]) -> Callable[[Key], Awaitable[float | None]]:
    """The same, counted and timed."""

    async def run(key: Key) -> float | None:
        start = time.perf_counter()
        try:
            again = await process(key)
        except Exception:
            RECONCILES.labels("failed").inc()
            raise
        finally:
            SECONDS.observe(time.perf_counter() - start)
        RECONCILES.labels("done").inc()
        return again

    return run


def text() -> bytes:
    """For Prometheus."""
    return generate_latest(REGISTRY)
