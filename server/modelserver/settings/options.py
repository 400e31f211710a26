"""The options of the command line: names, kinds, defaults and the words of --help."""

import argparse
import math
from enum import StrEnum
from typing import Any, NoReturn

from modelserver import __version__
from modelserver.errors import UsageError
from modelserver.settings.limits import Cors, Limits
from modelserver.settings.process import ControlMode, OnLoadFailure

_EVERYWHERE = "0.0.0.0,::"
"""Clusters with IPv4, IPv6 or both; a host without IPv6 leaves :: out."""
LOG_LEVELS = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR")
MODEL_OPTIONS = (
    "batch_size", "shape", "layout", "mean", "scale", "color_format", "precision", "model_version_policy",
    "nireq", "target_device", "plugin_config", "allow_cache", "hint", "streams", "expected_clients",
)  # fmt: skip


class _Parser(argparse.ArgumentParser):
    """argparse with OVMS's words."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"error parsing options - {message}")


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


def _list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _add_flag(group: Any, name: str, words: str) -> None:
    group.add_argument(name, type=_flag, nargs="?", const=True, default=False, metavar="BOOL", help=words)


def _values(choices: type[StrEnum]) -> tuple[str, ...]:
    """Argparse shows members by their `repr`."""
    return tuple(choice.value for choice in choices)


def build_parser() -> argparse.ArgumentParser:
    """Every option, in the groups that --help shows."""
    parser = _Parser(
        prog="modelserver",
        allow_abbrev=False,
        description="Serve OpenVINO models.",
        epilog="Each option is also read from the environment as MODELSERVER_<OPTION>.",
    )
    parser.add_argument("--version", action="version", version=f"OpenVINO ModelServer {__version__}")
    _add_network(parser.add_argument_group("network"))
    _add_limits(parser.add_argument_group("limits"))
    _add_cors(parser.add_argument_group("pages of other origins (CORS)"))
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
    group.add_argument("--grpc_bind_address", default=_EVERYWHERE, help="addresses, separated by commas")
    group.add_argument("--rest_bind_address", default=_EVERYWHERE, help="addresses, separated by commas")
    group.add_argument(
        "--grpc_workers", type=int, default=1, help="front-end workers (threads that decode images)"
    )
    group.add_argument("--rest_workers", type=int, help="accepted for compatibility; has no effect")
    group.add_argument(
        "--grpc_channel_arguments", default="", help="gRPC channel arguments, key=value,key=value"
    )
    group.add_argument(
        "--grpc_max_threads", type=_at_least(1, int), help="accepted for compatibility; has no effect"
    )
    group.add_argument("--model_control_mode", default="explicit", choices=_values(ControlMode),
                       help="none: the repository API may not load or unload models")  # fmt: skip


def _add_limits(group: Any) -> None:
    default = Limits()
    group.add_argument(
        "--queue_size", type=_at_least(0, int), help="waiting requests per model; default 16 x nireq"
    )
    group.add_argument(
        "--request_timeout_seconds", type=_at_least(0, float), help="how long a request may wait for its turn"
    )
    group.add_argument("--max_request_bytes", type=_at_least(1, int), default=default.max_request_bytes,
                       help="the biggest request body")  # fmt: skip
    group.add_argument("--client_timeout_seconds", type=_at_least(0.001, float),
                       default=default.client_timeout_seconds,
                       help="how long a client may take to send a request")  # fmt: skip
    group.add_argument("--grpc_memory_quota", type=_at_least(1, int), default=default.memory_quota,
                       help="bytes of request bodies held at one time, gRPC and REST together")  # fmt: skip


def _add_cors(group: Any) -> None:
    default = Cors()
    _add_flag(group, "--allow_credentials", "pages of other origins may send cookies and credentials")
    group.add_argument("--allowed_origins", type=_list, default=default.allowed_origins,
                       help="separated by commas; * is any")  # fmt: skip
    group.add_argument("--allowed_methods", type=_list, default=default.allowed_methods,
                       help="separated by commas; * is any")  # fmt: skip
    group.add_argument("--allowed_headers", type=_list, default=default.allowed_headers,
                       help="separated by commas; * is any")  # fmt: skip


def _add_life_cycle(group: Any) -> None:
    group.add_argument("--drain_seconds", type=_at_least(0, float), default=0.0,
                       help="how long to keep accepting requests after SIGTERM")  # fmt: skip
    group.add_argument("--on_load_failure", choices=_values(OnLoadFailure),
                       help="when a model cannot be loaded at the start: exit (default for --model_path) or"
                            " wait for it to be repaired (default for --config_path)")  # fmt: skip
    group.add_argument(
        "--exclusive_cpus", type=_at_least(1, int), help="how many CPUs this process has to itself"
    )
    group.add_argument("--cache_dir", help="keep compiled models here")
    group.add_argument("--cpu_extension", default="", help="a library with custom layers for the CPU")
    _add_flag(group, "--dry_run", "print the effective configuration as JSON and exit")


def _add_models(group: Any) -> None:
    group.add_argument("--model_name", help="name of the one model served")
    group.add_argument("--model_path", help="its directory with version directories, or one model file")
    group.add_argument("--config_path", help="config.json with any number of models, watched for changes")
    group.add_argument("--file_system_poll_wait_seconds", type=_at_least(0, float), default=1.0,
                       help="how often model directories are looked at; 0 = never")  # fmt: skip
    helps = {"target_device": "CPU (default), GPU, NPU, AUTO:..., HETERO:..., MULTI:...",
             "hint": "LATENCY, THROUGHPUT or CUMULATIVE_THROUGHPUT", "streams": "a number, AUTO or NUMA",
             "expected_clients": "parallel clients", "nireq": "infer requests in the pool",
             "plugin_config": "OpenVINO properties as a JSON object",
             "allow_cache": "accepted for compatibility; has no effect"}  # fmt: skip
    for name in MODEL_OPTIONS:
        group.add_argument(f"--{name}", help=helps.get(name, "as in OpenVINO Model Server"))


def _add_logging(group: Any) -> None:
    group.add_argument("--log_level", default="INFO", help=", ".join(LOG_LEVELS))
    group.add_argument("--log_format", default="text", choices=("text", "json"))
    group.add_argument("--log_path", help="write the log to this file as well")
    _add_flag(group, "--access_log", "log every request")
    _add_flag(group, "--metrics_enable",
              "/metrics on the REST port (a separate status port always has it)")  # fmt: skip
    group.add_argument(
        "--metrics_list",
        type=_list,
        default=(),
        help="show only these of OVMS's metrics, separated by commas",
    )


def option_names(parser: argparse.ArgumentParser) -> frozenset[str]:
    """Every option that takes a value, without its hyphens."""
    return frozenset(vars(parser.parse_args([])))
