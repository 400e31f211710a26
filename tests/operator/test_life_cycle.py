"""The operator comes and goes: nothing is rewritten, nothing is left, nothing is missed."""

import os
import signal
import time
from pathlib import Path

import pytest

import devcluster
from devcluster.host.process import Runner, owned_by
from devcluster.kubectl import Kubernetes
from tests.support.children import CHILDREN, KINDS, SOON, children, created, deployment, submit
from tests.support.modelservers import model_server
from tests.support.operator_process import OperatorProcess, install, kubeconfig
from tests.support.waiting import until

pytestmark = pytest.mark.api


def test_a_restart_writes_nothing(kubernetes: Kubernetes, operator: OperatorProcess):
    created(kubernetes)
    until(
        "nothing moves any more", lambda: _versions(kubernetes) == _versions(kubernetes, after=1), timeout=20
    )
    versions = _versions(kubernetes)
    assert operator.stop() == 0

    operator.start("--cpu-image=modelserver:test")

    submit(kubernetes, model_server("second"))
    until("the second is carried out", lambda: kubernetes.condition("second", "Applied"), timeout=20)
    assert versions.items() <= _versions(kubernetes).items()


def _versions(kubernetes: Kubernetes, after: float = 0) -> dict[str, str]:
    """Of the object and its children, some seconds later."""
    time.sleep(after)
    return {
        item["metadata"]["uid"]: item["metadata"]["resourceVersion"]
        for item in kubernetes.items(f"{KINDS},modelservers")
    }


def test_nothing_is_left_of_an_object_deleted_while_no_operator_runs(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes)
    assert operator.stop() == 0
    try:
        kubernetes.kubectl("delete", "modelserver", "server", "--wait=true")
        # The garbage collector looks for new kinds every 30 s, and the CRD may be younger.
        until("no child is left", lambda: children(kubernetes) == [], timeout=75)
        until("no pod is left", lambda: kubernetes.items("replicasets") == [], timeout=30)
    finally:
        operator.start("--cpu-image=modelserver:test")


def test_an_object_changed_while_no_operator_ran_is_carried_out_at_the_next_start(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes)
    assert operator.stop() == 0
    kubernetes.kubectl("scale", "modelserver/server", "--replicas=2")
    kubernetes.kubectl("delete", "service", "server")

    operator.start("--cpu-image=modelserver:test")

    until("two replicas", lambda: deployment(kubernetes)["spec"]["replicas"] == 2, timeout=20)
    until("all children", lambda: children(kubernetes) == CHILDREN, timeout=SOON)


def test_an_operator_of_one_namespace_needs_only_a_role_there(
    kubernetes: Kubernetes, operator: OperatorProcess, tmp_path: Path
):
    assert operator.stop() == 0
    settings = f"watchNamespaces={{{kubernetes.namespace}}}"
    install(kubernetes, "--set", settings, "--set", "crds.install=false", release="scoped")
    scoped = OperatorProcess(
        kubeconfig(kubernetes, tmp_path, "scoped-modelserver-operator"), tmp_path / "log"
    )
    try:
        scoped.start("--cpu-image=modelserver:test", f"--namespaces={kubernetes.namespace}")
        created(kubernetes)
        kubernetes.kubectl("delete", "service", "server")
        until("all children", lambda: children(kubernetes) == CHILDREN, timeout=SOON)
        assert "is forbidden" not in scoped.log()
    finally:
        assert scoped.stop() == 0
        operator.start("--cpu-image=modelserver:test")


def test_it_outlives_the_api_server_and_misses_no_deletion(run_name: str, tmp_path: Path):
    own = devcluster.up(f"{run_name}-restart", no_node=True)
    kubernetes = Kubernetes(own.environment())
    operator = OperatorProcess(_prepared(kubernetes, tmp_path), tmp_path / "log")
    operator.start("--cpu-image=modelserver:test")
    try:
        submit(kubernetes, model_server())
        until("all children", lambda: children(kubernetes) == CHILDREN, timeout=SOON)

        _restart_api_server(own)
        # Before the operator's watches are back, and the last of its kind.
        kubernetes.kubectl("delete", "deployment/server", "configmap/server-config", "--wait=false")

        until("all children", lambda: children(kubernetes) == CHILDREN, timeout=60)
        submit(kubernetes, model_server("second"))
        until("new ones are noticed", lambda: kubernetes.condition("second", "Applied"), timeout=30)
    finally:
        assert operator.stop() == 0, operator.log()[-3000:]
        devcluster.down(own.name)


def _prepared(kubernetes: Kubernetes, directory: Path) -> Path:
    install(kubernetes)
    return kubeconfig(kubernetes, directory)


def _restart_api_server(cluster: devcluster.Cluster) -> None:
    (found,) = [p for p in owned_by(cluster.owner) if p.program.startswith("kube-apiserver")]
    command = Path(f"/proc/{found.pid}/cmdline").read_text().rstrip("\0").split("\0")
    os.kill(found.pid, signal.SIGKILL)
    until("it is gone", lambda: not cluster.is_answering(), timeout=20)
    Runner(cluster.owner).start(command, cluster.directory / "kube-apiserver.log")
    until("it is back", cluster.is_answering, timeout=60)


def test_without_the_crd_it_says_how_to_install_it_and_ends(
    cluster: Kubernetes, operator: OperatorProcess, tmp_path: Path
):
    assert operator.stop() == 0
    cluster.kubectl("delete", "crd", "modelservers.modelserver.dev", "--wait=true")
    lost = OperatorProcess(operator.kubeconfig, tmp_path / "log")
    try:
        code = lost.run_to_end()
    finally:
        install(cluster)
        operator.start("--cpu-image=modelserver:test")

    assert code == 1
    assert "the CRD modelservers.modelserver.dev is not installed: kubectl apply -f crds/" in lost.log()
    assert "Traceback" not in lost.log()
