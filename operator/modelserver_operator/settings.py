"""The operator's settings, from flags and the environment. The chart's values.yaml sets them."""

import argparse
import os
import socket
from collections.abc import Callable, Mapping, Sequence
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
    "installation": "INSTALLATION",
    "pod": "POD_NAME",
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
    """The port of GET /healthz and GET /readyz."""
    scale_port: int
    """The port of GET /scale/NAMESPACE/NAME."""
    scale_url: str
    """Where KEDA reaches that port."""
    identity: str
    """INSTALLATION/POD, the holder of a Lease: pods of one installation take over from each other."""
    lease_namespace: str
    """Where the Lease of an operator of all namespaces is; another has one in each of its namespaces."""
    lease_seconds: int
    """A Lease that was not renewed for this time is free."""
    relist_seconds: float
    """Every kind is listed once in this interval, one kind after the other."""
    resync_seconds: float
    """The servers of a settled object are asked again after about this time: nothing else reports that a
    server has discovered a new version of a model."""
    rejection_retry_seconds: float
    """While nodes reject the pods of an object, one is tried in this interval."""
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


def add_images(
    parser: argparse.ArgumentParser, environment: Mapping[str, str] = os.environ, cpu: str = DEFAULT_IMAGE
) -> None:
    """Each flag defaults to its environment variable, the one for CPUs at last to `cpu`."""
    get = {name: environment.get(variable, "") for name, variable in ENVIRONMENT.items()}
    parser.add_argument("--cpu-image", default=get["cpu_image"] or cpu, help="server image for CPUs")
    parser.add_argument(
        "--gpu-image", default=get["gpu_image"], help="server image for GPUs (default: the one for CPUs)"
    )
    parser.add_argument(
        "--npu-image", default=get["npu_image"], help="server image for NPUs (default: the one for CPUs)"
    )


def add_options(parser: argparse.ArgumentParser, environment: Mapping[str, str] = os.environ) -> None:
    """The settings of `run`; each flag defaults to its environment variable."""
    get = {name: environment.get(variable, "") for name, variable in ENVIRONMENT.items()}
    add_images(parser, environment)
    parser.add_argument(
        "--namespaces", default=get["namespaces"], help="comma-separated namespaces to watch (default: all)"
    )
    _add_election(parser, get)
    _add_limits(parser)
    parser.add_argument("--log-format", default=get["log_format"] or "json", choices=("json", "text"))
    parser.add_argument(
        "--log-level", default=get["log_level"] or "info", choices=("debug", "info", "warning")
    )


def _add_election(parser: argparse.ArgumentParser, get: Mapping[str, str]) -> None:
    parser.add_argument(
        "--installation",
        default=get["installation"] or "local/operator",
        help="name of this installation, the same in all of its pods and unique in the cluster",
    )
    parser.add_argument(
        "--pod",
        # Without a pod's name two processes of one machine would take each other for themselves.
        default=get["pod"] or f"{socket.gethostname()}-{os.getpid()}",
        help="name of this pod (default: of the machine and the process)",
    )
    parser.add_argument(
        "--lease-namespace",
        default="kube-system",
        help="namespace of the Lease of an operator that watches all namespaces",
    )
    parser.add_argument(
        "--lease-seconds",
        type=_at_least(3, int),
        default=15,
        help="another pod takes over when the leader has not renewed its Lease for this time",
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=_at_least(1, int), default=8, help="objects reconciled in parallel")
    parser.add_argument("--liveness-port", type=int, default=8080, help="port of /healthz and /readyz")
    parser.add_argument(
        "--scale-port", type=int, default=8090, help="port on which KEDA asks for the load of an object"
    )
    parser.add_argument(
        "--scale-url",
        default="",
        help="where KEDA reaches that port (default: the Service of this installation's name)",
    )
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
    parser.add_argument(
        "--rejection-retry-seconds",
        type=_at_least(1, float),
        default=600.0,
        help="while nodes reject the pods of an object, how often one is tried",
    )


def from_arguments(arguments: argparse.Namespace) -> Settings:
    """Parsed flags as settings."""
    return Settings(
        images=images(arguments),
        namespaces=_names(arguments.namespaces),
        workers=arguments.workers,
        liveness_port=arguments.liveness_port,
        scale_port=arguments.scale_port,
        scale_url=arguments.scale_url.rstrip("/") or _service(arguments.installation, arguments.scale_port),
        identity=f"{arguments.installation}/{arguments.pod}",
        lease_namespace=arguments.lease_namespace,
        lease_seconds=arguments.lease_seconds,
        relist_seconds=arguments.relist_seconds,
        resync_seconds=arguments.resync_seconds,
        rejection_retry_seconds=arguments.rejection_retry_seconds,
        log_format=arguments.log_format,
        log_level=arguments.log_level,
    )


def _service(installation: str, port: int) -> str:
    """The chart's Service has the name of the Deployment, which is that of the installation."""
    namespace, _, name = installation.partition("/")
    return f"http://{name or namespace}.{namespace}.svc:{port}"


def images_of(arguments: Sequence[str]) -> tuple[tuple[str, ...], Images]:
    """The namespaces and images of an operator that was started with these arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    add_images(parser, {})
    parser.add_argument("--namespaces", default="")
    known, _ = parser.parse_known_args(arguments)
    return _names(known.namespaces), images(known)


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, (part.strip() for part in text.split(",")))))


def images(arguments: argparse.Namespace) -> Images:
    """Only the images, for `render` and `plan`."""
    return Images(
        arguments.cpu_image,
        arguments.gpu_image or arguments.cpu_image,
        arguments.npu_image or arguments.cpu_image,
    )
