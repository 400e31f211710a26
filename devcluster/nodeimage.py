"""The image of a kind node: the published one where a registry answers, else made from packages.

Made by kind's own `build node-image` from a base image and a release archive that are put together
here, and kept as an archive, so that a machine that lost its engine's data needs no build.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devcluster import archives, gobuild, paths, rootfs, system, upstream
from devcluster.engine import Engine
from devcluster.errors import CommandFailed
from devcluster.lock import lock
from devcluster.process import Runner, stop_all
from devcluster.progress import Progress

OWNER = LOCK = "node-image"
_REPOSITORY = "modelserver-dev/node"
_BASE = "modelserver-dev/kind-base"
_IPTABLES = "modelserver-dev/iptables"
# Those that call iptables or ip.
_ON_IPTABLES = ("kube-proxy", "kindnetd")
_STEPS = 5


@dataclass(frozen=True)
class NodeImage:
    name: str
    is_ours: bool = True


@dataclass(frozen=True)
class _Build:
    """One build: its engine, its programs, and the directory it works in."""

    engine: Engine
    programs: Path
    directory: Path

    @property
    def context(self) -> Path:
        return self.directory / "context"

    @property
    def log(self) -> Path:
        return paths.logs() / "node-image.log"

    def image(self, tag: str, *options: str) -> None:
        self.engine.build(self.context, tag, *options, log=self.log)

    def target(self, tag: str, target: str) -> None:
        self.image(tag, f"--target={target}", f"--build-arg=BASE_IMAGE={rootfs.IMAGE}")


def fingerprint() -> str:
    sources = [file for file in (paths.SOURCES / "node").iterdir() if file.is_file()]
    sources += [paths.SOURCES / "nodeimage.py", paths.SOURCES / "archives.py"]
    limits = "limits" if system.may_raise_limits() else "no limits"
    return paths.fingerprint(sources, gobuild.directory().name, rootfs.fingerprint(), limits)


def name() -> str:
    return f"{_REPOSITORY}:{gobuild.module_version(gobuild.KUBERNETES_MODULE)}-{fingerprint()}"


def archive() -> Path:
    return paths.cache() / "node-image" / f"{fingerprint()}.tar"


def ensure(engine: Engine, progress: Progress) -> NodeImage:
    """The node image, which the engine has afterwards."""
    if engine.has(name()):
        return NodeImage(name())
    if archive().exists():
        progress.expect(1)
        with progress.step("node image: load from the cache"):
            engine.run("load", "--input", archive(), timeout=600)
        return NodeImage(name())
    if published := pull_published(engine):
        return published
    with lock(LOCK):
        if not engine.has(name()):  # another `up` may have built it while we waited
            clean_up(engine)
            progress.expect(_STEPS + len(gobuild.missing(gobuild.FOR_NODES)))
            _build(engine, progress)
    return NodeImage(name())


def is_made(engine: Engine) -> bool:
    """Whether our own image needs no build."""
    return engine.has(name()) or archive().exists()


def pull_published(engine: Engine) -> NodeImage | None:
    """The image that kind itself would use, if it is here or a registry answers."""
    published = upstream.published_node_image()
    if engine.has(published) or engine.can_pull(published, patience=600):
        return NodeImage(published, is_ours=False)
    return None


def clean_up(engine: Engine | None) -> None:
    """Remove what a killed build left; call it under the lock only."""
    stop_all(OWNER)
    for left in archive().parent.glob(".building-*"):
        shutil.rmtree(left, ignore_errors=True)
    if engine:
        lines = engine.run("ps", "--all", "--format", "{{.ID}} {{.Image}}").splitlines()
        containers = [line.split()[0] for line in lines if line.split()[1].startswith(f"{_BASE}:")]
        if containers:
            engine.run("rm", "--force", "--volumes", *containers)


def _build(engine: Engine, progress: Progress) -> None:
    paths.require_space(8, "the node image")
    with _workspace(engine) as build:
        # One waits for the network, the other for the processors.
        with ThreadPoolExecutor(2) as pool:
            system_side = pool.submit(_prepare_system, build, progress)
            gobuild.build(gobuild.FOR_NODES, progress)
            system_side.result()
        _link_programs(build)
        with progress.step("node image: base with container runtime"):
            build.target(f"{_BASE}:{fingerprint()}", "kind-base")
        with progress.step("node image: control plane images"):
            release = _release(build)
        with progress.step("node image: kind build node-image"):
            _kind_build(build, release)
        with progress.step("node image: keep a copy in the cache"):
            _save(build)


@contextmanager
def _workspace(engine: Engine) -> Iterator[_Build]:
    root = archive().parent
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".building-") as directory:
        yield _Build(engine.owned_by(OWNER), gobuild.directory(), Path(directory))


def _prepare_system(build: _Build, progress: Progress) -> None:
    rootfs.base_image(build.engine, progress)
    with progress.step("node image: system packages"):
        _lay_out_context(build.context)
        build.target(f"{_IPTABLES}:{fingerprint()}", "iptables")
        build.target(upstream.kind_image_names()["local-path-helper"], "local-path-helper")


def _lay_out_context(context: Path) -> None:
    files = context / "files"
    shutil.copytree(upstream.kind_files(), files)
    # Go's module cache has everything read-only and nothing executable.
    executable = {files / "usr" / "local" / "bin", files / "kind" / "bin"}
    files.chmod(0o755)
    for entry in files.rglob("*"):
        entry.chmod(0o755 if entry.is_dir() or entry.parent in executable else 0o644)
    shutil.rmtree(files / "LICENSES")
    if not system.may_raise_limits():
        settings = files / "etc" / "containerd" / "config.toml"
        text = settings.read_text()
        settings.write_text(text.replace("restrict_oom_score_adj = false", "restrict_oom_score_adj = true"))
    for name in ("Dockerfile", "stage"):
        shutil.copy(paths.SOURCES / "node" / name, context / name)


def _link_programs(build: _Build) -> None:
    directory = build.context / "programs"
    directory.mkdir()
    for program in build.programs.iterdir():
        if program.is_file():
            os.link(program, directory / program.name)


def component_dockerfile(program: str, base: str) -> str:
    """One program as an image; kubeadm's manifests call programs by bare names, hence PATH."""
    return (
        f"FROM {base}\n"
        f"COPY programs/{program} /usr/local/bin/\n"
        "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
        f'ENTRYPOINT ["/usr/local/bin/{program}"]\n'
    )


def build_component(engine: Engine, context: Path, program: str, image: str, base: str = "scratch") -> None:
    """Make the image of a program that lies in context/programs."""
    dockerfile = context / f"{program}.Dockerfile"
    dockerfile.write_text(component_dockerfile(program, base))
    engine.build(context, image, f"--file={dockerfile}", log=paths.logs() / "node-image.log")


def _release(build: _Build) -> Path:
    """The images as kind takes them: four archives by name, of which the last may hold any others."""
    names = _kubernetes_images(build) | upstream.kind_image_names()
    names["metrics-server"] = upstream.metrics_server_image()
    helper = names.pop("local-path-helper")
    build.target(names["pause"], "pause")
    for program, image in names.items():
        if program != "pause":
            base = f"{_IPTABLES}:{fingerprint()}" if program in _ON_IPTABLES else "scratch"
            build_component(build.engine, build.context, program, image, base)
    files = {name: build.programs / name for name in ("kubeadm", "kubelet", "kubectl")}
    for program in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        files[f"{program}.tar"] = build.directory / f"{program}.tar"
        build.engine.run("save", "--output", files[f"{program}.tar"], names.pop(program))
    rest = [*names.values(), helper]
    build.engine.run("save", "--output", build.directory / "rest.tar", *rest)
    files["kube-proxy.tar"] = build.directory / "kube-proxy.tar"
    archives.rewrite_for_kind(build.directory / "rest.tar", files["kube-proxy.tar"], rest)
    target = build.directory / "release.tar.gz"
    archives.pack_release(gobuild.module_version(gobuild.KUBERNETES_MODULE), files, target)
    return target


def _kubernetes_images(build: _Build) -> dict[str, str]:
    """The names kubeadm expects, by program; newer programs under these names are all right."""
    version = gobuild.module_version(gobuild.KUBERNETES_MODULE)
    command: list[str | Path] = [
        build.programs / "kubeadm",
        "config",
        "images",
        "list",
        "--kubernetes-version",
        version,
    ]
    images = Runner(OWNER).run(command).split()
    by_program = {image.rpartition(":")[0].rpartition("/")[2]: image for image in images}
    # The pods' sandboxes come from the image that kind's container runtime is set to.
    return {program: image for program, image in by_program.items() if program != "pause"}


def _kind_build(build: _Build, release: Path) -> None:
    unfinished = f"{_REPOSITORY}:unfinished-{fingerprint()}"
    runner = Runner(OWNER, build.engine.for_kind(), build.log)
    base = f"{_BASE}:{fingerprint()}"
    command: list[str | Path] = [
        build.programs / "kind",
        "build",
        "node-image",
        "--type=file",
        "--base-image",
        base,
    ]
    runner.run([*command, "--image", unfinished, release], timeout=900)
    dockerfile = paths.SOURCES / "node" / "final.Dockerfile"
    build.image(name(), f"--file={dockerfile}", f"--build-arg=BASE_IMAGE={unfinished}")
    build.engine.run("image", "rm", unfinished)


def _save(build: _Build) -> None:
    unfinished = build.directory / "node-image.tar"
    build.engine.run("save", "--output", unfinished, name(), timeout=600)
    unfinished.rename(archive())
    paths.forget_unused(archive().parent, archive())
    _forget_older(build.engine)


def _forget_older(engine: Engine) -> None:
    """Images of earlier sources that no cluster uses."""
    for image in engine.run("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split():
        repository, _, tag = image.rpartition(":")
        if repository in (_REPOSITORY, _BASE, _IPTABLES) and not tag.endswith(fingerprint()):
            with contextlib.suppress(CommandFailed):
                engine.run("image", "rm", image)
