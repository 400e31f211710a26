"""What requests are counted into: looked up once per version and way of asking, then only added to."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from modelserver.engine import Passage
from modelserver.models.model import Version
from modelserver.telemetry.metrics import PENDING, Counter, Histogram, Labels, Metrics
from modelserver.tensors import Call

INTERFACES = ("REST", "gRPC")
INFERENCE = (("KServe", "ModelInfer"), ("TensorFlowServing", "Predict"))
"""APIs and their methods that infer."""


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

    def succeeded(self, started: float, prepared: float, passage: Passage) -> None:
        """One inference, from `started` until now; it was `prepared` for the engine in between."""
        ended = time.perf_counter()
        self.success.value += 1
        self.inference.pending.append(passage.inferred)
        self.wait.pending.append(passage.waited)
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
        self._tallies: dict[tuple[str, int], Tally] = {}

    def of(self, version: Version, call: Call) -> Meter:
        """The meter for this call to this version."""
        way = (call.api, call.interface, call.method)
        meter = version.meters.get(way)
        if meter is None:
            meter = version.meters[way] = self._make(version, way)
        return meter

    def statistics(self, version: Version) -> Statistics:
        """Since the process started, like the metrics; successful requests but for `fail`."""
        told, tally = version.labels, self._tally(version)
        success = sum(counter.value for counter in self._inference("ovms_requests_success", told))
        fail = sum(counter.value for counter in self._inference("ovms_requests_fail", told))
        whole = sum(
            self._metrics.histogram("ovms_request_time_us", (("interface", interface), *told)).total
            for interface in INTERFACES
        )
        waited = self._metrics.histogram("ovms_wait_for_infer_req_time_us", told).total
        inferred = self._metrics.histogram("ovms_inference_time_us", told).total
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

    def _inference(self, name: str, told: Labels) -> Iterator[Counter]:
        for api, method in INFERENCE:
            for interface in INTERFACES:
                labels = (("api", api), ("interface", interface), ("method", method), *told)
                yield self._metrics.counter(name, labels)

    def _tally(self, version: Version) -> Tally:
        return self._tallies.setdefault((version.model, version.number), Tally())

    def _make(self, version: Version, way: tuple[str, str, str]) -> Meter:
        told = version.labels
        api, interface, method = way
        labels = (("api", api), ("interface", interface), ("method", method), *told)
        counter, histogram = self._metrics.counter, self._metrics.histogram
        return Meter(
            success=counter("ovms_requests_success", labels),
            fail=counter("ovms_requests_fail", labels),
            shed=counter("modelserver_requests_shed", told),
            request=histogram("ovms_request_time_us", (("interface", interface), *told)),
            inference=histogram("ovms_inference_time_us", told),
            wait=histogram("ovms_wait_for_infer_req_time_us", told),
            tally=self._tally(version),
        )
