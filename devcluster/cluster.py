"""Clusters come and go: what `up`, `down` and `load` do, for the command line and for tests."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from devcluster import engine as engines
from devcluster import plain, state
from devcluster.build import base_image as base_images
from devcluster.build import node_image, programs
from devcluster.build.node_image import NodeImage
from devcluster.engine import Engine
from devcluster.errors import DevclusterError, NotReady
from devcluster.host import ports
from devcluster.host.lock import is_free as lock_is_free
from devcluster.host.lock import lock
from devcluster.host.process import stop_all
from devcluster.host.progress import Progress
from devcluster.kind import cluster as kind_cluster
from devcluster.kind import config as kind_config
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
    wish = Wish(nodes, no_node, tuple(sorted(set(extras))), cpu_policy)
    check(wish)
    with lock(state.check_name(name)):
        present = state.find(name)
        if present and present.wish != wish:
            raise DevclusterError(
                f'Cluster "{name}" is there but was started with other options: {present.wish.options()}.\n'
                f"Remove it first (python -m devcluster down --name {name}) or choose another --name."
            )
        if present and (present.is_answering() or _comes_back(present)):
            return present
        return _create(name, wish)


def down(name: str = DEFAULT_NAME) -> None:
    """Remove everything of a cluster, complete or not; one that is not there is no error."""
    with lock(state.check_name(name), remove=True):
        _remove(name)
    _clean_up_builds()


def down_all() -> None:
    """Remove every cluster, and stop the engine if it is one that we started."""
    for name in state.names():
        down(name)
    engines.stop()


def load(name: str, *images: str) -> None:
    """Bring images of the engine into every node of a cluster."""
    cluster = state.get(name)
    if cluster.wish.no_node:
        raise DevclusterError(f'Cluster "{name}" was started with --no-node: no node could hold an image.')
    engine = engines.ensure()
    for image in images:
        if not engine.has(image):
            raise DevclusterError(f"{engine.client} has no image {image}. Build it first.")
    kind_cluster.load(cluster, engine, images)


def binaries() -> Path:
    """The directory with kubectl, helm, kind, kwok and the control plane, built if need be."""
    return programs.build(programs.FOR_USE, Progress(len(programs.missing(programs.FOR_USE))))


def base_image() -> str:
    """The name of the base of the project's images, which the engine has afterwards."""
    return base_images.ensure(engines.ensure())


def prepare(progress: Progress) -> tuple[Engine, NodeImage]:
    """Everything a cluster with a node needs, beside each other what waits for different things."""
    engine = engines.ensure()  # first: what is missing here should not be told after minutes of compiling
    with ThreadPoolExecutor(1) as pool:
        base = pool.submit(_base, engine, progress)
        programs.build(programs.FOR_USE, progress)
        base.result()
    return engine, node_image.ensure(engine, progress)


def new_progress() -> Progress:
    return Progress(len(programs.missing(programs.FOR_USE)))


def check(wish: Wish) -> None:
    for extra in wish.extras:
        if extra not in plain.EXTRAS:
            raise DevclusterError(f'There is no extra "{extra}"; there are: {", ".join(plain.EXTRAS)}.')
    if wish.extras and not wish.no_node:
        raise DevclusterError("--with belongs to --no-node: a cluster with a node has all of them but kwok.")
    if wish.nodes not in (1, 2) and not wish.no_node:
        raise DevclusterError(f"A cluster has 1 or 2 nodes, not {wish.nodes}.")
    if wish.cpu_policy not in ("static", "none"):
        raise DevclusterError(f'The CPU policy is static or none, not "{wish.cpu_policy}".')


def _comes_back(cluster: Cluster, seconds: float = 60) -> bool:
    """Whether a cluster whose engine or node was restarted answers again; that takes some ten seconds."""
    if cluster.wish.no_node:
        return False
    engines.ensure()
    deadline = time.monotonic() + seconds
    while kind_cluster.is_running(cluster) and time.monotonic() < deadline:
        if cluster.is_answering():
            return True
        time.sleep(0.5)
    return False


def _base(engine: Engine, progress: Progress) -> None:
    if not node_image.is_made(engine) and not node_image.pull_published(engine):
        base_images.ensure(engine, progress)


def _create(name: str, wish: Wish) -> Cluster:
    progress = new_progress()
    if wish.no_node:
        _remove(name)
        cluster = Cluster(name, wish, state.directory_of(name), programs.build(programs.FOR_USE, progress))
        state.begin(cluster)
        _or_nothing(cluster, lambda: plain.start(cluster))
        return cluster
    engine, image = prepare(progress)
    _remove(name)
    cluster = Cluster(
        name,
        wish,
        state.directory_of(name),
        programs.directory(),
        engine=engine.for_user(),
        node_ports=ports.prefer(kind_config.NODE_PORTS),
    )
    state.begin(cluster)
    progress.expect(2)
    _or_nothing(cluster, lambda: _create_kind(cluster, engine, image, progress))
    return cluster


def _clean_up_builds() -> None:
    """End builds whose `up` was killed; one that still runs holds its lock."""
    if lock_is_free(programs.LOCK):
        with lock(programs.LOCK):
            programs.clean_up()
    if lock_is_free(base_images.LOCK):
        with lock(base_images.LOCK):
            base_images.clean_up()
    if lock_is_free(node_image.LOCK):
        with lock(node_image.LOCK):
            node_image.clean_up(engines.find())


def _create_kind(cluster: Cluster, engine: Engine, image: NodeImage, progress: Progress) -> None:
    with progress.step("kind create cluster"):
        kind_cluster.create(cluster, engine, image)
    with progress.step("metrics-server and storage"):
        kind_cluster.add_services(cluster, engine, image)
        _wait_for_storage(cluster)


def _wait_for_storage(cluster: Cluster) -> None:
    deadline = time.monotonic() + 60
    while "standard" not in cluster.kubectl("get", "storageclass", "--output=name"):
        if time.monotonic() > deadline:
            raise NotReady(f'Cluster "{cluster.name}" has no default StorageClass after 60 s.')
        time.sleep(0.2)


def _or_nothing(cluster: Cluster, start: Callable[[], None]) -> None:
    """Complete the cluster, or leave nothing of it."""
    try:
        start()
    except BaseException:
        _remove(cluster.name)
        raise
    state.complete(cluster)


def _remove(name: str) -> None:
    known = state.find(name, unfinished_too=True)
    stop_all(state.owner_of(name))
    if known is None or not known.wish.no_node:
        if known:
            engines.ensure()  # its containers would come back with the engine
        kind_cluster.remove(name, was_killed=known is not None and state.find(name) is None)
    state.remove_directory(name)
