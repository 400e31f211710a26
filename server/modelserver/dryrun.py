"""`--dry_run`: what a start with these settings would do, as one JSON document; nothing is loaded or opened.

Server settings bear the names of their options, the rest the names that the documentation uses. What
only loading can find out is reported per model under `error` as far as it can be seen from outside.
"""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from modelserver.admission import LiveLimits
from modelserver.engine import Devices
from modelserver.errors import LoadFailed, ServerError
from modelserver.models.repository import LocalStorage
from modelserver.settings.config_file import Configuration, ModelSettings
from modelserver.settings.policy import Policy
from modelserver.settings.process import (
    ServerSettings,
    chosen_monitoring,
    first_configuration,
    workers_in_effect,
)
from modelserver.telemetry.as_json import as_json
from modelserver.tuning import machine
from modelserver.tuning.machine import Machine
from modelserver.tuning.plan import Plan, count_neighbours, plan


def run(settings: ServerSettings) -> int:
    """Print the document; the exit code is the process's."""
    try:
        document = describe(settings, machine.read_machine(), Devices(None))
    except ServerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.buffer.write(as_json(document, indent=True) + b"\n")
    return 0


def describe(settings: ServerSettings, machine: Machine, devices: Devices) -> dict[str, Any]:
    """The document; raises ConfigError where the start would end."""
    configuration = first_configuration(settings)
    workers, warnings = workers_in_effect(settings, machine.threads)
    return {
        "server": _server(settings, configuration) | {"grpc_workers": workers},
        "machine": asdict(machine) | {"threads": machine.threads, "devices": devices.names},
        "revision": configuration.revision,
        "warnings": warnings,
        "ignored": configuration.ignored,
        "models": _models(configuration, machine, devices, settings.exclusive_cpus),
    }


def _server(settings: ServerSettings, configuration: Configuration) -> dict[str, Any]:
    limits = LiveLimits(settings.limits)
    limits.follow(configuration.limits)
    shown, poll = asdict(limits.now), configuration.poll_seconds
    monitoring = chosen_monitoring(settings, configuration)
    return {
        "port": settings.port,
        "rest_port": settings.rest_port,
        "status_port": settings.status_port,
        "grpc_bind_address": settings.grpc_hosts,
        "rest_bind_address": settings.rest_hosts,
        "grpc_channel_arguments": dict(settings.channel_arguments),
        "grpc_memory_quota": shown.pop("memory_quota"),
        **shown,
        **asdict(settings.cors),
        "model_control_mode": settings.model_control_mode,
        "file_system_poll_wait_seconds": settings.poll_seconds if poll is None else poll,
        "drain_seconds": settings.drain_seconds,
        "on_load_failure": settings.on_load_failure,
        "exclusive_cpus": settings.exclusive_cpus,
        "cache_dir": settings.cache_dir,
        "cpu_extension": settings.cpu_extension,
        "metrics_enable": monitoring.enable,
        "metrics_list": monitoring.only,
        "log_level": settings.log_level,
        "log_format": settings.log_format,
        "log_path": settings.log_path,
        "access_log": settings.access_log,
        "config_path": settings.config_path,
    }


def _models(
    configuration: Configuration, machine: Machine, devices: Devices, exclusive_cpus: int | None
) -> list[dict[str, Any]]:
    found = [_versions(model) for model in configuration.models]
    # What cannot be read now is planned for as if it had the one version that is usual.
    loads = [
        (model.wish, len(versions) if error is None else 1)
        for model, (versions, error) in zip(configuration.models, found, strict=True)
    ]
    neighbours = count_neighbours(loads, exclusive_cpus)
    return [
        _model(
            model, versions, error or _missing_device(model, devices), plan(model.wish, machine, neighbours)
        )
        for model, (versions, error) in zip(configuration.models, found, strict=True)
    ]


def _versions(model: ModelSettings) -> tuple[list[int], str | None]:
    """The versions that would be loaded, or why there is none."""
    try:
        found = LocalStorage().scan(model.base_path)
    except LoadFailed as error:
        return [], str(error)
    if not found:
        return [], f"No version found for model in path: {model.base_path}"
    return sorted(model.policy.select(found)), None


def _missing_device(model: ModelSettings, devices: Devices) -> str | None:
    try:
        devices.require(model.wish.device)
    except LoadFailed as error:
        return str(error)
    return None


def _model(model: ModelSettings, versions: list[int], error: str | None, chosen: Plan) -> dict[str, Any]:
    return {
        "name": model.name,
        "base_path": model.base_path,
        "model_version_policy": _policy(model.policy),
        "versions": versions,
        "error": error,
        "shaping": {name: value for name, value in asdict(model.shaping).items() if value is not None},
        "wish": asdict(model.wish),
        "plan": {
            "device": chosen.device,
            "properties": chosen.properties,
            "hint": chosen.hint,
            "streams": _property(chosen.properties, "NUM_STREAMS"),
            "nireq": chosen.nireq,
            "threads": _property(chosen.properties, "INFERENCE_NUM_THREADS"),
            "pinning": chosen.pinning,
            "pinning_reason": chosen.pinning_reason,
            "warnings": chosen.warnings,
        },
    }


def _policy(policy: Policy) -> dict[str, Any]:
    if policy.everything:
        return {"all": {}}
    if policy.versions:
        return {"specific": {"versions": sorted(policy.versions)}}
    return {"latest": {"num_versions": policy.latest}}


def _property(properties: Mapping[str, Any], name: str) -> Any:
    """A property of the device, or of the first that a virtual device hands it to."""
    places = (properties, *properties.get("DEVICE_PROPERTIES", {}).values())
    return next((place[name] for place in places if name in place), None)
