"""How the image of a kind node is built from packages: every step, in order.

The last one is kind's own `build node-image`, with a base image and a release archive that the steps
before it prepare.
"""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from devcluster.build import archives, base_image, programs, upstream
from devcluster.engine import Engine
from devcluster.host import paths, system
from devcluster.host.process import Runner
from devcluster.host.progress import Progress

OWNER = "node-image"
BASE = "modelserver-dev/kind-base"
IPTABLES = "modelserver-dev/iptables"
STEPS = 5
# Programs that call iptables or ip.
_NEED_IPTABLES = ("kube-proxy", "kindnetd")


@dataclass(frozen=True)
class _Build:
    """One build: its engine, its programs, and its working directory."""

    engine: Engine
    programs: Path
    directory: Path
    tag: str
    kubernetes: str
    """Its minor version, "" for the usual one."""

    @property
    def base(self) -> str:
        return f"{BASE}:{self.tag}"

    @property
    def iptables(self) -> str:
        return f"{IPTABLES}:{self.tag}"

    @property
    def context(self) -> Path:
        return self.directory / "context"

    def image(self, tag: str, *options: str) -> None:
        self.engine.build(self.context, tag, *options, log=_log())

    def target(self, tag: str, target: str) -> None:
        self.image(tag, f"--target={target}", f"--build-arg=BASE_IMAGE={base_image.IMAGE}")


def build(engine: Engine, name: str, workspace: Path, progress: Progress, kubernetes: str = "") -> None:
    """Build the image `name`; `workspace` is an empty directory on the same file system as the programs."""
    there = programs.directory(kubernetes)
    work = _Build(engine.owned_by(OWNER), there, workspace, name.rpartition(":")[2], kubernetes)
    # In parallel: packages wait for the network, programs for the processors.
    with ThreadPoolExecutor(1) as pool:
        packages = pool.submit(_install_packages, work, progress)
        programs.build_version(kubernetes, programs.FOR_NODES, progress)
        packages.result()
    _link_programs(work)
    with progress.step("node image: base with container runtime"):
        work.target(work.base, "kind-base")
    with progress.step("node image: control plane images"):
        release = _release(work)
    with progress.step("node image: kind build node-image"):
        _kind_build(work, name, release)


def _install_packages(build: _Build, progress: Progress) -> None:
    base_image.ensure(build.engine, progress)
    with progress.step("node image: system packages"):
        _lay_out_context(build.context)
        build.target(build.iptables, "iptables")
        build.target(upstream.kind_image_names()["local-path-helper"], "local-path-helper")


def _lay_out_context(context: Path) -> None:
    files = context / "files"
    shutil.copytree(upstream.kind_files(), files)
    # In Go's module cache every file is read-only and none is executable.
    executable = {files / "usr" / "local" / "bin", files / "kind" / "bin"}
    files.chmod(0o755)
    for entry in files.rglob("*"):
        entry.chmod(0o755 if entry.is_dir() or entry.parent in executable else 0o644)
    shutil.rmtree(files / "LICENSES")
    if not system.may_raise_limits():
        settings = files / "etc" / "containerd" / "config.toml"
        text = settings.read_text()
        settings.write_text(text.replace("restrict_oom_score_adj = false", "restrict_oom_score_adj = true"))
    for file in ("Dockerfile", "stage"):
        shutil.copy(paths.SOURCES / "node" / file, context / file)


def _link_programs(build: _Build) -> None:
    directory = build.context / "programs"
    directory.mkdir()
    for program in build.programs.iterdir():
        if program.is_file():
            os.link(program, directory / program.name)


def component_dockerfile(program: str, base: str) -> str:
    """An image with one program; PATH is set because kubeadm's manifests call programs by bare names."""
    return (
        f"FROM {base}\n"
        f"COPY programs/{program} /usr/local/bin/\n"
        "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
        f'ENTRYPOINT ["/usr/local/bin/{program}"]\n'
    )


def build_component(engine: Engine, context: Path, program: str, image: str, base: str = "scratch") -> None:
    """Build the image of a program in context/programs."""
    dockerfile = context / f"{program}.Dockerfile"
    dockerfile.write_text(component_dockerfile(program, base))
    engine.build(context, image, f"--file={dockerfile}", log=_log())


def _release(build: _Build) -> Path:
    """The images as kind expects them: four archives with fixed names; any other images go into the last."""
    names = _kubernetes_images(build) | upstream.kind_image_names()
    names["metrics-server"] = upstream.metrics_server_image()
    helper = names.pop("local-path-helper")
    build.target(names["pause"], "pause")
    for program, image in names.items():
        if program != "pause":
            base = build.iptables if program in _NEED_IPTABLES else "scratch"
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
    archives.pack_release(programs.kubernetes_version(build.kubernetes), files, target)
    return target


def _kubernetes_images(build: _Build) -> dict[str, str]:
    """The image names that kubeadm expects, by program; a newer program under such a name is fine."""
    version = programs.kubernetes_version(build.kubernetes)
    command: list[str | Path] = [build.programs / "kubeadm", "config", "images", "list"]
    images = Runner(OWNER).run([*command, "--kubernetes-version", version]).split()
    by_program = {image.rpartition(":")[0].rpartition("/")[2]: image for image in images}
    # kubeadm's pause image is not used: kind's container runtime is configured with another one.
    return {program: image for program, image in by_program.items() if program != "pause"}


def _kind_build(build: _Build, name: str, release: Path) -> None:
    unfinished = f"{name}-unfinished"
    runner = Runner(OWNER, build.engine.for_kind(), _log())
    command: list[str | Path] = [build.programs / "kind", "build", "node-image", "--type=file", release]
    runner.run([*command, "--base-image", build.base, "--image", unfinished], timeout=900)
    dockerfile = paths.SOURCES / "node" / "final.Dockerfile"
    build.image(name, f"--file={dockerfile}", f"--build-arg=BASE_IMAGE={unfinished}")
    build.engine.run("image", "rm", unfinished)


def _log() -> Path:
    return paths.logs() / "node-image.log"
