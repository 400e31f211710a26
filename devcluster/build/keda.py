"""KEDA from its Go module: its two programs as images, and its own manifests for them."""

import json
import shutil
import tempfile
from pathlib import Path

from devcluster.build import node_steps, programs
from devcluster.engine import Engine
from devcluster.host.process import Runner
from devcluster.host.progress import Progress

NAMESPACE = "keda"
OPERATOR, ADAPTER = "keda-operator", "keda-metrics-apiserver"
"""The Deployments."""
_MODULE = "github.com/kedacore/keda/v2"
_PARTS = ("crd", "general", "rbac", "service_account", "manager", "metrics-server")
"""Everything but the admission webhook, which needs a third program."""
_PROGRAMS = {OPERATOR: "keda-operator", ADAPTER: "keda-adapter"}
_USER = 65532


def images(engine: Engine, progress: Progress) -> tuple[str, ...]:
    """The names of both images, after making sure that the engine has them."""
    built = programs.build_separately(programs.KEDA, progress)
    for program in _PROGRAMS.values():
        if not engine.has(_image(program)):
            with tempfile.TemporaryDirectory() as directory:
                context = Path(directory)
                (context / "programs").mkdir()
                shutil.copy(built / program, context / "programs" / program)
                node_steps.build_component(engine, context, program, _image(program))
    return tuple(_image(program) for program in _PROGRAMS.values())


def manifest(kubectl: Path) -> str:
    """KEDA's own manifests, with our images and small requests."""
    config = programs.module_directory(_MODULE, programs.KEDA.module) / "config"
    with tempfile.TemporaryDirectory() as directory:
        for part in _PARTS:
            shutil.copytree(config / part, Path(directory) / part)
        (Path(directory) / "kustomization.yaml").write_text(json.dumps(_kustomization()))
        return Runner("kustomize").run([kubectl, "kustomize", directory])


def _image(program: str) -> str:
    return f"modelserver-dev/{program}:{programs.module_version(_MODULE, programs.KEDA.module)}"


def _kustomization() -> dict[str, object]:
    # Without the webhook there is nothing of it to give a certificate to.
    options = {OPERATOR: ["--enable-webhook-patching=false"], ADAPTER: []}
    patches = [
        {"target": {"kind": "Deployment", "name": name}, "patch": json.dumps(_patch(program, options[name]))}
        for name, program in _PROGRAMS.items()
    ]
    return {"resources": list(_PARTS), "patches": patches}


def _patch(program: str, options: list[str]) -> list[dict[str, object]]:
    pod = "/spec/template/spec"
    container = f"{pod}/containers/0"
    values: dict[str, object] = {
        f"{pod}/securityContext": {"runAsNonRoot": True, "runAsUser": _USER, "runAsGroup": _USER},
        f"{container}/image": _image(program),
        f"{container}/imagePullPolicy": "IfNotPresent",
        f"{container}/command": [f"/usr/local/bin/{program}"],
        f"{container}/resources/requests": {"cpu": "10m", "memory": "64Mi"},
        f"{container}/readinessProbe/initialDelaySeconds": 1,
    }
    replaced: list[dict[str, object]] = [
        {"op": "replace", "path": path, "value": value} for path, value in values.items()
    ]
    return replaced + [{"op": "add", "path": f"{container}/args/-", "value": option} for option in options]
