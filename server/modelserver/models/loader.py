"""Loads one version: room first, then the engine; and tells log and metrics about it."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from modelserver.admission import LiveLimits
from modelserver.engine import Devices, LoadedModel, load
from modelserver.engine.names import read_names
from modelserver.errors import NoMemoryForSwap
from modelserver.models.model import Version
from modelserver.models.repository import VersionFiles
from modelserver.settings.config_file import ModelSettings
from modelserver.telemetry.metrics import Metrics
from modelserver.tuning.plan import Plan

LOG = logging.getLogger(__name__)
GROWTH = 2.4
"""Peak of loading over the files' size: OpenVINO holds the weights as read and as it packs them.
Measured 2.2 for FP32 and 2.4 for FP16 weights, memory-mapped or not."""
FIXED_BYTES = 48 << 20


class Loader:
    """What the registry needs to turn files into a served model."""

    def __init__(
        self, devices: Devices, metrics: Metrics, limits: LiveLimits, free: Callable[[], int | None]
    ) -> None:
        self._devices = devices
        self._metrics = metrics
        self._limits = limits
        self._free = free
        self._seconds: dict[tuple[str, int], float] = {}

    def load(
        self, files: VersionFiles, settings: ModelSettings, plan: Plan, *, beside_others: bool
    ) -> LoadedModel:
        """Runs in the loading thread."""
        if beside_others:
            self._require_room(files)
        started = time.perf_counter()
        names = read_names(files.mapping)
        loaded = load(self._devices, files.model, settings.shaping, plan, names)
        loaded.limit_queue(self._limits.now.queue_size)
        self._seconds[settings.name, files.number] = time.perf_counter() - started
        return loaded

    def follow(self, changes: Mapping[str, Any], served: Iterable[LoadedModel]) -> None:
        """Limits as config.json has them from now on, for what is served already too."""
        self._limits.follow(changes)
        for loaded in served:
            loaded.limit_queue(self._limits.now.queue_size)

    def _require_room(self, files: VersionFiles) -> None:
        """Rather keep what is served than be killed half-way to the new."""
        free, need = self._free(), int(files.size * GROWTH) + FIXED_BYTES
        if free is not None and free < need:
            raise NoMemoryForSwap(
                f"NoMemoryForSwap: loading needs about {need >> 20} MiB next to what is served"
                f" and the memory limit leaves {free >> 20} MiB; raise the limit or replace the process"
            )

    def announce(self, version: Version) -> None:
        """The version serves from now on."""
        effect, told = version.serving.effect, version.labels
        LOG.info(
            "model %s version %d serves: devices %s, streams %s, nireq %d, threads %s, hint %s, pinned %s %s",
            version.model, version.number, ",".join(effect.execution_devices), effect.streams, effect.nireq,
            effect.threads, effect.hint, effect.pinning, "inline" if version.serving.inline else "",
        )  # fmt: skip
        for warning in version.plan.warnings if version.plan else ():
            LOG.warning("model %s: %s", version.model, warning)
        self._start_counting(version)
        gauge = self._metrics.gauge
        gauge("ovms_streams", told, lambda: _now(version, lambda one: one.effect.streams))
        gauge("ovms_infer_req_queue_size", told, lambda: _now(version, lambda one: one.effect.nireq))
        gauge("ovms_infer_req_active", told, lambda: _now(version, lambda one: one.active))
        gauge("ovms_current_requests", told, lambda: _now(version, lambda one: one.in_flight))
        gauge("modelserver_queue_waiting", told, lambda: _now(version, lambda one: one.waiting))
        gauge("modelserver_model_threads", told, lambda: _now(version, lambda one: one.effect.threads))
        gauge("modelserver_model_available", told, lambda: float(version.loaded is not None))
        seconds = self._seconds.get((version.model, version.number))
        gauge("modelserver_model_load_seconds", told, lambda: seconds)

    def _start_counting(self, version: Version) -> None:
        """Series exist from load on, so that a scrape before the first request shows zeros."""
        told = version.labels
        for name in ("ovms_inference_time_us", "ovms_wait_for_infer_req_time_us"):
            self._metrics.histogram(name, told)
        for interface in ("REST", "gRPC"):
            self._metrics.histogram("ovms_request_time_us", (("interface", interface), *told))
            for api, method, of in (
                ("KServe", "ModelInfer", told),
                ("KServe", "ModelMetadata", told),
                ("KServe", "ModelReady", told[:1]),  # these two have no version
                ("TensorFlowServing", "Predict", told),
                ("TensorFlowServing", "GetModelMetadata", told),
                ("TensorFlowServing", "GetModelStatus", told[:1]),
            ):
                labels = (("api", api), ("interface", interface), ("method", method), *of)
                self._metrics.counter("ovms_requests_success", labels)
                self._metrics.counter("ovms_requests_fail", labels)

    def count_failure(self, version: Version) -> None:
        """An attempt that failed."""
        self._metrics.counter("modelserver_model_load_failures", version.labels).add()

    def forget(self, version: Version) -> None:
        """The version is gone."""
        self._metrics.forget_gauges(name=version.model, version=str(version.number))


def _now(version: Version, read: Callable[[LoadedModel], float | None]) -> float | None:
    loaded = version.loaded  # once: the status port's thread asks while the main loop may retire it
    return None if loaded is None else read(loaded)
