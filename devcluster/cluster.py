"""Start and remove clusters, for the command line, the demo and the tests."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from devcluster import engine as engines
from devcluster import karpenter, plain, state
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
from devcluster.host.waiting import wait_until
from devcluster.kind import cluster as kind_cluster
from devcluster.kind import config as kind_config
from devcluster.state import DEFAULT_NAME, Cluster, Options


def up(
    name: str = DEFAULT_NAME,
    *,
    nodes: int = 1,
    no_node: bool = False,
    extras: Iterable[str] = (),
    cpu_policy: str = "static",
) -> Cluster:
    """Start a cluster, or return the one of that name if it has the same options."""
    return start(name, Options(nodes, no_node, tuple(sorted(set(extras))), cpu_policy), Progress())


def start(name: str, options: Options, progress: Progress) -> Cluster:
    """Do what `up` does, with every option, and show the steps in the caller's progress."""
    if options.kubernetes == _usual_minor():
        options = replace(options, kubernetes="")
    check(options)
    with lock(state.check_name(name)):
        present = state.find(name)
        if present and present.options != options:
            raise DevclusterError(
                f'Cluster "{name}" already exists with other options: {present.options.as_flags()}.\n'
                f"Remove it first (python -m devcluster down --name {name}) or choose another --name."
            )
        if present and (present.is_answering() or _answers_after_restart(present)):
            return present
        return _create(name, options, progress)


def down(name: str = DEFAULT_NAME) -> None:
    """Remove everything of a cluster, complete or not; it is not an error if there is none."""
    with lock(state.check_name(name), remove=True):
        _remove(name)
    _clean_up_builds()


def down_all() -> None:
    """Remove every cluster, and stop the engine if we started it."""
    for name in state.names():
        down(name)
    engines.stop()


def load(name: str, *images: str) -> None:
    """Copy images of the engine to every node of a cluster."""
    cluster = state.get(name)
    if cluster.options.no_node:
        raise DevclusterError(
            f'Cluster "{name}" was started with --no-node, so there is no node to load an image into.'
        )
    engine = engines.ensure()
    for image in images:
        if not engine.has(image):
            raise DevclusterError(f"{engine.client} has no image {image}. Build it first.")
    kind_cluster.load(cluster, engine, images)


def binaries() -> Path:
    """The directory with kubectl, helm, kind, kwok and the control plane, which are built if necessary."""
    return programs.build(programs.FOR_USE, Progress())


def base_image() -> str:
    """The name of the base of the project's images, after making sure that the engine has it."""
    return base_images.ensure(engines.ensure())


def check_requirements() -> None:
    """Fail before any build starts if one of them cannot be done here."""
    if programs.missing(programs.FOR_USE):
        programs.require_go()


def prepare(progress: Progress, kubernetes: str = "") -> tuple[Engine, NodeImage]:
    """Build everything that a cluster with a node needs, the base image and the programs in parallel."""
    check_requirements()
    engine = engines.ensure()  # first, so that a missing engine is reported before minutes of compiling
    with ThreadPoolExecutor(1) as pool:
        base = pool.submit(_ensure_base, engine, progress, kubernetes)
        programs.build_version(kubernetes, programs.FOR_USE, progress)
        base.result()
    return engine, node_image.ensure(engine, progress, kubernetes)


def check(options: Options) -> None:
    for extra in options.extras:
        if extra not in plain.EXTRAS:
            raise DevclusterError(f'Unknown extra "{extra}". Choose from: {", ".join(plain.EXTRAS)}.')
    if options.extras and not options.no_node:
        raise DevclusterError("--with needs --no-node: a cluster with a node has all of these except kwok.")
    if options.nodes not in (1, 2) and not options.no_node:
        raise DevclusterError(f"A cluster has 1 or 2 nodes, not {options.nodes}.")
    if options.kubernetes not in ("", *programs.VERSIONS):
        known = ", ".join((_usual_minor(), *programs.VERSIONS))
        raise DevclusterError(
            f"Kubernetes {options.kubernetes} is not among those that can be built: {known}."
        )
    if options.narrowed and (options.nodes != 2 or options.no_node):
        raise DevclusterError("--narrowed needs --nodes 2: it is the second node that is confined.")
    if options.cpu_policy not in ("static", "none"):
        raise DevclusterError(f'The CPU policy is static or none, not "{options.cpu_policy}".')


def _usual_minor() -> str:
    return programs.kubernetes_version().removeprefix("v").rpartition(".")[0]


def _answers_after_restart(cluster: Cluster, seconds: float = 60) -> bool:
    """Whether a cluster whose engine or node was restarted answers again; that takes about ten seconds."""
    if cluster.options.no_node:
        return False
    engines.ensure()
    wait_until(lambda: cluster.is_answering() or not kind_cluster.is_running(cluster), seconds)
    return cluster.is_answering()


def _ensure_base(engine: Engine, progress: Progress, kubernetes: str) -> None:
    if not node_image.is_made(engine, kubernetes) and (kubernetes or not node_image.pull_published(engine)):
        base_images.ensure(engine, progress)


def _create(name: str, options: Options, progress: Progress) -> Cluster:
    directory = state.directory_of(name)
    if options.no_node:
        _remove(name)
        if "karpenter" in options.extras:
            karpenter.ensure(progress)
        there = programs.build_version(options.kubernetes, programs.FOR_USE, progress)
        cluster = Cluster(name, options, directory, there)
        return _complete_or_remove(cluster, lambda: plain.start(cluster))
    engine, image = prepare(progress, options.kubernetes)
    _remove(name)
    cluster = Cluster(
        name, options, directory, programs.directory(options.kubernetes),
        engine=engine.for_user(), node_ports=ports.prefer(kind_config.NODE_PORTS),
    )  # fmt: skip
    progress.expect(2)
    return _complete_or_remove(cluster, lambda: _create_kind(cluster, engine, image, progress))


def _clean_up_builds() -> None:
    """End builds whose `up` was killed; a build that still runs holds its lock."""
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
    if not wait_until(lambda: "standard" in cluster.kubectl("get", "storageclass", "--output=name"), 60):
        raise NotReady(f'Cluster "{cluster.name}" has no default StorageClass after 60 s.')


def _complete_or_remove(cluster: Cluster, start: Callable[[], None]) -> Cluster:
    """Start a cluster; if that fails, nothing of it is left."""
    state.begin(cluster)
    try:
        start()
    except BaseException:
        _remove(cluster.name)
        raise
    state.complete(cluster)
    return cluster


def _remove(name: str) -> None:
    known = state.find(name, unfinished_too=True)
    stop_all(state.owner_of(name))
    if known is None or not known.options.no_node:
        if known:
            engines.ensure()  # otherwise its containers would return when the engine is started
        kind_cluster.remove(name, was_killed=known is not None and state.find(name) is None)
    state.remove_directory(name)
