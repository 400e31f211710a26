"""What requests are counted into: looked up once per version and way of asking, then only added to."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from modelserver.engine import Lease
from modelserver.models.model import Version
from modelserver.telemetry import families
from modelserver.telemetry.families import CounterFamily
from modelserver.telemetry.labels import OPERATIONS, Interface, VersionLabels
from modelserver.telemetry.metrics import PENDING, Counter, Histogram, Metrics
from modelserver.tensors import Call


@dataclass(slots=True)
class Tally:
    """What the statistics of a version need besides its metrics."""

    last: float | None = None
    """When the last inference ended, on the clock of time.perf_counter."""
    input_seconds: float = 0.0
    """From the request's bytes to checked tensors, successful requests only."""
    failed_seconds: float = 0.0


@dataclass(slots=True)
class Meter:
    """The series of one version and one way of asking for it."""

    success: Counter
    fail: Counter
    shed: Counter
    request: Histogram
    inference: Histogram
    wait: Histogram
    tally: Tally

    def succeeded(self, started: float, prepared: float, lease: Lease) -> None:
        """One inference, from `started` until now; it was `prepared` for the engine in between."""
        ended = time.perf_counter()
        self.success.value += 1
        self.inference.pending.append(lease.inferred)
        self.wait.pending.append(lease.waited)
        self.request.pending.append(ended - started)
        if len(self.request.pending) >= PENDING:
            self._fold()
        self.tally.last = ended
        self.tally.input_seconds += prepared - started

    def _fold(self) -> None:
        for histogram in (self.request, self.inference, self.wait):
            histogram.fold()

    def failed(self, started: float, *, shed: bool = False) -> None:
        """One inference that came to nothing."""
        self.fail.add()
        self.tally.failed_seconds += time.perf_counter() - started
        if shed:
            self.shed.add()


@dataclass(frozen=True)
class Duration:
    """How often, and how long all together."""

    count: int
    ns: int


@dataclass(frozen=True)
class Statistics:
    """What the statistics extension tells of one version."""

    name: str
    version: str
    last_inference: int
    """Milliseconds since the epoch; 0 before the first one."""
    inference_count: int
    execution_count: int
    inference_stats: dict[str, Duration]


class Meters:
    """Finds meters; reads them for the statistics extension."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._meters: dict[tuple[str, int, str, str, str], Meter] = {}
        self._tallies: dict[tuple[str, int], Tally] = {}

    def of(self, version: Version, call: Call) -> Meter:
        """The meter for this call to this version."""
        key = (version.model, version.number, call.api, call.interface, call.method)
        meter = self._meters.get(key)
        if meter is None:
            meter = self._meters[key] = self._make(version, call)
        return meter

    def statistics(self, version: Version) -> Statistics:
        """Since the process started, like the metrics; successful requests but for `fail`."""
        labels, tally = version.labels, self._tally(version)
        success = sum(counter.value for counter in self._inference(families.REQUESTS_SUCCESS, labels))
        fail = sum(counter.value for counter in self._inference(families.REQUESTS_FAIL, labels))
        histogram = self._metrics.histogram
        whole = sum(histogram(families.REQUEST_TIME, labels.interface(one)).total for one in Interface)
        waited = histogram(families.WAIT_TIME, labels.alone).total
        inferred = histogram(families.INFERENCE_TIME, labels.alone).total
        decoded = tally.input_seconds * 1e6
        parts = {
            "success": whole,
            "fail": tally.failed_seconds * 1e6,
            "queue": waited,
            "compute_input": decoded,
            "compute_infer": inferred,
            "compute_output": max(0.0, whole - waited - inferred - decoded),
        }
        durations = {
            name: Duration(int(fail if name == "fail" else success), int(microseconds * 1e3))
            for name, microseconds in parts.items()
        }
        last = 0 if tally.last is None else int((time.time() - time.perf_counter() + tally.last) * 1e3)
        return Statistics(version.model, str(version.number), last, int(success), int(success), durations)

    def _inference(self, family: CounterFamily, labels: VersionLabels) -> Iterator[Counter]:
        for one in OPERATIONS:
            for interface in Interface if one.is_inference else ():
                yield self._metrics.counter(family, labels.operation(one.api, interface, one.method))

    def _tally(self, version: Version) -> Tally:
        return self._tallies.setdefault((version.model, version.number), Tally())

    def _make(self, version: Version, call: Call) -> Meter:
        labels = version.labels
        operation = labels.operation(call.api, call.interface, call.method)
        counter, histogram = self._metrics.counter, self._metrics.histogram
        return Meter(
            success=counter(families.REQUESTS_SUCCESS, operation),
            fail=counter(families.REQUESTS_FAIL, operation),
            shed=counter(families.REQUESTS_SHED, labels.alone),
            request=histogram(families.REQUEST_TIME, labels.interface(call.interface)),
            inference=histogram(families.INFERENCE_TIME, labels.alone),
            wait=histogram(families.WAIT_TIME, labels.alone),
            tally=self._tally(version),
        )
