"""Manifests and names taken from the Go modules of the programs that we build."""

import json
import re
import shutil
import tempfile
from pathlib import Path

from devcluster.build.programs import module_directory, module_version
from devcluster.host.process import Runner

METRICS_SERVER_IMAGE = "modelserver-dev/metrics-server"
_KIND = "sigs.k8s.io/kind"
_KARPENTER = "sigs.k8s.io/karpenter"


def metrics_server_image() -> str:
    return f"{METRICS_SERVER_IMAGE}:{module_version('sigs.k8s.io/metrics-server')}"


def kwok_stages(programs: Path) -> Path:
    """How kwok simulates nodes and pods: ready immediately, kept alive by leases."""
    target = programs / "share" / "kwok-stages.yaml"
    if not target.exists():
        stages = module_directory("sigs.k8s.io/kwok") / "kustomize" / "stage"
        files = [
            *(stages / "node" / "fast").glob("node-*.yaml"),
            *(stages / "node" / "heartbeat-with-lease").glob("node-*.yaml"),
            *(stages / "pod" / "fast").glob("pod-*.yaml"),
        ]
        _write(target, "\n---\n".join(file.read_text() for file in sorted(files)))
    return target


def scaled_object_crd() -> Path:
    """KEDA's own, of the version that is built."""
    bases = module_directory("github.com/kedacore/keda/v2", "keda") / "config" / "crd" / "bases"
    return bases / "keda.sh_scaledobjects.yaml"


def capacity_buffer_crd() -> Path:
    """As Karpenter brings it."""
    crds = module_directory(_KARPENTER, "karpenter") / "pkg" / "apis" / "crds"
    return crds / "autoscaling.x-k8s.io_capacitybuffers.yaml"


def karpenter_crds(programs: Path) -> Path:
    """Karpenter's own kinds, those of its provider of simulated nodes, and CapacityBuffer."""
    target = programs / "share" / "karpenter-crds.yaml"
    if not target.exists():
        sources = module_directory(_KARPENTER, "karpenter")
        files = [
            *(sources / "pkg" / "apis" / "crds").glob("*.yaml"),
            *(sources / "kwok" / "apis" / "crds").glob("*.yaml"),
        ]
        _write(target, "\n---\n".join(file.read_text() for file in sorted(files)))
    return target


def metrics_server(programs: Path) -> Path:
    """metrics-server's own manifests, with our image and small requests, for self-signed kubelets."""
    target = programs / "share" / "metrics-server.yaml"
    if not target.exists():
        base = module_directory("sigs.k8s.io/metrics-server") / "manifests" / "base"
        with tempfile.TemporaryDirectory() as directory:
            shutil.copytree(base, Path(directory) / "base")
            (Path(directory) / "kustomization.yaml").write_text(json.dumps(_metrics_kustomization()))
            _write(target, Runner("kustomize").run([programs / "kubectl", "kustomize", directory]))
    return target


def _metrics_kustomization() -> dict[str, object]:
    container = "/spec/template/spec/containers/0"
    patch = [
        {"op": "replace", "path": f"{container}/image", "value": metrics_server_image()},
        {"op": "add", "path": f"{container}/args/-", "value": "--kubelet-insecure-tls"},
        {
            "op": "replace",
            "path": f"{container}/resources/requests",
            "value": {"cpu": "10m", "memory": "64Mi"},
        },
        {"op": "replace", "path": f"{container}/readinessProbe/initialDelaySeconds", "value": 1},
    ]
    return {
        "resources": ["base"],
        "patches": [{"target": {"kind": "Deployment"}, "patch": json.dumps(patch)}],
    }


def kind_files() -> Path:
    """The files that kind's own base image adds to Debian."""
    return module_directory(_KIND) / "images" / "base" / "files"


def kind_image_names() -> dict[str, str]:
    """The images that kind's manifests use; they change with each release of kind."""
    nodeimage = module_directory(_KIND) / "pkg" / "build" / "nodeimage"
    return {
        "kindnetd": _constant(nodeimage / "const_cni.go", "kindnetdImage"),
        "local-path-provisioner": _constant(nodeimage / "const_storage.go", "storageProvisionerImage"),
        "local-path-helper": _constant(nodeimage / "const_storage.go", "storageHelperImage"),
        "pause": _constant(kind_files() / "etc" / "containerd" / "config.toml", "sandbox_image"),
    }


def published_node_image() -> str:
    """The node image that this release of kind uses by default."""
    defaults = module_directory(_KIND) / "pkg" / "apis" / "config" / "defaults" / "image.go"
    return _constant(defaults, "Image")


def _constant(file: Path, name: str) -> str:
    found = re.search(rf'\b{name}\s+=\s+"([^"]+)"', file.read_text())
    if not found:
        raise LookupError(f"{file} does not set {name} any more; see what this release of kind calls it")
    return found[1]


def _write(target: Path, text: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".unfinished")
    unfinished.write_text(text)
    unfinished.replace(target)
