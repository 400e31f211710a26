"""What is known about a cluster: one directory each, with a record that tells whether it was completed."""

import json
import os
import re
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

from devcluster.errors import DevclusterError, UnknownCluster
from devcluster.host import paths
from devcluster.host.process import Runner

DEFAULT_NAME = "modelserver"
_RECORD = "cluster.json"
_COMPLETE = "complete"


@dataclass(frozen=True)
class Wish:
    """What was asked for; an `up` that asks for the same again finds its cluster."""

    nodes: int = 1
    no_node: bool = False
    extras: tuple[str, ...] = ()
    cpu_policy: str = "static"

    def options(self) -> str:
        """The wish as one would write it on the command line."""
        words = ["--no-node"] if self.no_node else []
        words += [f"--with {extra}" for extra in self.extras]
        words += [f"--nodes {self.nodes}"] if self.nodes != 1 else []
        words += [f"--cpu-policy {self.cpu_policy}"] if self.cpu_policy != "static" else []
        return " ".join(words) or "none"


@dataclass(frozen=True)
class Cluster:
    """A running cluster and how to reach it."""

    name: str
    wish: Wish
    directory: Path
    binaries: Path
    engine: dict[str, str] = field(default_factory=dict)
    node_ports: dict[int, int] = field(default_factory=dict)

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    @property
    def owner(self) -> str:
        return owner_of(self.name)

    def node_port(self, port: int) -> int:
        """The port on loopback that reaches this NodePort."""
        if port not in self.node_ports:
            known = ", ".join(map(str, sorted(self.node_ports))) or "none"
            raise DevclusterError(
                f"NodePort {port} of cluster {self.name} is not on loopback here; these are: {known}."
            )
        return self.node_ports[port]

    def environment(self) -> dict[str, str]:
        """The variables with which kubectl, helm and kind use this cluster."""
        search = f"{self.binaries}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        # What kubectl and helm remember of this API server goes with the cluster.
        cached = str(self.directory / "kubectl-cache")
        return {"KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": cached, "PATH": search, **self.engine}

    def kubectl(self, *arguments: str, text: str | None = None, timeout: float = 60) -> str:
        runner = Runner(self.owner, self.environment())
        return runner.run([self.binaries / "kubectl", *arguments], text=text, timeout=timeout)

    def is_answering(self) -> bool:
        runner = Runner(self.owner, self.environment())
        return runner.succeeds([self.binaries / "kubectl", "get", "--raw", "/readyz"], timeout=10)


def check_name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", name):
        raise DevclusterError(
            f'"{name}" cannot be the name of a cluster: use up to 40 lower-case letters, digits and hyphens,'
            f" with a letter or digit first and last."
        )
    return name


def directory_of(name: str) -> Path:
    return paths.clusters() / check_name(name)


def owner_of(name: str) -> str:
    return f"cluster {check_name(name)}"


def begin(cluster: Cluster) -> None:
    """Write down what is being started, before any of it exists."""
    cluster.directory.mkdir(parents=True, mode=0o700)
    record = asdict(cluster) | {"directory": str(cluster.directory), "binaries": str(cluster.binaries)}
    unfinished = cluster.directory / f".{_RECORD}"
    unfinished.write_text(json.dumps(record, indent=2))
    unfinished.rename(cluster.directory / _RECORD)


def complete(cluster: Cluster) -> None:
    """Without this mark a cluster counts as the remains of a killed `up`."""
    (cluster.directory / _COMPLETE).touch()


def find(name: str, *, unfinished_too: bool = False) -> Cluster | None:
    """The cluster of that name, if it was completed."""
    directory = directory_of(name)
    record = directory / _RECORD
    if not record.exists() or not (unfinished_too or (directory / _COMPLETE).exists()):
        return None
    raw = json.loads(record.read_text())
    wish = raw["wish"]
    return Cluster(
        name=raw["name"],
        wish=Wish(wish["nodes"], wish["no_node"], tuple(wish["extras"]), wish["cpu_policy"]),
        directory=Path(raw["directory"]),
        binaries=Path(raw["binaries"]),
        engine=raw["engine"],
        node_ports={int(port): host for port, host in raw["node_ports"].items()},
    )


def get(name: str) -> Cluster:
    cluster = find(name)
    if cluster is None:
        known = ", ".join(names()) or "none"
        raise UnknownCluster(
            f'There is no cluster "{name}" (clusters here: {known}).'
            f" Start it: python -m devcluster up --name {name}"
        )
    return cluster


def names() -> list[str]:
    """Every cluster with something on disk, complete or not."""
    root = paths.clusters()
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir()) if root.is_dir() else []


def remove_directory(name: str) -> None:
    shutil.rmtree(directory_of(name), ignore_errors=True)
