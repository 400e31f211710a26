"""How the image of a kind node is made from packages: every step, in order.

kind's own `build node-image` does the last of them, from a base image and a release archive that are
put together here.
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
# Those that call iptables or ip.
_ON_IPTABLES = ("kube-proxy", "kindnetd")


@dataclass(frozen=True)
class _Build:
    """One build: its engine, its programs, and the directory it works in."""

    engine: Engine
    programs: Path
    directory: Path
    tag: str

    @property
    def base(self) -> str:
        return f"{BASE}:{self.tag}"

    @property
    def iptables(self) -> str:
        return f"{IPTABLES}:{self.tag}"

    @property
    def context(self) -> Path:
        return self.directory / "context"

    @property
    def log(self) -> Path:
        return paths.logs() / "node-image.log"

    def image(self, tag: str, *options: str) -> None:
        self.engine.build(self.context, tag, *options, log=self.log)

    def target(self, tag: str, target: str) -> None:
        self.image(tag, f"--target={target}", f"--build-arg=BASE_IMAGE={base_image.IMAGE}")


def build(engine: Engine, name: str, workspace: Path, progress: Progress) -> None:
    """Make the image `name` in the engine; `workspace` is an empty directory beside the programs."""
    work = _Build(engine.owned_by(OWNER), programs.directory(), workspace, name.rpartition(":")[2])
    # One waits for the network, the other for the processors.
    with ThreadPoolExecutor(1) as pool:
        system_side = pool.submit(_prepare_system, work, progress)
        programs.build(programs.FOR_NODES, progress)
        system_side.result()
    _link_programs(work)
    with progress.step("node image: base with container runtime"):
        work.target(work.base, "kind-base")
    with progress.step("node image: control plane images"):
        release = _release(work)
    with progress.step("node image: kind build node-image"):
        _kind_build(work, name, release)


def _prepare_system(build: _Build, progress: Progress) -> None:
    base_image.ensure(build.engine, progress)
    with progress.step("node image: system packages"):
        _lay_out_context(build.context)
        build.target(build.iptables, "iptables")
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
    for file in ("Dockerfile", "stage"):
        shutil.copy(paths.SOURCES / "node" / file, context / file)


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
            base = build.iptables if program in _ON_IPTABLES else "scratch"
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
    archives.pack_release(programs.module_version(programs.KUBERNETES_MODULE), files, target)
    return target


def _kubernetes_images(build: _Build) -> dict[str, str]:
    """The names kubeadm expects, by program; newer programs under these names are all right."""
    version = programs.module_version(programs.KUBERNETES_MODULE)
    command: list[str | Path] = [build.programs / "kubeadm", "config", "images", "list"]
    images = Runner(OWNER).run([*command, "--kubernetes-version", version]).split()
    by_program = {image.rpartition(":")[0].rpartition("/")[2]: image for image in images}
    # The pods' sandboxes come from the image that kind's container runtime is set to.
    return {program: image for program, image in by_program.items() if program != "pause"}


def _kind_build(build: _Build, name: str, release: Path) -> None:
    unfinished = f"{name}-unfinished"
    runner = Runner(OWNER, build.engine.for_kind(), build.log)
    command: list[str | Path] = [build.programs / "kind", "build", "node-image", "--type=file", release]
    runner.run([*command, "--base-image", build.base, "--image", unfinished], timeout=900)
    dockerfile = paths.SOURCES / "node" / "final.Dockerfile"
    build.image(name, f"--file={dockerfile}", f"--build-arg=BASE_IMAGE={unfinished}")
    build.engine.run("image", "rm", unfinished)
