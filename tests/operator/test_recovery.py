"""The operator outlives what happens to the API server: restarts, lost rights, a restored backup."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import devcluster
from devcluster.kubectl import Kubernetes
from tests.support.children import CHILDREN, SOON, children, deployment, submit
from tests.support.control_plane import API_SERVER, ETCD, restart
from tests.support.modelservers import model_server
from tests.support.operator_process import OperatorProcess, install, kubeconfig
from tests.support.waiting import until

pytestmark = pytest.mark.api
IMAGE = "--cpu-image=modelserver:test"


@pytest.fixture
def own(run_name: str) -> Iterator[devcluster.Cluster]:
    """A control plane that a test may break."""
    cluster = devcluster.up(f"{run_name}-recovery", no_node=True)
    yield cluster
    devcluster.down(cluster.name)


@pytest.fixture
def kubernetes(own: devcluster.Cluster) -> Kubernetes:
    return Kubernetes(own.environment())


@pytest.fixture
def operator(kubernetes: Kubernetes, tmp_path: Path) -> Iterator[OperatorProcess]:
    """Not started yet."""
    install(kubernetes)
    process = OperatorProcess(kubeconfig(kubernetes, tmp_path), tmp_path / "log")
    yield process
    assert process.stop() == 0, process.log()[-3000:]


@pytest.mark.long  # a control plane of its own
def test_it_outlives_the_api_server_and_misses_no_deletion(
    own: devcluster.Cluster, kubernetes: Kubernetes, operator: OperatorProcess
):
    operator.start(IMAGE)
    submit(kubernetes, model_server())
    until("all children", lambda: children(kubernetes) == CHILDREN, timeout=SOON)

    restart(own, API_SERVER)
    # Before the operator's watches are back, and the last of its kind.
    kubernetes.kubectl("delete", "deployment/server", "configmap/server-config", "--wait=false")

    until("all children", lambda: children(kubernetes) == CHILDREN, timeout=60)
    submit(kubernetes, model_server("second"))
    until("new ones are noticed", lambda: kubernetes.condition("second", "Applied"), timeout=30)


@pytest.mark.long
def test_after_etcd_was_restored_from_a_backup_it_forgets_what_it_knew(
    own: devcluster.Cluster, kubernetes: Kubernetes, operator: OperatorProcess, tmp_path: Path
):
    data, backup = own.directory / "etcd", tmp_path / "backup"
    submit(kubernetes, model_server())
    operator.start(IMAGE, "--relist-seconds=6")
    until("all children", lambda: children(kubernetes) == CHILDREN, timeout=SOON)
    restart(own, API_SERVER, ETCD, meanwhile=lambda: shutil.copytree(data, backup))
    for number in range(20):
        submit(kubernetes, model_server("later", replicas=number))
    until("it went on", lambda: kubernetes.condition("later", "Applied"), timeout=30)

    def restore() -> None:
        shutil.rmtree(data)
        shutil.copytree(backup, data)

    restart(own, API_SERVER, ETCD, meanwhile=restore)

    until("it is noticed", lambda: "restored from a backup" in operator.log(), timeout=60)
    submit(kubernetes, model_server("new"))
    until("new objects are seen", lambda: kubernetes.condition("new", "Applied"), timeout=30)
    kubernetes.kubectl("scale", "modelserver/server", "--replicas=2")
    until("changes are seen", lambda: deployment(kubernetes)["spec"]["replicas"] == 2, timeout=SOON)
    kubernetes.kubectl("delete", "service", "server")
    until("deletions are seen", lambda: "Service/server" in children(kubernetes), timeout=SOON)


@pytest.mark.long
def test_a_watch_that_is_forbidden_for_more_than_a_minute_stops_nobody_else(
    own: devcluster.Cluster, kubernetes: Kubernetes, tmp_path: Path
):
    for name in ("lost", "kept"):
        kubernetes.kubectl("create", "namespace", name)
    install(kubernetes, "--set", "watchNamespaces={lost,kept}", release="scoped")
    scoped = OperatorProcess(
        kubeconfig(kubernetes, tmp_path, "scoped-modelserver-operator"), tmp_path / "log"
    )
    kept, lost = Kubernetes(kubernetes.environment, "kept"), Kubernetes(kubernetes.environment, "lost")
    scoped.start(IMAGE, "--namespaces=lost,kept", "--lease-seconds=3")
    try:
        lost.kubectl("delete", "rolebinding", "scoped-modelserver-operator")
        restart(own, API_SERVER)
        broke = "the watch of Deployment in lost broke"
        until("it was tried for more than a minute", lambda: scoped.log().count(broke) > 8, timeout=120)

        submit(kept, model_server())
        until("the other namespace is served", lambda: children(kept) == CHILDREN, timeout=SOON)
        assert scoped.ready()[0]

        install(kubernetes, "--set", "watchNamespaces={lost,kept}", release="scoped")
        submit(lost, model_server())
        until("the lost one is back", lambda: children(lost) == CHILDREN, timeout=60)
    finally:
        assert scoped.stop() == 0, scoped.log()[-3000:]
