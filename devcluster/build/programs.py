"""The Go programs of the cluster, built once from pinned modules into the cache."""

import contextlib
import functools
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devcluster.errors import RequirementMissing
from devcluster.host import paths
from devcluster.host.lock import lock
from devcluster.host.process import Runner, stop_all
from devcluster.host.progress import Progress

MODULES = paths.SOURCES / "gotools"
KUBERNETES_MODULE = "k8s.io/kubernetes"
OWNER = LOCK = "go-build"
_QUESTION = "go"


@dataclass(frozen=True)
class Group:
    """Programs that are built by one go command, each with its package."""

    title: str
    module: str
    packages: dict[str, str]


def _kubernetes(*names: str) -> dict[str, str]:
    return {name: f"{KUBERNETES_MODULE}/cmd/{name}" for name in names}


def _plugins(*names: str) -> dict[str, str]:
    return {Path(name).name: f"github.com/containernetworking/plugins/plugins/{name}" for name in names}


CONTROL_PLANE = Group(
    "Kubernetes control plane and etcd",
    "cluster",
    _kubernetes("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubeadm", "kubectl")
    | {"etcd": "go.etcd.io/etcd/server/v3"},
)
TOOLS = Group(
    "kind, helm, kwok, metrics-server",
    "cluster",
    {
        "kind": "sigs.k8s.io/kind",
        "helm": "helm.sh/helm/v4/cmd/helm",
        "kwok": "sigs.k8s.io/kwok/cmd/kwok",
        "metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server",
    },
)
NODE = Group(
    "kubelet, kube-proxy, CoreDNS, network programs",
    "cluster",
    _kubernetes("kubelet", "kube-proxy")
    | {
        "coredns": "github.com/coredns/coredns",
        "metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server",
    }
    | _plugins("ipam/host-local", "main/loopback", "main/ptp", "meta/portmap")
    | {"kindnetd": "./kindnetd", "crictl": "./crictl", "pause": "./pause"},
)
STORAGE = Group(
    "local-path-provisioner",
    "local-path-provisioner",
    {"local-path-provisioner": "github.com/rancher/local-path-provisioner"},
)
CONTAINERD = Group(
    "containerd",
    "containerd",
    {
        name: f"github.com/containerd/containerd/v2/cmd/{name}"
        for name in ("containerd", "containerd-shim-runc-v2", "ctr")
    },
)
KEDA = Group(
    "KEDA",
    "keda",
    {
        "keda-operator": "github.com/kedacore/keda/v2/cmd/operator",
        "keda-adapter": "github.com/kedacore/keda/v2/cmd/adapter",
    },
)
PIN = Group("NRI plugin of the tests", "nri", {"pin": "./pin"})
KARPENTER = Group("Karpenter", "karpenter", {"karpenter": "sigs.k8s.io/karpenter/kwok"})
VERSIONS = {
    "1.37": Group(
        "Kubernetes 1.37",
        "kubernetes-1.37",
        _kubernetes(
            "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubeadm", "kubectl",
            "kubelet", "kube-proxy",
        ),
    ),
}  # fmt: skip
"""By minor version, the programs that take the place of those of the module `cluster`."""
FOR_USE = (CONTROL_PLANE, TOOLS)
FOR_NODES = (NODE, STORAGE, CONTAINERD)


def module_version(module: str, name: str = "cluster") -> str:
    """The version of a module that our go.mod pins."""
    text = (MODULES / name / "go.mod").read_text()
    found = re.search(rf"^(?:\t|require ){re.escape(module)} (v\S+)", text, re.MULTILINE)
    if not found:
        raise RequirementMissing(f"{MODULES / name / 'go.mod'} does not require {module}; add it there.")
    return found[1]


def kubernetes_version(minor: str = "") -> str:
    """The pinned version of Kubernetes, with "" the usual one, otherwise of this minor version."""
    return module_version(KUBERNETES_MODULE, VERSIONS[minor].module if minor else "cluster")


def directory(minor: str = "") -> Path:
    """The directory for programs built from exactly these sources; some may still be missing."""
    name = fingerprint()
    if minor:
        module = VERSIONS[minor].module
        name = paths.fingerprint(_sources(module), " ".join(_flags(module)), name)
    return paths.cache() / "bin" / name


@functools.cache
def fingerprint() -> str:
    """The hash of the sources of clusters, computed once: a checkout may change during a build."""
    modules = sorted({group.module for group in (*FOR_USE, *FOR_NODES)})
    return paths.fingerprint(_sources(*modules), " ".join(_flags("cluster")))


def missing(groups: tuple[Group, ...]) -> list[Group]:
    return _missing(groups, directory())


def build(groups: tuple[Group, ...], progress: Progress) -> Path:
    """Build the groups that are missing, one after the other, and return the directory."""
    return _complete(groups, directory(), progress)


def build_version(minor: str, groups: tuple[Group, ...], progress: Progress) -> Path:
    """The same with the Kubernetes of this minor version, with "" the usual one; the rest is shared."""
    usual = build(groups, progress)
    if not minor:
        return usual
    target = _complete((VERSIONS[minor],), directory(minor), progress)
    for program in usual.iterdir():
        with contextlib.suppress(FileExistsError):
            if program.is_file():
                os.link(program, target / program.name)
    return target


def build_separately(group: Group, progress: Progress) -> Path:
    """The same in a directory of its own, for what only a few tests use.

    A new version of it then causes no other build, and nothing else waits for it.
    """
    sources = paths.fingerprint(_sources(group.module), " ".join(_flags(group.module)))
    return _complete((group,), paths.cache() / "bin" / sources, progress)


def _missing(groups: tuple[Group, ...], there: Path) -> list[Group]:
    return [group for group in groups if not all((there / name).exists() for name in group.packages)]


def _complete(groups: tuple[Group, ...], target: Path, progress: Progress) -> Path:
    if not _missing(groups, target):
        paths.remove_unused(target.parent, target)
        return target
    go = require_go(groups[0].module)
    paths.require_space(12, "the Go programs")
    with lock(LOCK):
        clean_up()
        target.mkdir(parents=True, exist_ok=True)
        unbuilt = _missing(groups, target)
        progress.expect(len(unbuilt))
        for group in unbuilt:
            with progress.step(f"Go: {group.title}"):
                _build(go, group, target)
        paths.remove_unused(target.parent, target)
    return target


def clean_up() -> None:
    """Remove what a killed build left. The caller holds the lock."""
    stop_all(OWNER)
    for staging in (paths.cache() / "bin").glob("*/.building-*"):
        shutil.rmtree(staging, ignore_errors=True)


def module_directory(module: str, name: str = "cluster") -> Path:
    """The sources of a module that our module of this name pins, downloaded if no build has done so yet."""
    runner = Runner(_QUESTION, _environment())
    command = [require_go(name), "mod", "download", "-json", module]
    return Path(json.loads(runner.run(command, directory=MODULES / name, timeout=600))["Dir"])


def _build(go: str, group: Group, target: Path) -> None:
    runner = Runner(OWNER, _environment(), paths.logs() / "go-build.log")
    with tempfile.TemporaryDirectory(dir=target, prefix=".building-") as staging:
        command = [go, "build", *_flags(group.module), "-o", f"{staging}/", *group.packages.values()]
        runner.run(command, directory=MODULES / group.module, timeout=3600)
        for name, package in group.packages.items():
            # Go names a program after the last part of its package that is not a major version.
            built = re.sub(r"/v\d+$", "", package).rpartition("/")[2]
            shutil.move(Path(staging) / built, target / name)


def _flags(module: str) -> list[str]:
    # One set of flags for a whole module, so that packages compiled for one group are reused by the next.
    stamp = "-s -w"
    if module in {"cluster", *(group.module for group in VERSIONS.values())}:
        version = module_version(KUBERNETES_MODULE, module)
        major, minor = version.removeprefix("v").split(".")[:2]
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
            stamp += f" -X {package}.gitVersion={version} -X {package}.gitMajor={major}"
            stamp += f" -X {package}.gitMinor={minor} -X {package}.gitTreeState=clean"
    # KEDA reads time zones, and its image has no file but the program.
    tags = ["-tags", "timetzdata"] if module == KEDA.module else []
    return ["-trimpath", "-mod=readonly", "-buildvcs=false", *tags, "-ldflags", stamp]


def _environment() -> dict[str, str]:
    return {"CGO_ENABLED": "0", "GOWORK": "off"}


def _sources(*modules: str) -> Iterator[Path]:
    for module in modules:
        for pattern in ("go.mod", "go.sum", "**/*.go"):
            yield from (MODULES / module).glob(pattern)


def require_go(module: str = "cluster") -> str:
    """The path of a Go that is new enough for this module of ours."""
    wanted = re.search(r"^go (\S+)$", (MODULES / module / "go.mod").read_text(), re.MULTILINE)
    version = wanted[1] if wanted else "?"
    go = shutil.which("go")
    if not go:
        raise RequirementMissing(
            f"Go {version} or newer is needed to build the cluster's programs, but no `go` is on PATH.\n"
            f"Install it from go.dev/dl (Debian's package is too old) and put its bin directory on PATH."
        )
    have = Runner(_QUESTION).run([go, "env", "GOVERSION"]).strip().removeprefix("go")
    if _numbers(have) < _numbers(version):
        raise RequirementMissing(f"Go {version} or newer is needed, but {go} is {have}. Install a newer one.")
    return go


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
