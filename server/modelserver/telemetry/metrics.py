"""Metrics with OVMS's names, labels and buckets, so that dashboards move without a change.

prometheus_client would append `_total` to counters, which those dashboards do not ask for; and
a bisect and an addition per observation is all the hot path pays here.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Lock

from prometheus_client import REGISTRY, generate_latest

from modelserver.telemetry.families import (
    FAMILIES,
    CounterFamily,
    Family,
    GaugeFamily,
    HistogramFamily,
)
from modelserver.telemetry.labels import Labels

PENDING = 1000
BUCKETS_US = tuple(int(10 * 1.8**power) for power in range(33))
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True)
class Counter:
    """One series that only grows."""

    value: float = 0

    def add(self, amount: float = 1) -> None:
        """Count."""
        self.value += amount

    def lines(self, name: str, labels: Labels) -> Iterator[str]:
        """The series as text."""
        yield (
            f"{name}{_braces(labels)} {self.value:g}"
            if self.value < 1e6
            else f"{name}{_braces(labels)} {self.value}"
        )


@dataclass(slots=True)
class Gauge:
    """One series whose value is looked up when it is scraped."""

    read: Callable[[], float | None]

    def lines(self, name: str, labels: Labels) -> Iterator[str]:
        """The series as text; nothing where there is no value."""
        value = self.read()
        if value is not None:
            yield f"{name}{_braces(labels)} {value}"


@dataclass(slots=True)
class Histogram:
    """One series of microseconds in OVMS's buckets."""

    pending: list[float] = field(default_factory=list)
    """Seconds, to be folded in when they are PENDING: one by one they cost as much as a small model."""
    _counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_US) + 1))
    _total: float = 0.0
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def fold(self) -> None:
        """Count what is pending. Two threads fold, one at a time, and none of them holds up who appends.

        What is appended meanwhile stays: taking the first items and deleting as many are one step each.
        """
        with self._lock:
            durations = [seconds * 1e6 for seconds in self.pending[:]]
            del self.pending[: len(durations)]
            for microseconds in durations:
                self._counts[bisect_left(BUCKETS_US, microseconds)] += 1
            self._total += sum(durations)

    @property
    def total(self) -> float:
        """The sum of all durations, in microseconds."""
        self.fold()
        return self._total

    def lines(self, name: str, labels: Labels) -> Iterator[str]:
        """The series as text, cumulated."""
        self.fold()
        with self._lock:  # count and sum of the same moment
            counts, total = self._counts.copy(), self._total
        seen = 0
        for bound, count in zip((*BUCKETS_US, "+Inf"), counts, strict=True):
            seen += count
            yield f"{name}_bucket{_braces((*labels, ('le', str(bound))))} {seen}"
        yield f"{name}_count{_braces(labels)} {seen}"
        yield f"{name}_sum{_braces(labels)} {total}"


Series = Counter | Gauge | Histogram


class Metrics:
    """Every family and its series. The main loop changes them; the page may be read by another thread."""

    def __init__(self, only: frozenset[str] | None = None) -> None:
        """`only` names OVMS's families to show; None shows all of them. Our own are always there."""
        self._series: dict[Family, dict[Labels, Series]] = {family: {} for family in FAMILIES}
        self._shown = [
            family
            for family in FAMILIES
            if only is None or family.name in only or not family.name.startswith("ovms_")
        ]

    def counter(self, family: CounterFamily, labels: Labels) -> Counter:
        """The counter with these labels, made at its first use."""
        series = self._series[family].setdefault(labels, Counter())
        assert isinstance(series, Counter)  # noqa: S101 - the family's kind says so
        return series

    def histogram(self, family: HistogramFamily, labels: Labels) -> Histogram:
        """The histogram with these labels, made at its first use."""
        series = self._series[family].setdefault(labels, Histogram())
        assert isinstance(series, Histogram)  # noqa: S101 - the family's kind says so
        return series

    def gauge(self, family: GaugeFamily, labels: Labels, read: Callable[[], float | None]) -> None:
        """Show this value under these labels from now on.

        Any thread may call `read`: it looks at what never changes, or at one number.
        """
        self._series[family][labels] = Gauge(read)

    def forget(self, family: GaugeFamily, labels: Labels) -> None:
        """Show it no longer."""
        self._series[family].pop(labels, None)

    def render(self) -> bytes:
        """The page that Prometheus reads."""
        return "\n".join([*self._lines(), ""]).encode() + generate_latest(REGISTRY)

    def _lines(self) -> Iterator[str]:
        for family in self._shown:
            all_series = dict(self._series[family])  # new ones may come meanwhile
            if not all_series:
                continue
            yield f"# HELP {family.name} {family.help}"
            yield f"# TYPE {family.name} {family.kind}"
            for labels, series in all_series.items():
                yield from series.lines(family.name, labels)


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
