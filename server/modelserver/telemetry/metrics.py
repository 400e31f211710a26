"""Metrics with OVMS's names, labels and buckets, so that dashboards move without a change.

prometheus_client would append `_total` to counters, which those dashboards do not ask for; and
a bisect and an addition per observation is all the hot path pays here.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Lock

from prometheus_client import REGISTRY, generate_latest

PENDING = 1000
BUCKETS_US = tuple(int(10 * 1.8**power) for power in range(33))
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]


def labels(**values: str) -> Labels:
    """Labels in the order of their names, as OVMS prints them."""
    return tuple(sorted(values.items()))


@dataclass(slots=True)
class Counter:
    """One series that only grows."""

    value: float = 0

    def add(self, amount: float = 1) -> None:
        """Count."""
        self.value += amount

    def lines(self, name: str, told: Labels) -> Iterator[str]:
        """The series as text."""
        yield (
            f"{name}{_braces(told)} {self.value:g}"
            if self.value < 1e6
            else f"{name}{_braces(told)} {self.value}"
        )


@dataclass(slots=True)
class Gauge:
    """One series whose value is looked up when it is scraped."""

    read: Callable[[], float | None]

    def lines(self, name: str, told: Labels) -> Iterator[str]:
        """The series as text; nothing where there is no value."""
        value = self.read()
        if value is not None:
            yield f"{name}{_braces(told)} {value}"


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

    def lines(self, name: str, told: Labels) -> Iterator[str]:
        """The series as text, cumulated."""
        self.fold()
        with self._lock:  # count and sum of the same moment
            counts, total = self._counts.copy(), self._total
        seen = 0
        for bound, count in zip((*BUCKETS_US, "+Inf"), counts, strict=True):
            seen += count
            yield f"{name}_bucket{_braces((*told, ('le', str(bound))))} {seen}"
        yield f"{name}_count{_braces(told)} {seen}"
        yield f"{name}_sum{_braces(told)} {total}"


Series = Counter | Gauge | Histogram


@dataclass
class _Family:
    kind: str
    help: str
    series: dict[Labels, Series] = field(default_factory=dict)


class Metrics:
    """Every family and its series. The main loop changes them; the page may be read by another thread."""

    def __init__(self, only: frozenset[str] | None = None) -> None:
        """`only` names OVMS's families to show; None shows all of them. Our own are always there."""
        self._families = {name: _Family(kind, text) for name, kind, text in FAMILIES}
        self._hidden = {
            name
            for name in self._families
            if only is not None and name.startswith("ovms_") and name not in only
        }

    def counter(self, name: str, told: Labels) -> Counter:
        """The counter of this name and these labels, made at its first use."""
        series = self._families[name].series.setdefault(told, Counter())
        assert isinstance(series, Counter)  # noqa: S101 - the family's kind says so
        return series

    def histogram(self, name: str, told: Labels) -> Histogram:
        """The histogram of this name and these labels, made at its first use."""
        series = self._families[name].series.setdefault(told, Histogram())
        assert isinstance(series, Histogram)  # noqa: S101 - the family's kind says so
        return series

    def gauge(self, name: str, told: Labels, read: Callable[[], float | None]) -> None:
        """Show this value under these labels from now on."""
        self._families[name].series[told] = Gauge(read)

    def forget_gauges(self, **subset: str) -> None:
        """Drop the gauges of something that is gone; what was counted stays."""
        gone = set(subset.items())
        for family in self._families.values():
            if family.kind == "gauge":
                family.series = {told: one for told, one in family.series.items() if not gone <= set(told)}

    def render(self) -> bytes:
        """The page that Prometheus reads."""
        return "\n".join([*self._lines(), ""]).encode() + generate_latest(REGISTRY)

    def _lines(self) -> Iterator[str]:
        for name, family in self._families.items():
            all_series = dict(family.series)  # new ones may come meanwhile
            if not all_series or name in self._hidden:
                continue
            yield f"# HELP {name} {family.help}"
            yield f"# TYPE {name} {family.kind}"
            for told, series in all_series.items():
                yield from series.lines(name, told)


def _braces(told: Labels) -> str:
    if not told:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in told) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


FAMILIES = (
    ("ovms_requests_success", "counter", "Number of successful requests to a model or a DAG."),
    ("ovms_requests_fail", "counter", "Number of failed requests to a model or a DAG."),
    ("ovms_request_time_us", "histogram", "Processing time of requests to a model or a DAG."),
    ("ovms_inference_time_us", "histogram", "Inference execution time in the OpenVINO backend."),
    ("ovms_wait_for_infer_req_time_us", "histogram", "Request waiting time in the scheduling queue."),
    ("ovms_streams", "gauge", "Number of OpenVINO execution streams."),
    ("ovms_current_requests", "gauge", "Number of inference requests currently in process."),
    ("ovms_infer_req_queue_size", "gauge", "Inference request queue size (nireq)."),
    (
        "ovms_infer_req_active",
        "gauge",
        "Number of currently consumed inference request from the processing queue.",
    ),
    ("modelserver_info", "gauge", "Version of the server; always 1."),
    ("modelserver_ready", "gauge", "1 while the readiness probe succeeds."),
    ("modelserver_affinity_cpus", "gauge", "CPUs the kernel lets this process run on."),
    ("modelserver_cpu_quota", "gauge", "CPU quota of the cgroup in CPUs; absent without one."),
    ("modelserver_threads", "gauge", "CPUs the server plans with."),
    ("modelserver_model_threads", "gauge", "Inference threads of a version, read back from the device."),
    ("modelserver_model_available", "gauge", "1 while a version answers requests."),
    (
        "modelserver_model_load_seconds",
        "gauge",
        "How long the version took to load, first inference included.",
    ),
    ("modelserver_model_load_failures", "counter", "Attempts to load a version that failed."),
    ("modelserver_queue_waiting", "gauge", "Requests waiting for a free infer request."),
    ("modelserver_requests_shed", "counter", "Requests refused because the queue was full."),
    ("modelserver_requests_unknown_model", "counter", "Requests for a model or version that is not served."),
    ("modelserver_responses", "counter", "Answers by interface and code; those of a stream one by one."),
    ("modelserver_request_bytes", "counter", "Bytes of successful inferences' bodies or messages."),
    ("modelserver_response_bytes", "counter", "Bytes of successful inferences' answers."),
)
"""Name, kind, help. The first nine are OVMS's."""
