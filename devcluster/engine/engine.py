"""The container engine: the one that is running, or on Debian one that we install and start."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from devcluster.engine import daemon
from devcluster.errors import CommandFailed, RequirementMissing
from devcluster.host import paths, system
from devcluster.host.lock import lock
from devcluster.host.process import Runner
from devcluster.host.progress import note
from devcluster.host.waiting import wait_until

_CLIENT = "engine-client"
RUNTIME = "devcluster"


@dataclass(frozen=True)
class Engine:
    """A client whose engine answers, and the variables that the client needs."""

    client: str
    environment: Mapping[str, str] = field(default_factory=dict)
    owner: str = _CLIENT

    @property
    def is_podman(self) -> bool:
        return Path(self.client).name == "podman"

    def run(self, *arguments: str | Path, timeout: float = 300, log: Path | None = None) -> str:
        return Runner(self.owner, self.environment, log).run([self.client, *arguments], timeout=timeout)

    def owned_by(self, owner: str) -> "Engine":
        """The same engine; programs that it starts belong to this owner."""
        return replace(self, owner=owner)

    def has(self, image: str) -> bool:
        return Runner(self.owner, self.environment).succeeds([self.client, "image", "inspect", image])

    def can_pull(self, image: str, *, timeout: float = 60) -> bool:
        """Pull an image and return whether that worked; it fails within seconds if no registry answers."""
        try:
            self.run("pull", "--quiet", image, timeout=timeout)
        except CommandFailed:
            return False
        return True

    def build(self, context: Path, tag: str, *options: str, log: Path | None = None) -> None:
        """Build an image with BuildKit."""
        where = log or paths.logs() / "images.log"
        progress = [] if self.is_podman else ["--progress=plain"]
        self.run("build", *progress, "--tag", tag, *options, context, timeout=1800, log=where)

    def runtimes(self) -> set[str]:
        if self.is_podman:
            return set()
        return set(json.loads(self.run("info", "--format", "{{json .Runtimes}}")))

    def for_user(self) -> dict[str, str]:
        """Variables with which the user's own programs find the same engine."""
        host = os.environ.get("DOCKER_HOST")
        provider = {"KIND_EXPERIMENTAL_PROVIDER": "podman"} if self.is_podman else {}
        return provider | ({"DOCKER_HOST": host} if host else {})

    def for_kind(self, cpus: Mapping[str, str] | None = None) -> dict[str, str]:
        """Variables for kind, with a shim in front of the engine's client; CPUs by node name.

        The shim (node/engine-client) comes first on PATH under the client's name. It adds options to a
        node's container that kind has no settings for, and skips pulling images that are present.
        """
        directory = paths.cache() / "engine" / "client"
        directory.mkdir(parents=True, exist_ok=True)
        name = Path(self.client).name
        _install(paths.SOURCES / "node" / "engine-client", directory / name)
        options = f"--runtime={RUNTIME}" if needs_runtime() and not self.is_podman else ""
        return {
            **self.environment,
            **self.for_user(),
            "DEVCLUSTER_CLIENT": self.client,
            "DEVCLUSTER_RUN": options,
            "DEVCLUSTER_CPUS": " ".join(f"{node}={chosen}" for node, chosen in (cpus or {}).items()),
            "PATH": f"{directory}:{os.environ.get('PATH', os.defpath)}",
        }


def find() -> Engine | None:
    """The engine that answers, if there is one."""
    for client in _clients():
        environment = {} if Path(client).name == "podman" else {"DOCKER_BUILDKIT": "1"}
        if _answers(client):
            return Engine(client, environment)
    return None


def ensure() -> Engine:
    """The engine that answers, or else Debian's docker.io, installed and started."""
    with lock("engine"):
        engine = find() or _start()
        if needs_runtime() and RUNTIME not in engine.runtimes() and not engine.is_podman:
            daemon.add_runtime(RUNTIME, _runtime())
            _wait_for_runtime(engine)
    return engine


def stop() -> bool:
    """Stop the engine if we started it and no container runs; returns whether it was stopped."""
    with lock("engine"):
        engine = find()
        others = engine.run("ps", "--format", "{{.Names}}").split() if engine else []
        if others and daemon.is_ours():
            note(f"The docker daemon keeps running, because these containers use it: {', '.join(others)}.")
            return False
        return daemon.stop()


def needs_runtime() -> bool:
    return not system.may_raise_limits()


def _start() -> Engine:
    if host := os.environ.get("DOCKER_HOST"):
        raise RequirementMissing(
            f"No docker engine answers at DOCKER_HOST={host}. Start one there, or unset DOCKER_HOST."
        )
    system.ensure("dockerd", "iptables", "ip", "runc")
    # Where there is a service manager, installing the package may have started it.
    if engine := find():
        return engine
    system.require_root("Starting the docker daemon")
    daemon.start({RUNTIME: _runtime()} if needs_runtime() else {})
    engine = wait_until(_started, 60)
    if engine is None:
        raise RequirementMissing(f"The docker daemon did not answer within 60 s. See {daemon.log()}.")
    note("Started the docker daemon. `python -m devcluster down --all` stops it.")
    return engine


def _started() -> Engine | None:
    """The engine of the preferred client; the next one may get its answer a moment before it."""
    daemon.check_alive()
    engine = find()
    return engine if engine and engine.client == next(_clients()) else None


def _clients() -> Iterator[str]:
    """Clients that have BuildKit come first, because our images need its secrets and caches."""
    found = [shutil.which("docker"), "/usr/bin/docker"]
    docker = [client for client in dict.fromkeys(found) if client and Path(client).exists()]
    yield from sorted(docker, key=lambda client: not _has_buildkit(client))
    if podman := shutil.which("podman"):
        yield podman


def _has_buildkit(client: str) -> bool:
    version = docker_version(_output(client, "--version"))
    # Before version 23 BuildKit is part of the client; since then it is a plug-in, which may be missing.
    return version is not None and (version < 23 or bool(_output(client, "buildx", "version")))


def docker_version(text: str) -> int | None:
    """The major version in what `docker --version` prints; None if it is another program's."""
    found = re.match(r"Docker version (\d+)\.", text)
    return int(found[1]) if found else None


def _output(client: str, *words: str) -> str:
    try:
        result = subprocess.run([client, *words], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout if result.returncode == 0 else ""


def _answers(client: str) -> bool:
    # `docker info` succeeds without an engine, so the server's version must be in its output.
    template = "{{.Version.Version}}" if Path(client).name == "podman" else "{{.ServerVersion}}"
    return bool(_output(client, "info", "--format", template).strip())


def _runtime() -> Path:
    target = paths.cache() / "engine" / "oci-runtime"
    target.parent.mkdir(parents=True, exist_ok=True)
    _install(paths.SOURCES / "node" / "oci-runtime", target)
    return target


def _install(source: Path, target: Path) -> None:
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copy(source, unfinished)
    unfinished.chmod(0o755)
    unfinished.replace(target)


def _wait_for_runtime(engine: Engine) -> None:
    if not wait_until(lambda: RUNTIME in engine.runtimes(), 15):
        raise RequirementMissing(
            f"CAP_SYS_RESOURCE is missing here, so privileged containers need the runtime {_runtime()},"
            f" but the docker daemon did not load it. Add it to the daemon's configuration as"
            f' runtimes."{RUNTIME}".path and restart the daemon.'
        )
