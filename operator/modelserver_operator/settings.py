"""The operator's settings, from flags and the environment. The chart's values.yaml sets them."""

import argparse
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from modelserver_operator.desired import Images

T = TypeVar("T", int, float)
DEFAULT_IMAGE = "modelserver:latest"
ENVIRONMENT = {
    "cpu_image": "MODELSERVER_IMAGE_CPU",
    "gpu_image": "MODELSERVER_IMAGE_GPU",
    "npu_image": "MODELSERVER_IMAGE_NPU",
    "namespaces": "WATCH_NAMESPACES",
    "log_format": "LOG_FORMAT",
    "log_level": "LOG_LEVEL",
}


@dataclass(frozen=True)
class Settings:
    """Read once at the start."""

    images: Images
    """Server images for objects that set none."""
    namespaces: tuple[str, ...]
    """Namespaces to watch; empty means all."""
    workers: int
    """Objects reconciled in parallel."""
    liveness_port: int
    """The port of GET /healthz."""
    relist_seconds: float
    """Every kind is listed once in this interval, one kind after the other."""
    resync_seconds: float
    """The servers of a settled object are asked again after about this time: nothing else reports that a
    server has discovered a new version of a model."""
    log_format: str
    log_level: str


def _at_least(minimum: int, kind: Callable[[str], T]) -> Callable[[str], T]:
    """For argparse, which adds the flag's name to the message."""

    def number(text: str) -> T:
        value = kind(text)
        if not minimum <= float(value) < float("inf"):
            raise argparse.ArgumentTypeError(f"{text}: expected a number of at least {minimum}")
        return value

    return number


def add_options(parser: argparse.ArgumentParser, environment: Mapping[str, str] = os.environ) -> None:
    """Each flag defaults to its environment variable."""
    get = {name: environment.get(variable, "") for name, variable in ENVIRONMENT.items()}
    cpu = get["cpu_image"] or DEFAULT_IMAGE
    parser.add_argument("--cpu-image", default=cpu, help="server image for CPUs")
    parser.add_argument(
        "--gpu-image", default=get["gpu_image"], help="server image for GPUs (default: the one for CPUs)"
    )
    parser.add_argument(
        "--npu-image", default=get["npu_image"], help="server image for NPUs (default: the one for CPUs)"
    )
    parser.add_argument(
        "--namespaces", default=get["namespaces"], help="comma-separated namespaces to watch (default: all)"
    )
    _add_limits(parser)
    parser.add_argument("--log-format", default=get["log_format"] or "json", choices=("json", "text"))
    parser.add_argument(
        "--log-level", default=get["log_level"] or "info", choices=("debug", "info", "warning")
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=_at_least(1, int), default=8, help="objects reconciled in parallel")
    parser.add_argument("--liveness-port", type=int, default=8080, help="port of GET /healthz")
    parser.add_argument(
        "--relist-seconds",
        type=_at_least(1, float),
        default=1800.0,
        help="interval in which every kind is listed once",
    )
    parser.add_argument(
        "--resync-seconds",
        type=_at_least(1, float),
        default=30.0,
        help="how often to ask the servers of settled objects for their status",
    )


def from_arguments(arguments: argparse.Namespace) -> Settings:
    """Parsed flags as settings."""
    return Settings(
        images=images(arguments),
        namespaces=tuple(filter(None, (part.strip() for part in arguments.namespaces.split(",")))),
        workers=arguments.workers,
        liveness_port=arguments.liveness_port,
        relist_seconds=arguments.relist_seconds,
        resync_seconds=arguments.resync_seconds,
        log_format=arguments.log_format,
        log_level=arguments.log_level,
    )


def images(arguments: argparse.Namespace) -> Images:
    """Only the images, for `render` and `plan`."""
    return Images(
        arguments.cpu_image,
        arguments.gpu_image or arguments.cpu_image,
        arguments.npu_image or arguments.cpu_image,
    )
