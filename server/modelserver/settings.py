"""What the command line and the environment settle for the life of the process."""

from dataclasses import dataclass
from pathlib import Path

from modelserver.config import ModelSettings
from modelserver.limits import Cors, Limits
from modelserver.monitoring import Monitoring


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
    model_control_mode: str
    """explicit, or none: the repository API changes nothing."""
    poll_seconds: float
    drain_seconds: float
    on_load_failure: str
    """exit or wait."""
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
