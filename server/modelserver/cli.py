"""The command line: OVMS's options, its messages and its exit codes."""

import argparse
import math
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from modelserver import __version__
from modelserver.config import ModelSettings, parse_model
from modelserver.errors import ConfigError, UsageError
from modelserver.monitoring import Monitoring, checked_names

LOG_LEVELS = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR")
_MODEL_OPTIONS = (
    "batch_size", "shape", "layout", "mean", "scale", "color_format", "precision", "model_version_policy",
    "nireq", "target_device", "plugin_config", "hint", "streams", "expected_clients",
)  # fmt: skip
_NOT_SUPPORTED = {
    "sequence_cleaner_poll_wait_minutes": "stateful models are gone from OVMS too; remove it",
    "stateful": "stateful models are gone from OVMS too; remove it",
    "idle_sequence_cleanup": "stateful models are gone from OVMS too; remove it",
    "max_sequence_number": "stateful models are gone from OVMS too; remove it",
    "low_latency_transformation": "stateful models are gone from OVMS too; remove it",
    "custom_node_resources_cleaner_interval_seconds": "there are no custom nodes here; remove it",
    "cpu_extension": "custom layer libraries cannot be loaded; convert the model without them",
    "task": "generative models are not served; use OpenVINO Model Server for them",
    "source_model": "models are not pulled from a hub; put the files where --model_path points",
    "pull": "models are not pulled from a hub; put the files where --model_path points",
    "api_key_file": "put an authenticating proxy in front",
    "allowed_origins": "let a proxy add the CORS headers",
    "allowed_methods": "let a proxy add the CORS headers",
    "allowed_headers": "let a proxy add the CORS headers",
    "allow_credentials": "let a proxy add the CORS headers",
    "verbose_response": "generative models are not served; remove it",
    "trace_path": "there is no tracing to a file; remove it",
    "list_models": "ask GET /v1/config instead",
    "add_to_config": "edit config.json instead; the server picks the change up by itself",
    "remove_from_config": "edit config.json instead; the server picks the change up by itself",
}
_HOST = re.compile(r"[A-Za-z0-9._\-]+|\[?[0-9A-Fa-f:.%]*:[0-9A-Fa-f:.%]*\]?")


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
    poll_seconds: float
    drain_seconds: float
    request_timeout_seconds: float | None
    queue_size: int | None
    exclusive_cpus: int | None
    cache_dir: str | None
    monitoring: Monitoring | None
    """None: the command line says nothing, config.json may."""
    log_level: str
    log_format: str
    log_path: str | None
    config_path: Path | None
    model: ModelSettings | None
    warnings: tuple[str, ...]


class _Parser(argparse.ArgumentParser):
    """argparse with OVMS's words."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"error parsing options - {message}")


def parse(argv: list[str], cores: int | None = None) -> ServerSettings:
    """Read the arguments; raises UsageError. `--help` and `--version` print and exit."""
    arguments, unknown = _parser().parse_known_args([_underscored(item) for item in argv])
    if unknown:
        _refuse_unknown(unknown)
    _check_addresses(arguments)
    _check_ports(arguments)
    _check_workers(arguments, cores or os.cpu_count() or 1)
    _check_models(arguments)
    return _settings(arguments)


def _underscored(item: str) -> str:
    """`--rest-port` is `--rest_port`; values stay as they are."""
    if not item.startswith("--"):
        return item
    name, equals, value = item.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def _refuse_unknown(unknown: list[str]) -> NoReturn:
    for item in unknown:
        name = item.lstrip("-").partition("=")[0]
        if name in _NOT_SUPPORTED:
            raise UsageError(f"error parsing options - --{name} is not supported: {_NOT_SUPPORTED[name]}")
    raise UsageError(f"error parsing options - unmatched arguments: {', '.join(unknown)}")


def _flag(text: str) -> bool:
    if text.lower() in ("true", "1"):
        return True
    if text.lower() in ("false", "0"):
        return False
    raise argparse.ArgumentTypeError(f"true or false is expected, not {text}")


def _at_least(minimum: float, kind: type[float]) -> Any:
    def convert(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"a number is expected, not {text}") from None
        if not minimum <= value < math.inf:
            raise argparse.ArgumentTypeError(f"at least {minimum} is expected, not {text}")
        return value

    return convert


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="modelserver", allow_abbrev=False, description="Serve OpenVINO models.")
    parser.add_argument("--version", action="version", version=f"OpenVINO ModelServer {__version__}")
    _add_network(parser.add_argument_group("network"))
    _add_life_cycle(parser.add_argument_group("life cycle"))
    _add_models(parser.add_argument_group("models"))
    _add_logging(parser.add_argument_group("logs and metrics"))
    return parser


def _add_network(group: Any) -> None:
    count = _at_least(0, int)
    group.add_argument("--port", type=count, default=0, help="gRPC port; 0 = no gRPC")
    group.add_argument("--rest_port", type=count, default=0, help="REST port; 0 = no REST")
    group.add_argument(
        "--status_port", type=count, help="probes, /metrics and /status; default: the REST port"
    )
    group.add_argument("--grpc_bind_address", default="0.0.0.0", help="addresses, separated by commas")
    group.add_argument("--rest_bind_address", default="0.0.0.0", help="addresses, separated by commas")
    group.add_argument(
        "--grpc_workers", type=int, default=1, help="front-end workers (threads that decode images)"
    )
    group.add_argument("--rest_workers", type=int, help="accepted for compatibility; has no effect")
    group.add_argument(
        "--grpc_channel_arguments", default="", help="gRPC channel arguments, key=value,key=value"
    )
    group.add_argument("--grpc_max_threads", type=count, help="accepted for compatibility; has no effect")
    group.add_argument("--grpc_memory_quota", type=count, help="accepted for compatibility; has no effect")


def _add_life_cycle(group: Any) -> None:
    seconds = _at_least(0, float)
    group.add_argument(
        "--drain_seconds", type=seconds, default=0.0, help="keep listening so long after SIGTERM"
    )
    group.add_argument(
        "--request_timeout_seconds", type=seconds, help="how long a request may wait for its turn"
    )
    group.add_argument(
        "--queue_size", type=_at_least(0, int), help="waiting requests per model; default 16 x nireq"
    )
    group.add_argument(
        "--exclusive_cpus", type=_at_least(1, int), help="this process owns so many CPUs alone"
    )
    group.add_argument("--cache_dir", help="keep compiled models here")


def _add_models(group: Any) -> None:
    group.add_argument("--model_name", help="name of the one model served")
    group.add_argument("--model_path", help="its directory with version directories, or one model file")
    group.add_argument("--config_path", help="config.json with any number of models, watched for changes")
    group.add_argument("--file_system_poll_wait_seconds", type=_at_least(0, float), default=1.0,
                       help="how often model directories are looked at; 0 = never")  # fmt: skip
    helps = {"target_device": "CPU (default), GPU, NPU, AUTO:..., HETERO:..., MULTI:...",
             "hint": "LATENCY, THROUGHPUT or CUMULATIVE_THROUGHPUT", "streams": "a number, AUTO or NUMA",
             "expected_clients": "parallel clients", "nireq": "infer requests in the pool",
             "plugin_config": "OpenVINO properties as a JSON object"}  # fmt: skip
    for name in _MODEL_OPTIONS:
        group.add_argument(f"--{name}", help=helps.get(name, "as in OpenVINO Model Server"))


def _add_logging(group: Any) -> None:
    group.add_argument("--log_level", default="INFO", help=", ".join(LOG_LEVELS))
    group.add_argument("--log_format", default="text", choices=("text", "json"))
    group.add_argument("--log_path", help="write the log to this file as well")
    group.add_argument("--metrics_enable", type=_flag, nargs="?", const=True, default=False,
                       help="/metrics on the REST port (a separate status port always has it)")  # fmt: skip
    group.add_argument("--metrics_list", help="show only these of OVMS's metrics, separated by commas")


def _check_addresses(given: argparse.Namespace) -> None:
    for name in ("port", "rest_port", "status_port"):
        value = getattr(given, name)
        if value is not None and value > 65535:
            raise UsageError(f"{name} number out of range from 0 to 65535")
    for name in ("grpc_bind_address", "rest_bind_address"):
        if not all(_HOST.fullmatch(host) for host in getattr(given, name).split(",")):
            raise UsageError(f"{name} has invalid format: proper hostname or IP address expected.")


def _check_ports(given: argparse.Namespace) -> None:
    if not given.port and not given.rest_port:
        raise UsageError("port and rest_port cannot both be unset")
    if given.port == given.rest_port:
        raise UsageError("port and rest_port cannot have the same values")
    if given.status_port and given.status_port == given.port:
        raise UsageError("port and status_port cannot have the same values")
    if given.metrics_enable and not given.rest_port and not given.status_port:
        raise UsageError("rest_port setting is missing, metrics are enabled on rest port")


def _check_workers(given: argparse.Namespace, cores: int) -> None:
    if not 1 <= given.grpc_workers <= cores:
        raise UsageError(f"grpc_workers count should be from 1 to CPU core count : {cores}")
    if given.rest_workers is not None:
        if not 2 <= given.rest_workers <= 10000:
            raise UsageError("rest_workers count should be from 2 to 10000")
        if not given.rest_port:
            raise UsageError("rest_port setting is missing, rest_workers has no effect without it")
    if given.log_level.upper() not in LOG_LEVELS:
        raise UsageError(f"log_level should be one of: {', '.join(LOG_LEVELS)}")


def _check_models(given: argparse.Namespace) -> None:
    if given.config_path:
        if given.model_name or given.model_path:
            raise UsageError("Use either config_path or model_path with model_name")
        if any(getattr(given, name) is not None for name in _MODEL_OPTIONS):
            raise UsageError("Model parameters in CLI are exclusive with the config file")
    elif not given.model_name or not given.model_path:
        raise UsageError("Use config_path or model_path with model_name")


def _settings(given: argparse.Namespace) -> ServerSettings:
    return ServerSettings(
        port=given.port,
        rest_port=given.rest_port,
        status_port=given.rest_port if given.status_port is None else given.status_port,
        grpc_hosts=tuple(given.grpc_bind_address.split(",")),
        rest_hosts=tuple(given.rest_bind_address.split(",")),
        workers=given.grpc_workers,
        channel_arguments=_channel_arguments(given.grpc_channel_arguments),
        poll_seconds=given.file_system_poll_wait_seconds,
        drain_seconds=given.drain_seconds,
        request_timeout_seconds=given.request_timeout_seconds or None,
        queue_size=given.queue_size,
        exclusive_cpus=given.exclusive_cpus,
        cache_dir=given.cache_dir or _default_cache(),
        monitoring=_monitoring(given),
        log_level=given.log_level.upper(),
        log_format=given.log_format,
        log_path=given.log_path,
        config_path=Path(given.config_path) if given.config_path else None,
        model=None if given.config_path else _model(given),
        warnings=_ineffective(given),
    )


def _channel_arguments(text: str) -> tuple[tuple[str, int | str], ...]:
    pairs = []
    for item in filter(None, text.split(",")):
        key, equals, value = item.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"grpc_channel_arguments: key=value is expected, not {item}")
        number = re.fullmatch(r"-?[0-9]+", value.strip())
        if number and (len(number[0]) > 11 or not -(1 << 31) <= int(number[0]) < 1 << 31):
            raise UsageError(f"grpc_channel_arguments: {item} is out of the range of 32-bit numbers")
        pairs.append((key.strip(), int(value) if number else value.strip()))
    return tuple(pairs)


def _default_cache() -> str | None:
    """OVMS's rule: an existing /opt/cache is used."""
    return "/opt/cache" if os.access("/opt/cache", os.W_OK) else None


def _monitoring(given: argparse.Namespace) -> Monitoring | None:
    if not given.metrics_enable:
        if given.metrics_list:
            raise UsageError("metrics_enable setting is missing, required when metrics_list is provided")
        return None
    names = [name.strip() for name in (given.metrics_list or "").split(",") if name.strip()]
    try:
        return Monitoring(enable=True, only=checked_names(names))
    except ConfigError as error:
        raise UsageError(str(error)) from error


def _model(given: argparse.Namespace) -> ModelSettings:
    raw: dict[str, Any] = {name: getattr(given, name) for name in _MODEL_OPTIONS}
    raw |= {"name": given.model_name, "base_path": given.model_path}
    try:
        return parse_model(raw, Path.cwd())
    except ConfigError as error:
        raise UsageError(str(error)) from error


def _ineffective(given: argparse.Namespace) -> tuple[str, ...]:
    names = ("rest_workers", "grpc_max_threads", "grpc_memory_quota")
    return tuple(
        f"--{name} has no effect in this server" for name in names if getattr(given, name) is not None
    )


def usage_failed(error: UsageError) -> int:
    """Tell it as OVMS does; the exit code is EX_USAGE."""
    sys.stderr.write(f"{error}\n")
    return 64
