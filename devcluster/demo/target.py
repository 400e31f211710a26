"""Which cluster the make targets use: the one of KUBECONFIG_TARGET, or a kind cluster of our own."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import devcluster
from devcluster.errors import RequirementMissing
from devcluster.kubectl import Kubernetes

NAME = "modelserver"


@dataclass(frozen=True)
class Place:
    """A cluster, and how images get into it."""

    kubernetes: Kubernetes
    load: Callable[..., None]


def cluster(name: str = NAME) -> Place:
    """Return the cluster that was given, or bring up the kind cluster `name`."""
    found = given()
    if found is not None:
        return found
    own = devcluster.up(name)
    return Place(
        Kubernetes({**os.environ, **own.environment()}), lambda *names: devcluster.load(name, *names)
    )


def given() -> Place | None:
    """Return the cluster of KUBECONFIG_TARGET, or None when that is not set.

    Raises:
        RequirementMissing: the file does not exist.
    """
    path = os.environ.get("KUBECONFIG_TARGET")
    if not path:
        return None
    if not Path(path).is_file():
        raise RequirementMissing(
            f"KUBECONFIG_TARGET={path}: no such file. Name the kubeconfig of the cluster to use."
        )
    environment = {**os.environ, "KUBECONFIG": path}
    if not (shutil.which("kubectl") and shutil.which("helm")):
        environment["PATH"] = f"{devcluster.binaries()}:{environment['PATH']}"
    return Place(Kubernetes(environment), _load_into_given(environment))


def _load_into_given(environment: dict[str, str]) -> Callable[..., None]:
    """Load by kind where the given cluster is one of kind's; elsewhere the images must be pullable."""
    context = Kubernetes(environment).kubectl("config", "current-context").strip()
    if context.startswith("kind-"):
        return lambda *names: devcluster.load(context.removeprefix("kind-"), *names)

    def pullable(*names: str) -> None:
        print(f"    not a kind cluster: it must be able to pull {' and '.join(names)} by itself")

    return pullable
