"""Clusters come and go: what `up`, `down` and `load` do, for the command line and for tests."""

from collections.abc import Iterable
from pathlib import Path

from devcluster import gobuild, plain, state
from devcluster.errors import DevclusterError
from devcluster.lock import lock
from devcluster.process import stop_all
from devcluster.progress import Progress
from devcluster.state import DEFAULT_NAME, Cluster, Wish


def up(
    name: str = DEFAULT_NAME,
    *,
    nodes: int = 1,
    no_node: bool = False,
    extras: Iterable[str] = (),
    cpu_policy: str = "static",
) -> Cluster:
    """Start a cluster, or return the one of that name if it is there and as asked for."""
    wish = Wish(nodes, no_node, tuple(sorted(extras)), cpu_policy)
    check(wish)
    with lock(state.check_name(name)):
        present = state.find(name)
        if present and present.wish == wish and present.is_answering():
            return present
        if present and present.wish != wish:
            raise DevclusterError(
                f'Cluster "{name}" is there but was started with other options ({present.wish}).\n'
                f"Remove it first (python -m devcluster down --name {name}) or choose another --name."
            )
        _remove(name)
        return _create(name, wish)


def down(name: str = DEFAULT_NAME) -> None:
    """Remove everything of a cluster, complete or not; one that is not there is no error."""
    with lock(state.check_name(name), remove=True):
        _remove(name)


def load(name: str, *images: str) -> None:
    """Bring images of the engine into every node of a cluster."""
    cluster = state.get(name)
    if cluster.wish.no_node:
        raise DevclusterError(
            f'Cluster "{name}" has no node that could hold an image (it was started with --no-node).'
        )
    raise DevclusterError("not built yet")


def binaries() -> Path:
    """The directory with kubectl, helm, kind, kwok and the control plane, built if need be."""
    return gobuild.build(gobuild.FOR_USE, Progress(len(gobuild.missing(gobuild.FOR_USE))))


def check(wish: Wish) -> None:
    for extra in wish.extras:
        if extra not in plain.EXTRAS:
            raise DevclusterError(f'There is no extra "{extra}"; there are: {", ".join(plain.EXTRAS)}.')
    if wish.extras and not wish.no_node:
        raise DevclusterError("Extras belong to --no-node: a cluster with a node has them all but kwok.")
    if wish.nodes not in (1, 2) and not wish.no_node:
        raise DevclusterError(f"A cluster has 1 or 2 nodes, not {wish.nodes}.")
    if wish.cpu_policy not in ("static", "none"):
        raise DevclusterError(f'The CPU policy is static or none, not "{wish.cpu_policy}".')


def _create(name: str, wish: Wish) -> Cluster:
    directory = state.create_directory(name)
    programs = binaries()
    cluster = Cluster(name, wish, directory, programs)
    try:
        plain.start(cluster)
    except BaseException:
        _remove(name)
        raise
    state.save(cluster)
    return cluster


def _remove(name: str) -> None:
    stop_all(state.owner_of(name))
    state.remove_directory(name)
