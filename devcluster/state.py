"""What is known about each cluster: a directory with a record, and a mark once `up` has finished."""

import json
import os
import re
import shutil
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from devcluster.errors import DevclusterError, UnknownCluster
from devcluster.host import paths
from devcluster.kubectl import Kubernetes

DEFAULT_NAME = "modelserver"
_RECORD = "cluster.json"
_COMPLETE = "complete"


@dataclass(frozen=True)
class Options:
    """The options of `up`; another `up` with the same options returns the same cluster."""

    nodes: int = 1
    no_node: bool = False
    extras: tuple[str, ...] = ()
    cpu_policy: str = "static"
    kubernetes: str = ""
    """A minor version other than the usual one."""
    narrowed: bool = False
    """Whether the second node is confined to one CPU although its kubelet counts all."""

    def as_flags(self) -> str:
        """The options as they are written on the command line."""
        words = ["--no-node"] if self.no_node else []
        words += [f"--with {extra}" for extra in self.extras]
        words += [f"--nodes {self.nodes}"] if self.nodes != 1 else []
        words += ["--narrowed"] if self.narrowed else []
        words += [f"--cpu-policy {self.cpu_policy}"] if self.cpu_policy != "static" else []
        words += [f"--kubernetes {self.kubernetes}"] if self.kubernetes else []
        return " ".join(words) or "none"


@dataclass(frozen=True)
class Cluster:
    """A running cluster and how to reach it."""

    name: str
    options: Options
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
                f"NodePort {port} of cluster {self.name} is not mapped to loopback. Mapped are: {known}."
            )
        return self.node_ports[port]

    def environment(self) -> dict[str, str]:
        """The variables with which kubectl, helm and kind use this cluster."""
        search = f"{self.binaries}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        # So that what kubectl and helm cache about this API server is removed with the cluster.
        cached = str(self.directory / "kubectl-cache")
        return {"KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": cached, "PATH": search, **self.engine}

    def kubernetes(self, namespace: str = "default") -> Kubernetes:
        """Access by kubectl and helm; with "" in the namespace that the kubeconfig names."""
        return Kubernetes({**os.environ, **self.environment()}, namespace, self.owner)

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> str:
        return self.kubernetes("").kubectl(*arguments, stdin=stdin, timeout=timeout)

    def is_answering(self) -> bool:
        return self.kubernetes("").succeeds("get", "--raw", "/readyz", timeout=10)


def check_name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", name):
        raise DevclusterError(
            f'"{name}" is not a valid cluster name: use up to 40 lower-case letters, digits and hyphens,'
            f" starting and ending with a letter or digit."
        )
    return name


def directory_of(name: str) -> Path:
    return paths.clusters() / check_name(name)


def owner_of(name: str) -> str:
    return f"cluster {check_name(name)}"


def begin(cluster: Cluster) -> None:
    """Write the record of a cluster before any part of it exists."""
    cluster.directory.mkdir(parents=True, mode=0o700)
    unfinished = cluster.directory / f".{_RECORD}"
    unfinished.write_text(json.dumps(to_record(cluster), indent=2))
    unfinished.rename(cluster.directory / _RECORD)


def complete(cluster: Cluster) -> None:
    """Mark a cluster as complete; one without the mark was left by a killed `up`."""
    (cluster.directory / _COMPLETE).touch()


def find(name: str, *, unfinished_too: bool = False) -> Cluster | None:
    """The cluster of that name, if its `up` finished."""
    directory = directory_of(name)
    record = directory / _RECORD
    if not record.exists() or not (unfinished_too or (directory / _COMPLETE).exists()):
        return None
    return from_record(json.loads(record.read_text()))


def to_record(cluster: Cluster) -> dict[str, Any]:
    return asdict(cluster) | {"directory": str(cluster.directory), "binaries": str(cluster.binaries)}


def from_record(record: dict[str, Any]) -> Cluster:
    """Read a record, also of another version: missing fields are defaults, unknown ones are ignored."""
    options = _fields_of(Options, record.get("options", {}))
    known = _fields_of(Cluster, record) | {
        "options": Options(**options | {"extras": tuple(options.get("extras", ()))}),
        "directory": Path(record["directory"]),
        "binaries": Path(record["binaries"]),
        "node_ports": {int(port): host for port, host in record.get("node_ports", {}).items()},
    }
    return Cluster(**known)


def _fields_of(kind: type[Options | Cluster], record: dict[str, Any]) -> dict[str, Any]:
    return {field.name: record[field.name] for field in fields(kind) if field.name in record}


def get(name: str) -> Cluster:
    cluster = find(name)
    if cluster is None:
        known = ", ".join(names()) or "none"
        raise UnknownCluster(
            f'There is no cluster "{name}" (existing clusters: {known}).'
            f" Start it with: python -m devcluster up --name {name}"
        )
    return cluster


def names() -> list[str]:
    """Every cluster that has a directory, complete or not."""
    root = paths.clusters()
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir()) if root.is_dir() else []


def remove_directory(name: str) -> None:
    shutil.rmtree(directory_of(name), ignore_errors=True)
