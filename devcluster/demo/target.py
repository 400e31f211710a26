"""Which cluster the make targets use: that of KUBECONFIG_TARGET, or a kind cluster of our own."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devcluster import cluster as clusters
from devcluster.errors import RequirementMissing
from devcluster.host.progress import Progress, note
from devcluster.kubectl import Kubernetes
from devcluster.state import DEFAULT_NAME, Options


@dataclass(frozen=True)
class Target:
    """A running cluster, and how images get into it."""

    kubernetes: Kubernetes
    load: Callable[..., None]
    is_given: bool = False


def own(progress: Progress) -> Target:
    """Start our kind cluster, or find it running."""
    cluster = clusters.start(DEFAULT_NAME, Options(), progress)
    return Target(cluster.kubernetes(), lambda *images: clusters.load(cluster.name, *images))


def given() -> Target | None:
    """Return the cluster of KUBECONFIG_TARGET, or None if that is not set.

    Raises:
        RequirementMissing: the file does not exist.
    """
    path = os.environ.get("KUBECONFIG_TARGET")
    if not path:
        return None
    if not Path(path).is_file():
        raise RequirementMissing(
            f"KUBECONFIG_TARGET={path}: no such file. Set it to the kubeconfig of the cluster to use."
        )
    environment = {**os.environ, "KUBECONFIG": path}
    if not (shutil.which("kubectl") and shutil.which("helm")):
        environment["PATH"] = f"{clusters.binaries()}:{environment['PATH']}"
    kubernetes = Kubernetes(environment)
    return Target(kubernetes, _loader(kubernetes), is_given=True)


def _loader(kubernetes: Kubernetes) -> Callable[..., None]:
    """Load images with kind if the cluster is one of kind's; any other must be able to pull them."""
    context = kubernetes.kubectl("config", "current-context").strip()
    if context.startswith("kind-"):
        return lambda *images: clusters.load(context.removeprefix("kind-"), *images)
    return lambda *images: note(f"Not a kind cluster, so it must be able to pull {' and '.join(images)}.")
