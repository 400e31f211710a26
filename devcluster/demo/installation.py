"""Install the operator and the examples' models on a cluster, for the demo and the end-to-end tests."""

import re
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

from devcluster.errors import CommandFailed
from devcluster.kubectl import Kubernetes

ROOT = Path(__file__).resolve().parent.parent.parent
CHART = ROOT / "charts" / "modelserver-operator"
EXAMPLES = ROOT / "examples"
RELEASE = "modelserver-operator"
SYSTEM_NAMESPACE = "modelserver-system"


def install_operator(
    kubernetes: Kubernetes, operator: str, server: str, chart: Path = CHART, values: Iterable[str] = ()
) -> None:
    """Install or upgrade the operator by Helm, with these images (`repository:tag`), and wait for it."""
    repository, _, tag = operator.rpartition(":")
    command = (
        "upgrade", "--install", RELEASE, str(chart),
        "--namespace", SYSTEM_NAMESPACE, "--create-namespace",
        "--set", f"image.repository={repository}", "--set-string", f"image.tag={tag}",
        "--set", f"serverImages.cpu={server}", *(f"--set={value}" for value in values),
        "--wait", "--timeout", "120s",
    )  # fmt: skip
    try:
        kubernetes.helm(*command)
    except CommandFailed as error:
        raise CommandFailed(f"{error}\n{_pods_and_logs(kubernetes)}") from None


def _pods_and_logs(kubernetes: Kubernetes) -> str:
    system = Kubernetes(kubernetes.environment, SYSTEM_NAMESPACE)
    try:
        return system.kubectl("get", "pods") + system.kubectl("logs", f"deployment/{RELEASE}", "--tail=20")
    except CommandFailed as error:
        return str(error)


def uninstall_operator(kubernetes: Kubernetes) -> None:
    """Remove the release and its namespace; Helm leaves the CRD."""
    kubernetes.helm("uninstall", RELEASE, "--namespace", SYSTEM_NAMESPACE, "--ignore-not-found", "--wait")
    kubernetes.kubectl("delete", "namespace", SYSTEM_NAMESPACE, "--ignore-not-found")


def fill_models_volume(kubernetes: Kubernetes, server_image: str, *models: Path) -> None:
    """Create the examples' claim `models` and copy model directories into it."""
    manifest = (EXAMPLES / "models-volume.yaml").read_text()
    kubernetes.kubectl("delete", "pod", "models-loader", "--ignore-not-found", "--wait=true")
    kubernetes.apply(re.sub(r"image: MODELSERVER_IMAGE.*", f"image: {server_image}", manifest))
    kubernetes.kubectl("wait", "pod/models-loader", "--for=condition=Ready", "--timeout=120s", timeout=150)
    for model in models:
        copy_into_volume(kubernetes, model, model.name)


def copy_into_volume(kubernetes: Kubernetes, source: Path, name: str) -> None:
    """Copy a directory to /models/NAME of the loader's volume, either completely or not at all."""
    with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
        with tarfile.open(archive.name, "w") as tar:
            tar.add(source, arcname=f".incoming-{name}")
        kubernetes.kubectl("cp", archive.name, "models-loader:/models/incoming.tar")
    script = (
        f"cd /models && tar -xf incoming.tar --no-same-owner && rm -rf incoming.tar '{name}'"
        f" && mv '.incoming-{name}' '{name}'"
    )
    kubernetes.exec("models-loader", "sh", "-c", script)


def remove_models_volume(kubernetes: Kubernetes) -> None:
    """Delete the claim and its loader."""
    kubernetes.kubectl(
        "delete", "-f", str(EXAMPLES / "models-volume.yaml"), "--ignore-not-found", "--wait=true"
    )
