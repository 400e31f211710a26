"""The image of a kind node: the published one if a registry answers, otherwise our own, built from packages.

Ours is also kept as an archive, so that no build is needed when the engine has lost its data.
"""

import contextlib
import functools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from devcluster.build import base_image, node_steps, programs, upstream
from devcluster.engine import Engine
from devcluster.errors import CommandFailed
from devcluster.host import paths, system
from devcluster.host.lock import lock
from devcluster.host.process import stop_all
from devcluster.host.progress import Progress

LOCK = "node-image"
_REPOSITORY = "modelserver-dev/node"
_RECIPE = ("node_steps.py", "archives.py", "upstream.py")


@dataclass(frozen=True)
class NodeImage:
    name: str
    is_ours: bool = True


@functools.cache
def fingerprint(kubernetes: str = "") -> str:
    """The hash of all that goes into our image, computed once: a checkout may change during a build."""
    sources = [file for file in (paths.SOURCES / "node").iterdir() if file.is_file()]
    sources += [Path(__file__).with_name(name) for name in _RECIPE]
    limits = "limits" if system.may_raise_limits() else "no limits"
    return paths.fingerprint(sources, programs.directory(kubernetes).name, base_image.fingerprint(), limits)


def name(kubernetes: str = "") -> str:
    return f"{_REPOSITORY}:{programs.kubernetes_version(kubernetes)}-{fingerprint(kubernetes)}"


def archive(kubernetes: str = "") -> Path:
    return paths.cache() / "node-image" / f"{fingerprint(kubernetes)}.tar"


def ensure(engine: Engine, progress: Progress, kubernetes: str = "") -> NodeImage:
    """The node image with this minor version ("": the usual), after making sure that the engine has it."""
    if archive(kubernetes).exists():
        paths.remove_unused(archive(kubernetes).parent, archive(kubernetes))
    if engine.has(name(kubernetes)):
        return NodeImage(name(kubernetes))
    if archive(kubernetes).exists():
        progress.expect(1)
        with progress.step("node image: load from the cache"):
            engine.run("load", "--input", archive(kubernetes), timeout=600)
        return NodeImage(name(kubernetes))
    if not kubernetes and (published := pull_published(engine)):
        return published
    with lock(LOCK):
        if not engine.has(name(kubernetes)):  # another `up` may have built it while we waited
            clean_up(engine)
            _build(engine, progress, kubernetes)
    return NodeImage(name(kubernetes))


def is_made(engine: Engine, kubernetes: str = "") -> bool:
    """Whether our own image is already built."""
    return engine.has(name(kubernetes)) or archive(kubernetes).exists()


def pull_published(engine: Engine) -> NodeImage | None:
    """The image that kind itself would use, if the engine has it or can pull it."""
    published = upstream.published_node_image()
    if engine.has(published) or engine.can_pull(published, timeout=600):
        return NodeImage(published, is_ours=False)
    return None


def clean_up(engine: Engine | None) -> None:
    """Remove what a killed build left. The caller holds the lock."""
    stop_all(node_steps.OWNER)
    for staging in archive().parent.glob(".building-*"):
        shutil.rmtree(staging, ignore_errors=True)
    if engine:
        lines = engine.run("ps", "--all", "--format", "{{.ID}} {{.Image}}").splitlines()
        containers = [line.split()[0] for line in lines if line.split()[1].startswith(f"{node_steps.BASE}:")]
        if containers:
            engine.run("rm", "--force", "--volumes", *containers)


def _build(engine: Engine, progress: Progress, kubernetes: str) -> None:
    paths.require_space(8, "the node image")
    progress.expect(node_steps.STEPS)
    archive(kubernetes).parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive(kubernetes).parent, prefix=".building-") as directory:
        node_steps.build(engine, name(kubernetes), Path(directory), progress, kubernetes)
        with progress.step("node image: keep a copy in the cache"):
            unfinished = Path(directory) / "node-image.tar"
            engine.owned_by(node_steps.OWNER).run(
                "save", "--output", unfinished, name(kubernetes), timeout=600
            )
            unfinished.rename(archive(kubernetes))
    paths.remove_unused(archive(kubernetes).parent, archive(kubernetes))
    _forget_older(engine)


def _forget_older(engine: Engine) -> None:
    """Remove images of earlier sources; the engine refuses for one that a cluster uses."""
    current = tuple(fingerprint(minor) for minor in ("", *programs.VERSIONS))
    ours = (_REPOSITORY, node_steps.BASE, node_steps.IPTABLES)
    for image in engine.run("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split():
        repository, _, tag = image.rpartition(":")
        if repository in ours and not tag.endswith(current):
            with contextlib.suppress(CommandFailed):
                engine.run("image", "rm", image)
