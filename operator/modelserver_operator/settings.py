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
    """Frozen at the root."""

    images: Images
    """Images for objects that name none."""
    namespaces: tuple[str, ...]
    """Namespaces to watch; empty = all."""
    workers: int
    """Objects worked on in parallel."""
    liveness_port: int
    """GET /healthz is here."""
    relist_seconds: float
    """Every kind is listed once in this time, one kind after the other."""
    resync_seconds: float
    """A settled object's servers are asked again after about this time: nothing else tells that they found
    a new version of a model."""
    log_format: str
    log_level: str


def _at_least(minimum: int, kind: Callable[[str], T]) -> Callable[[str], T]:
    """For argparse, which tells the flag's name and this message."""

    def number(text: str) -> T:
        value = kind(text)
        if not minimum <= float(value) < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is no number from {minimum} on")
        return value

    return number


def add_options(parser: argparse.ArgumentParser, environment: Mapping[str, str] = os.environ) -> None:
    """Every flag's default is its environment variable."""
    get = {name: environment.get(variable, "") for name, variable in ENVIRONMENT.items()}
    cpu = get["cpu_image"] or DEFAULT_IMAGE
    parser.add_argument("--cpu-image", default=cpu, help="server image for CPUs")
    parser.add_argument(
        "--gpu-image", default=get["gpu_image"], help="server image for GPUs; default: that for CPUs"
    )
    parser.add_argument(
        "--npu-image", default=get["npu_image"], help="server image for NPUs; default: that for CPUs"
    )
    parser.add_argument(
        "--namespaces", default=get["namespaces"], help="namespaces to watch, a,b; default: all"
    )
    parser.add_argument("--workers", type=_at_least(1, int), default=8, help="objects worked on in parallel")
    parser.add_argument("--liveness-port", type=int, default=8080, help="port of GET /healthz")
    parser.add_argument(
        "--relist-seconds", type=_at_least(1, float), default=1800.0, help="list every kind once in this time"
    )
    parser.add_argument(
        "--resync-seconds",
        type=_at_least(1, float),
        default=30.0,
        help="ask settled servers again after about this time",
    )
    parser.add_argument("--log-format", default=get["log_format"] or "json", choices=("json", "text"))
    parser.add_argument(
        "--log-level", default=get["log_level"] or "info", choices=("debug", "info", "warning")
    )


def from_arguments(given: argparse.Namespace) -> Settings:
    """Parsed flags as settings."""
    return Settings(
        images=images(given),
        namespaces=tuple(filter(None, (part.strip() for part in given.namespaces.split(",")))),
        workers=given.workers,
        liveness_port=given.liveness_port,
        relist_seconds=given.relist_seconds,
        resync_seconds=given.resync_seconds,
        log_format=given.log_format,
        log_level=given.log_level,
    )


def images(given: argparse.Namespace) -> Images:
    """The images alone, for `render` and `plan`."""
    return Images(given.cpu_image, given.gpu_image or given.cpu_image, given.npu_image or given.cpu_image)
