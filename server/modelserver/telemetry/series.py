"""The series of a model's version: which exist from its loading on, and which end with it."""

from dataclasses import dataclass
from typing import Protocol

from modelserver.telemetry import families
from modelserver.telemetry.labels import OPERATIONS, Interface, VersionLabels, model_operation
from modelserver.telemetry.metrics import Metrics


class Running(Protocol):
    """What a served model counts: whole numbers that the main loop changes, so any thread may read them."""

    @property
    def active(self) -> int:
        """Infer requests in use."""

    @property
    def in_flight(self) -> int:
        """Requests inside."""

    @property
    def waiting(self) -> int:
        """Requests in the queue."""


@dataclass(frozen=True)
class Figures:
    """What is fixed while a version serves."""

    streams: int | None
    nireq: int
    threads: int | None
    load_seconds: float


_WHILE_SERVING = (
    families.STREAMS, families.INFER_REQUESTS, families.MODEL_THREADS, families.INFER_REQUESTS_ACTIVE,
    families.CURRENT_REQUESTS, families.QUEUE_WAITING,
)  # fmt: skip


class VersionSeries:
    """Shows versions in the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def serves(self, labels: VersionLabels, figures: Figures, running: Running) -> None:
        """From now on this answers, in place of what answered before."""
        self._start_counting(labels)
        gauge, alone = self._metrics.gauge, labels.alone
        gauge(families.STREAMS, alone, lambda: figures.streams)
        gauge(families.INFER_REQUESTS, alone, lambda: figures.nireq)
        gauge(families.MODEL_THREADS, alone, lambda: figures.threads)
        gauge(families.MODEL_LOAD_SECONDS, alone, lambda: figures.load_seconds)
        gauge(families.INFER_REQUESTS_ACTIVE, alone, lambda: running.active)
        gauge(families.CURRENT_REQUESTS, alone, lambda: running.in_flight)
        gauge(families.QUEUE_WAITING, alone, lambda: running.waiting)
        gauge(families.MODEL_AVAILABLE, alone, lambda: 1.0)

    def retires(self, labels: VersionLabels) -> None:
        """No new requests come; its end is still to come."""
        for family in _WHILE_SERVING:
            self._metrics.forget(family, labels.alone)
        self._metrics.gauge(families.MODEL_AVAILABLE, labels.alone, lambda: 0.0)

    def ended(self, labels: VersionLabels) -> None:
        """The version is gone; what was counted stays."""
        for family in (*_WHILE_SERVING, families.MODEL_AVAILABLE, families.MODEL_LOAD_SECONDS):
            self._metrics.forget(family, labels.alone)

    def renewed(self, labels: VersionLabels) -> None:
        """It is compiled again because it can no longer answer."""
        self._metrics.counter(families.MODEL_RECOMPILATIONS, labels.alone).add()

    def failed(self, labels: VersionLabels) -> None:
        """An attempt to load it failed."""
        self._metrics.counter(families.MODEL_LOAD_FAILURES, labels.alone).add()

    def _start_counting(self, labels: VersionLabels) -> None:
        """Series exist from load on, so that a scrape before the first request shows zeros."""
        for family in (families.INFERENCE_TIME, families.WAIT_TIME):
            self._metrics.histogram(family, labels.alone)
        for interface in Interface:
            self._metrics.histogram(families.REQUEST_TIME, labels.interface(interface))
            for one in OPERATIONS:
                counted = (
                    labels.operation(one.api, interface, one.method)
                    if one.has_version
                    else model_operation(one.api, interface, one.method, labels.name)
                )
                self._metrics.counter(families.REQUESTS_SUCCESS, counted)
                self._metrics.counter(families.REQUESTS_FAIL, counted)
