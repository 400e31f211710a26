"""What the server says about itself: readiness, the status document, the gauges of the process."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from modelserver import __version__
from modelserver.engine import LoadedModel
from modelserver.models.model import Model, Version
from modelserver.models.watcher import Watcher
from modelserver.telemetry import families
from modelserver.telemetry.labels import of_server
from modelserver.telemetry.metrics import Metrics
from modelserver.tuning.machine import Machine
from modelserver.tuning.wish import is_virtual

SCHEMA_VERSION = 1


class Health:
    """Reads the registry; owns only what nobody else knows: draining, and having been ready once.

    Asked by the main loop and by the status port's thread.
    """

    def __init__(
        self, watcher: Watcher, metrics: Metrics, machine: Callable[[], Machine], workers: int
    ) -> None:
        self.draining = False
        self.warnings: list[str] = []
        self._watcher = watcher
        self._registry = watcher.registry
        self._metrics = metrics
        self._read_machine = machine
        self._machine = machine()
        self._workers = workers
        self._was_ready = False
        self._register_gauges()

    def is_ready(self) -> bool:
        """Before the first time: every model answers. Afterwards: any does. Never while draining.

        Models that were unloaded by request are not waited for, be it all of them.
        """
        if self.draining:
            return False
        models = list(self._registry.models.values())
        answering = [bool(model.available) for model in models if not model.is_unloaded]
        if answering and all(answering):
            self._was_ready = True  # and never False again, so two threads may come here
        return self._was_ready and (any(answering) or (bool(models) and not answering))

    def metrics(self) -> bytes:
        """The page of GET /metrics."""
        return self._metrics.render()

    def status(self) -> dict[str, Any]:
        """The document of GET /status, as tests/contract/status.schema.json describes it."""
        machine, models = self._machine, self._models()
        serving = [one.versions[number] for one in models.values() for number in one.available]
        pinning, reason = _pinning(serving)
        return {
            "schemaVersion": SCHEMA_VERSION,
            "serverVersion": __version__,
            "revision": self._registry.revision,
            "ready": self.is_ready(),
            "draining": self.draining,
            "affinity": list(machine.affinity),
            "cpusOnline": machine.online,
            "quota": machine.quota,
            "threads": machine.threads,
            "pinning": pinning,
            "pinningReason": reason,
            "workers": self._workers,
            "warnings": self._all_warnings(serving, machine),
            "models": [_model_status(name, model) for name, model in models.items()],
        }

    def look_at_machine(self) -> None:
        """To be called now and then on the main loop, between inferences.

        For an inference OpenVINO may bind its thread to one CPU, which another thread would take for the
        machine; and the status port's would have to wait its turn after each of a dozen files.
        """
        self._machine = self._read_machine()

    def _models(self) -> dict[str, Model]:
        """Copies, versions included: the main loop may change the originals while they are read."""
        return {
            name: replace(
                model,
                versions={number: replace(version) for number, version in dict(model.versions).items()},
            )
            for name, model in dict(self._registry.models).items()
        }

    def _all_warnings(self, serving: list[Version], machine: Machine) -> list[str]:
        found = list(self.warnings)
        if (error := self._watcher.config_error) is not None:
            found.append(
                f"the last change of the configuration was refused, the one before is in effect: {error}"
            )
        if (error := self._watcher.watch_error) is not None:
            found.append(f"looking for changes fails, what is served is served on: {error}")
        for version in serving:
            found += [
                f"model {version.model}: {text}" for text in (version.plan.warnings if version.plan else ())
            ]
        threads = sum(version.serving.effect.threads or 0 for version in serving)
        if len(serving) > 1 and threads > machine.threads:
            found.append(f"the models' inference threads sum up to {threads} on {machine.threads} CPUs")
        return list(dict.fromkeys(found))

    def _register_gauges(self) -> None:
        gauge = self._metrics.gauge
        gauge(families.INFO, of_server(__version__), lambda: 1)
        gauge(families.READY, (), lambda: float(self.is_ready()))
        gauge(families.AFFINITY_CPUS, (), lambda: len(self._machine.affinity))
        gauge(families.CPU_QUOTA, (), lambda: self._machine.quota)
        gauge(families.THREADS, (), lambda: self._machine.threads)


def _pinning(serving: list[Version]) -> tuple[bool, str]:
    """Of the first model that is loaded; they agree unless a plugin_config forces one."""
    for version in serving:
        if version.plan is not None:
            return version.serving.effect.pinning, version.plan.pinning_reason
    return False, "no model is loaded"


def _model_status(name: str, model: Model) -> dict[str, Any]:
    loaded = _newest(model)
    effect = loaded.effect if loaded is not None else None
    return {
        "name": name,
        "device": model.settings.wish.device,
        "executionDevices": list(effect.execution_devices) if effect else [],
        "streams": effect.streams if effect else None,
        "inline": loaded.inline if loaded is not None else None,
        "streamsSource": _streams_source(model) if effect else None,
        "nireq": effect.nireq if effect else None,
        "hint": effect.hint if effect else None,
        "threads": effect.threads if effect else None,
        "revision": model.revision,
        "error": model.error,
        "versions": [
            {"version": number, "state": version.state, "wanted": version.is_wanted, "error": version.error}
            for number, version in sorted(model.versions.items())
        ],
    }


def _streams_source(model: Model) -> str:
    """Devices that hand work to others have no property for streams."""
    is_counted = is_virtual(model.settings.wish.device)
    return "OPTIMAL_NUMBER_OF_INFER_REQUESTS" if is_counted else "NUM_STREAMS"


def _newest(model: Model) -> LoadedModel | None:
    return None if (newest := model.newest) is None else newest.loaded
