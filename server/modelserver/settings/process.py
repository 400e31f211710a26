"""What the command line and the environment settle for the life of the process.

And what they and config.json say together when the process starts.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from modelserver.errors import ConfigError
from modelserver.settings.config_file import Configuration, ModelSettings, read_configuration
from modelserver.settings.limits import Cors, Limits
from modelserver.settings.monitoring import Monitoring
from modelserver.tuning.plan import check


class ControlMode(StrEnum):
    """model_control_mode: whether the repository API may load and unload models."""

    EXPLICIT = "explicit"
    NONE = "none"


class OnLoadFailure(StrEnum):
    """on_load_failure: what becomes of the process when a model cannot be loaded at the start."""

    EXIT = "exit"
    WAIT = "wait"


@dataclass(frozen=True)
class ServerSettings:
    """What cannot change while the process runs."""

    port: int
    rest_port: int
    status_port: int
    grpc_hosts: tuple[str, ...]
    rest_hosts: tuple[str, ...]
    workers: int
    channel_arguments: tuple[tuple[str, int | str], ...]
    limits: Limits
    """As given; config.json may change some while the process runs."""
    cors: Cors
    model_control_mode: ControlMode
    poll_seconds: float
    drain_seconds: float
    on_load_failure: OnLoadFailure
    exclusive_cpus: int | None
    cache_dir: str | None
    cpu_extension: Path | None
    monitoring: Monitoring | None
    """None: the command line says nothing, config.json may."""
    log_level: str
    log_format: str
    log_path: str | None
    access_log: bool
    config_path: Path | None
    model: ModelSettings | None
    dry_run: bool
    warnings: tuple[str, ...]


def first_configuration(settings: ServerSettings) -> Configuration:
    """What to serve at first.

    Later, only the affected model ignores contradictory tuning and texts that cannot be read; at the start
    nothing is lost by ending.
    """
    if settings.config_path is None:
        if settings.model is None:
            raise ConfigError("Use config_path or model_path with model_name")
        return Configuration((settings.model,))
    configuration = read_configuration(settings.config_path)
    for model in configuration.models:
        try:
            check(model.wish)
            model.shaping.check()
        except ConfigError as error:
            raise ConfigError(f"Config file {settings.config_path}: model {model.name}: {error}") from error
    return configuration


def chosen_monitoring(settings: ServerSettings, configuration: Configuration) -> Monitoring:
    """From one of the two places, never from both."""
    if settings.monitoring is not None and configuration.monitoring is not None:
        raise ConfigError("Metrics configuration duplicated in configuration file and CLI parameters")
    wanted = settings.monitoring or configuration.monitoring or Monitoring()
    if wanted.enable and not settings.rest_port and not settings.status_port:
        raise ConfigError("rest_port setting is missing, metrics are enabled on rest port")
    return wanted


def workers_in_effect(settings: ServerSettings, threads: int) -> tuple[int, tuple[str, ...]]:
    """Front-end workers in effect, and every warning of the start."""
    warnings = settings.warnings
    if threads < settings.workers:
        warning = f"grpc_workers {settings.workers} is more than the CPUs of this process: {threads} are used"
        warnings = (*warnings, warning)
    return min(settings.workers, threads), warnings
