"""The command line: OVMS's options, its messages and its exit codes."""

import argparse
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from modelserver.errors import ConfigError, UsageError
from modelserver.settings import environment, unsupported
from modelserver.settings.config_file import ModelSettings, parse_model
from modelserver.settings.limits import Cors, Limits
from modelserver.settings.monitoring import Monitoring, checked_names
from modelserver.settings.options import LOG_LEVELS, MODEL_OPTIONS, build_parser, option_names
from modelserver.settings.process import ControlMode, OnLoadFailure, ServerSettings
from modelserver.settings.texts import require_visible, trimmed
from modelserver.tuning.plan import check

_HOST = re.compile(r"[A-Za-z0-9._\-]+|\[?[0-9A-Fa-f:.%]*:[0-9A-Fa-f:.%]*\]?")


def parse(
    argv: list[str], cores: int | None = None, variables: Mapping[str, str] | None = None
) -> ServerSettings:
    """Read arguments and environment; raises UsageError. `--help` and `--version` print and exit."""
    parser = build_parser()
    from_environment = environment.read(variables or {}, argv, option_names(parser))
    try:
        arguments = [*from_environment.arguments, *_plain(argv)]
        _refuse_control_characters(arguments)
        given, unknown = parser.parse_known_args(arguments)
        if unknown:
            _refuse_unknown(unknown)
        if from_environment.workers is not None:
            given.grpc_workers = from_environment.workers
        _check(given, cores or os.cpu_count() or 1)
        return _settings(given, from_environment.warnings)
    except UsageError as error:
        raise UsageError(from_environment.explain(str(error))) from error


def _plain(argv: list[str]) -> list[str]:
    """One spelling of every option; `--shape -1,10` is a value, not two options."""
    result: list[str] = []
    for item in map(trimmed, argv):
        if re.match(r"-[0-9]", item) and result and re.fullmatch(r"--[a-z_]+", result[-1]):
            result[-1] += f"={item}"
        else:
            result.append(_underscored(item))
    return result


def _refuse_control_characters(arguments: list[str]) -> None:
    name = "an argument"
    for item in arguments:
        is_option = item.startswith("--")
        option, _, value = item[2:].partition("=") if is_option else (name, "", item)
        name = option if is_option else "an argument"
        try:
            require_visible(option, value)
        except ConfigError as error:
            raise UsageError(f"error parsing options - {error}") from error


def _underscored(item: str) -> str:
    """`--rest-port` is `--rest_port`; values stay as they are."""
    if not item.startswith("--"):
        return item
    name, equals, value = item.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def _refuse_unknown(unknown: list[str]) -> NoReturn:
    for item in unknown:
        name = item.lstrip("-").partition("=")[0]
        if item.startswith("--") and name in unsupported.OPTIONS:
            raise UsageError(
                f"error parsing options - --{name} is not supported: {unsupported.OPTIONS[name]}"
            )
    raise UsageError(f"error parsing options - unmatched arguments: {', '.join(unknown)}")


def _check(given: argparse.Namespace, cores: int) -> None:
    _check_addresses(given)
    _check_ports(given)
    _check_workers(given, cores)
    _check_models(given)
    if given.cpu_extension and not Path(given.cpu_extension).exists():
        raise UsageError(
            "File path provided as an --cpu_extension parameter does not exist in the filesystem:"
            f" {given.cpu_extension}"
        )


def _check_addresses(given: argparse.Namespace) -> None:
    for name in ("port", "rest_port", "status_port"):
        value = getattr(given, name)
        if value is not None and value > 65535:
            raise UsageError(f"{name} number out of range from 0 to 65535")
    for name in ("grpc_bind_address", "rest_bind_address"):
        if not all(_HOST.fullmatch(host) for host in _hosts(getattr(given, name))):
            raise UsageError(f"{name} has invalid format: proper hostname or IP address expected.")


def _hosts(text: str) -> tuple[str, ...]:
    return tuple(host.strip() for host in text.split(","))


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
            raise UsageError(
                "rest_workers is set but rest_port is not set. rest_port is required to start rest servers"
            )
    if given.log_level.upper() not in LOG_LEVELS:
        raise UsageError(f"log_level should be one of: {', '.join(LOG_LEVELS)}")


def _check_models(given: argparse.Namespace) -> None:
    if given.config_path:
        if given.model_name or given.model_path:
            raise UsageError("Use either config_path or model_path with model_name")
        if any(getattr(given, name) is not None for name in MODEL_OPTIONS):
            raise UsageError("Model parameters in CLI are exclusive with the config file")
    elif not given.model_name or not given.model_path:
        raise UsageError("Use config_path or model_path with model_name")


def _settings(given: argparse.Namespace, warnings: tuple[str, ...]) -> ServerSettings:
    is_single = not given.config_path
    return ServerSettings(
        port=given.port,
        rest_port=given.rest_port,
        status_port=given.rest_port if given.status_port is None else given.status_port,
        grpc_hosts=_hosts(given.grpc_bind_address),
        rest_hosts=_hosts(given.rest_bind_address),
        workers=given.grpc_workers,
        channel_arguments=_channel_arguments(given.grpc_channel_arguments),
        limits=_limits(given),
        cors=_cors(given),
        model_control_mode=ControlMode(given.model_control_mode),
        poll_seconds=given.file_system_poll_wait_seconds,
        drain_seconds=given.drain_seconds,
        on_load_failure=_on_load_failure(given.on_load_failure, is_single=is_single),
        exclusive_cpus=given.exclusive_cpus,
        cache_dir=given.cache_dir or _default_cache(),
        cpu_extension=Path(given.cpu_extension) if given.cpu_extension else None,
        monitoring=_monitoring(given),
        log_level=given.log_level.upper(),
        log_format=given.log_format,
        log_path=given.log_path,
        access_log=given.access_log,
        config_path=None if is_single else Path(given.config_path),
        model=_model(given) if is_single else None,
        dry_run=given.dry_run,
        warnings=(*warnings, *_ineffective(given)),
    )


def _on_load_failure(given: str | None, *, is_single: bool) -> OnLoadFailure:
    if given is not None:
        return OnLoadFailure(given)
    return OnLoadFailure.EXIT if is_single else OnLoadFailure.WAIT


def _limits(given: argparse.Namespace) -> Limits:
    return Limits(
        queue_size=given.queue_size,
        request_timeout_seconds=given.request_timeout_seconds or None,
        max_request_bytes=given.max_request_bytes,
        client_timeout_seconds=given.client_timeout_seconds,
        memory_quota=given.grpc_memory_quota,
    )


def _cors(given: argparse.Namespace) -> Cors:
    return Cors(given.allow_credentials, given.allowed_origins, given.allowed_methods, given.allowed_headers)


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
    try:
        return Monitoring(enable=True, only=checked_names(list(given.metrics_list)))
    except ConfigError as error:
        raise UsageError(str(error)) from error


def _model(given: argparse.Namespace) -> ModelSettings:
    # Templates write options without a value as empty texts.
    raw: dict[str, Any] = {name: getattr(given, name) or None for name in MODEL_OPTIONS}
    raw |= {"name": given.model_name, "base_path": given.model_path}
    try:
        model = parse_model(raw, Path.cwd())
        check(model.wish)
    except ConfigError as error:
        raise UsageError(str(error)) from error
    try:
        model.shaping.check()
    except ConfigError as error:  # reported like the fault of any other option's text
        raise UsageError(f"error parsing options - {error}") from error
    return model


def _ineffective(given: argparse.Namespace) -> tuple[str, ...]:
    names = ("rest_workers", "grpc_max_threads", "allow_cache")
    return tuple(
        f"--{name} has no effect in this server" for name in names if getattr(given, name) is not None
    )


def usage_failed(error: UsageError) -> int:
    """Tell it as OVMS does; the exit code is EX_USAGE."""
    sys.stderr.write(f"{error}\n")
    return 64
