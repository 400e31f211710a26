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
from modelserver.telemetry.series import Figures, VersionSeries
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
        self._series = VersionSeries(metrics)
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
        effect = version.serving.effect
        LOG.info(
            "model %s version %d serves: devices %s, streams %s, nireq %d, threads %s, hint %s, pinned %s %s",
            version.model, version.number, ",".join(effect.execution_devices), effect.streams, effect.nireq,
            effect.threads, effect.hint, effect.pinning, "inline" if version.serving.inline else "",
        )  # fmt: skip
        for warning in version.plan.warnings if version.plan else ():
            LOG.warning("model %s: %s", version.model, warning)
        seconds = self._seconds[version.model, version.number]
        figures = Figures(effect.streams, effect.nireq, effect.threads, seconds)
        self._series.serves(version.labels, figures, version.serving)

    def retire(self, version: Version) -> None:
        """The version takes no new requests."""
        self._series.retires(version.labels)

    def count_failure(self, version: Version) -> None:
        """An attempt that failed."""
        self._series.failed(version.labels)

    def forget(self, version: Version) -> None:
        """The version is gone."""
        self._series.ended(version.labels)
