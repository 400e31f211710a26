"""What the server says about itself: readiness, the status document, the gauges of the process.

The main loop makes a snapshot whenever something changes, and at every beat; every thread reads the last
one. It is frozen, so nothing needs to be copied or locked.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from modelserver import __version__
from modelserver.dataplane.load import LoadMeter
from modelserver.engine import Effect
from modelserver.engine.device_files import DeviceFile
from modelserver.models.catalogue import Catalogue
from modelserver.models.model import Model, State, Version
from modelserver.models.watcher import Watcher
from modelserver.telemetry import families
from modelserver.telemetry.age import process_age
from modelserver.telemetry.labels import of_server
from modelserver.telemetry.metrics import Metrics
from modelserver.tuning.device import is_virtual
from modelserver.tuning.machine import Machine

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class VersionStatus:
    """One version of a model."""

    number: int
    state: State
    is_wanted: bool
    error: str | None

    def document(self) -> Mapping[str, Any]:
        """Its part of GET /status."""
        return {"version": self.number, "state": self.state, "wanted": self.is_wanted, "error": self.error}


@dataclass(frozen=True)
class ModelStatus:
    """One model."""

    name: str
    device: str
    effect: Effect | None
    """Of the version that answers by default."""
    inline: bool | None
    revision: str | None
    error: str | None
    versions: tuple[VersionStatus, ...]

    def document(self) -> Mapping[str, Any]:
        """Its part of GET /status."""
        effect = self.effect
        # Devices that hand work to others have no property for streams.
        source = "OPTIMAL_NUMBER_OF_INFER_REQUESTS" if is_virtual(self.device) else "NUM_STREAMS"
        return {
            "name": self.name,
            "device": self.device,
            "executionDevices": list(effect.execution_devices) if effect else [],
            "streams": effect.streams if effect else None,
            "inline": self.inline,
            "streamsSource": source if effect else None,
            "nireq": effect.nireq if effect else None,
            "hint": effect.hint if effect else None,
            "threads": effect.threads if effect else None,
            "revision": self.revision,
            "error": self.error,
            "versions": [version.document() for version in self.versions],
        }


@dataclass(frozen=True)
class FirstReady:
    """How it became ready for the first time."""

    loaded_seconds: float
    """Since the start of the process."""
    first_inference_seconds: float | None
    """Of the model for which it took longest; None without one that answered."""

    def document(self) -> Mapping[str, Any]:
        """Its part of GET /status."""
        first = self.first_inference_seconds
        return {
            "loadedSeconds": round(self.loaded_seconds, 3),
            "firstInferenceSeconds": None if first is None else round(first, 6),
        }


@dataclass(frozen=True)
class DevicesStatus:
    """What models could run on."""

    available: tuple[str, ...] = ()
    """As OpenVINO names them."""
    files: tuple[DeviceFile, ...] = ()
    """The device files in the container, whether they are of use or not."""

    def document(self) -> dict[str, Any]:
        """Its part of GET /status."""
        return {"available": list(self.available), "files": [file.document() for file in self.files]}


@dataclass(frozen=True)
class ServerStatus:
    """The whole server at one moment."""

    revision: str | None
    is_ready: bool
    is_draining: bool
    machine: Machine
    pinning: bool
    pinning_reason: str
    workers: int
    warnings: tuple[str, ...]
    ignored: tuple[str, ...]
    startup: FirstReady | None
    devices: DevicesStatus
    models: tuple[ModelStatus, ...]

    def document(self) -> dict[str, Any]:
        """GET /status, as tests/contract/status.schema.json describes it."""
        machine = self.machine
        return {
            "schemaVersion": SCHEMA_VERSION,
            "serverVersion": __version__,
            "revision": self.revision,
            "ready": self.is_ready,
            "draining": self.is_draining,
            "affinity": list(machine.affinity),
            "cpusOnline": machine.online,
            "quota": machine.quota,
            "threads": machine.threads,
            "cpus": {**machine.cpuset.document(), **machine.topology.document()},
            "devices": self.devices.document(),
            "pinning": self.pinning,
            "pinningReason": self.pinning_reason,
            "workers": self.workers,
            "warnings": list(self.warnings),
            "ignored": list(self.ignored),
            "startup": None if self.startup is None else self.startup.document(),
            "models": [model.document() for model in self.models],
        }


@dataclass(frozen=True)
class Startup:
    """What the start settled, for the status document."""

    workers: int
    warnings: tuple[str, ...] = ()
    devices: DevicesStatus = DevicesStatus()


class Health:
    """Keeps the snapshot up to date, on the main loop; owns draining, and having been ready once."""

    def __init__(
        self,
        catalogue: Catalogue,
        watcher: Watcher,
        metrics: Metrics,
        machine: Callable[[], Machine],
        startup: Startup,
    ) -> None:
        self._catalogue = catalogue
        self._watcher = watcher
        self._metrics = metrics
        self._read_machine = machine
        self._machine = machine()
        self._startup = startup
        self._first_ready: FirstReady | None = None
        self._is_draining = False
        self.now = self._snapshot()
        self.load = LoadMeter(catalogue, metrics)
        catalogue.listen(self.refresh)
        self._register_gauges()

    @property
    def draining(self) -> bool:
        """Whether the server is about to stop."""
        return self.now.is_draining

    def is_ready(self) -> bool:
        """Before the first time: every wanted version of every model answers. Afterwards: any does.

        Never while draining. Without models there is nothing to wait for.
        """
        return self.now.is_ready

    def metrics(self) -> bytes:
        """The page of GET /metrics."""
        return self._metrics.render()

    def status(self) -> dict[str, Any]:
        """The document of GET /status."""
        load = [model.document() for model in self.load.now]
        return {**self.now.document(), "load": load}

    def refresh(self) -> None:
        """Something has changed."""
        if self._first_ready is None and self._catalogue.has_converged and self._is_complete():
            self._first_ready = FirstReady(process_age(), _slowest_first(self._serving()))
        self.now = self._snapshot()

    def begin_draining(self) -> None:
        """Not ready from now on."""
        self._is_draining = True
        self.refresh()

    def look_at_machine(self) -> None:
        """To be called now and then on the main loop, between inferences.

        For an inference OpenVINO may bind its thread to one CPU, which another thread would take for the
        machine; and the status port's would have to wait its turn after each of a dozen files.
        """
        self._machine = self._read_machine()
        for version in self._serving():
            version.serving.look_again()
        self.refresh()

    def _is_complete(self) -> bool:
        """Models that were unloaded by request are not waited for, even if all of them were."""
        models = self._catalogue.models.values()
        return all(model.is_complete for model in models if not model.is_unloaded)

    def _is_ready(self) -> bool:
        if self._is_draining or self._first_ready is None:
            return False
        wanted = [model for model in self._catalogue.models.values() if not model.is_unloaded]
        return not wanted or any(model.available for model in wanted)

    def _snapshot(self) -> ServerStatus:
        models, serving = self._catalogue.models, self._serving()
        pinning, reason = _pinning(serving)
        return ServerStatus(
            revision=self._catalogue.revision,
            is_ready=self._is_ready(),
            is_draining=self._is_draining,
            machine=self._machine,
            pinning=pinning,
            pinning_reason=reason,
            workers=self._startup.workers,
            warnings=self._warnings(serving),
            ignored=self._watcher.ignored,
            startup=self._first_ready,
            devices=self._startup.devices,
            models=tuple(_model_status(name, model) for name, model in models.items()),
        )

    def _serving(self) -> list[Version]:
        models = self._catalogue.models
        return [model.versions[number] for model in models.values() for number in model.available]

    def _warnings(self, serving: list[Version]) -> tuple[str, ...]:
        found = list(self._startup.warnings)
        if (error := self._watcher.config_error) is not None:
            found.append(
                f"the last configuration change was rejected; the previous one is still in effect: {error}"
            )
        if (error := self._watcher.watch_error) is not None:
            found.append(f"cannot check for changes (loaded models keep serving): {error}")
        for version in serving:
            found += [
                f"model {version.model}: {text}" for text in (version.plan.warnings if version.plan else ())
            ]
        threads, cpus = sum(version.serving.effect.threads or 0 for version in serving), self._machine.threads
        if len(serving) > 1 and threads > cpus:
            found.append(f"the models' inference threads sum up to {threads} on {cpus} CPUs")
        return tuple(dict.fromkeys(found))

    def _register_gauges(self) -> None:
        gauge = self._metrics.gauge
        gauge(families.INFO, of_server(__version__), lambda: 1)
        gauge(families.READY, (), lambda: float(self.now.is_ready))
        gauge(families.AFFINITY_CPUS, (), lambda: len(self.now.machine.affinity))
        gauge(families.CPU_QUOTA, (), lambda: self.now.machine.quota)
        gauge(families.THREADS, (), lambda: self.now.machine.threads)


def _slowest_first(serving: list[Version]) -> float | None:
    first = (version.serving.first_seconds for version in serving)
    return max((seconds for seconds in first if seconds is not None), default=None)


def _pinning(serving: list[Version]) -> tuple[bool, str]:
    """Of the first model that is loaded; they agree unless a plugin_config forces one."""
    for version in serving:
        if version.plan is not None:
            return version.serving.effect.pinning, version.plan.pinning_reason
    return False, "no model is loaded"


def _model_status(name: str, model: Model) -> ModelStatus:
    loaded = None if (newest := model.newest) is None else newest.loaded
    return ModelStatus(
        name=name,
        device=model.settings.wish.device,
        effect=None if loaded is None else loaded.effect,
        inline=None if loaded is None else loaded.inline,
        revision=model.revision,
        error=model.error,
        versions=tuple(
            VersionStatus(number, version.state, version.is_wanted, version.trouble)
            for number, version in sorted(model.versions.items())
        ),
    )
