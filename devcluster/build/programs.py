"""The Go programs of the cluster, built once from pinned modules into the cache."""

import functools
import json
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
FOR_USE = (CONTROL_PLANE, TOOLS)
FOR_NODES = (NODE, STORAGE, CONTAINERD)


def module_version(module: str, name: str = "cluster") -> str:
    """The version of a module that our go.mod pins."""
    text = (MODULES / name / "go.mod").read_text()
    found = re.search(rf"^(?:\t|require ){re.escape(module)} (v\S+)", text, re.MULTILINE)
    if not found:
        raise RequirementMissing(f"{MODULES / name / 'go.mod'} does not require {module}; add it there.")
    return found[1]


def directory() -> Path:
    """The directory for programs built from exactly these sources; some may still be missing."""
    return paths.cache() / "bin" / fingerprint()


@functools.cache
def fingerprint() -> str:
    """The hash of all sources, computed once: a checkout may change during a build."""
    return paths.fingerprint(_sources(), " ".join(_flags("cluster")))


def missing(groups: tuple[Group, ...]) -> list[Group]:
    there = directory()
    return [group for group in groups if not all((there / name).exists() for name in group.packages)]


def build(groups: tuple[Group, ...], progress: Progress) -> Path:
    """Build the groups that are missing, one after the other, and return the directory."""
    target = directory()
    if not missing(groups):
        paths.remove_unused(target.parent, target)
        return target
    go = require_go()
    paths.require_space(12, "the Go programs")
    with lock(LOCK):
        clean_up()
        target.mkdir(parents=True, exist_ok=True)
        unbuilt = missing(groups)
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


def module_directory(module: str) -> Path:
    """The sources of a module, downloaded if no build has done so yet."""
    runner = Runner(_QUESTION, _environment())
    command = [require_go(), "mod", "download", "-json", module]
    return Path(json.loads(runner.run(command, directory=MODULES / "cluster", timeout=600))["Dir"])


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
    version = module_version(KUBERNETES_MODULE)
    major, minor = version.removeprefix("v").split(".")[:2]
    stamp = "-s -w"
    if module == "cluster":
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
            stamp += f" -X {package}.gitVersion={version} -X {package}.gitMajor={major}"
            stamp += f" -X {package}.gitMinor={minor} -X {package}.gitTreeState=clean"
    return ["-trimpath", "-mod=readonly", "-buildvcs=false", "-ldflags", stamp]


def _environment() -> dict[str, str]:
    return {"CGO_ENABLED": "0", "GOWORK": "off"}


def _sources() -> Iterator[Path]:
    for pattern in ("*/go.mod", "*/go.sum", "*/**/*.go"):
        yield from MODULES.glob(pattern)


def require_go() -> str:
    """The path of a Go that is new enough for our modules."""
    wanted = re.search(r"^go (\S+)$", (MODULES / "cluster" / "go.mod").read_text(), re.MULTILINE)
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
