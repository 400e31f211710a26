"""The operator comes and goes: nothing is rewritten, nothing is left, nothing is missed."""

import time
from pathlib import Path

import pytest

from devcluster.kubectl import Kubernetes
from modelserver_operator.api import KIND
from modelserver_operator.clients.kubernetes import connect
from modelserver_operator.desired import Images
from modelserver_operator.observed.store import Store
from tests.support.children import CHILDREN, SOON, children, created, deployment, submit, versions
from tests.support.in_process import reconciling
from tests.support.modelservers import model_server
from tests.support.operator_process import OperatorProcess, install, kubeconfig
from tests.support.waiting import until

pytestmark = pytest.mark.api


def test_a_restart_writes_nothing(kubernetes: Kubernetes, operator: OperatorProcess):
    created(kubernetes)
    until(
        "nothing moves any more", lambda: _versions(kubernetes) == _versions(kubernetes, after=1), timeout=20
    )
    before = _versions(kubernetes)
    assert operator.stop() == 0

    operator.start("--cpu-image=modelserver:test")

    submit(kubernetes, model_server("second"))
    until("the second is carried out", lambda: kubernetes.condition("second", "Applied"), timeout=20)
    assert before.items() <= _versions(kubernetes).items()


def _versions(kubernetes: Kubernetes, after: float = 0) -> dict[str, object]:
    """Of the object and its children, some seconds later."""
    time.sleep(after)
    metadata = kubernetes.get("modelserver", "server")["metadata"]
    return {metadata["uid"]: metadata["resourceVersion"], **versions(kubernetes)}


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


async def test_children_that_go_with_their_object_are_not_made_again(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes)
    assert operator.stop() == 0
    store = Store()
    key = store.put(KIND, kubernetes.get("modelserver", "server"))
    assert key is not None
    try:
        kubernetes.kubectl("delete", "modelserver", "server", "--wait=true")
        until("no child is left", lambda: children(kubernetes) == [], timeout=75)
        cluster = await connect(kubeconfig=kubernetes.environment["KUBECONFIG"])

        # Its children are known to be gone; its own event is late.
        async with reconciling(store, cluster, Images("modelserver:test", "g", "n")) as operating:
            assert await operating.reconcile(key) is None

        assert children(kubernetes) == []
        assert key not in store.servers
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
        watched = f"--namespaces={kubernetes.namespace}"
        scoped.start("--cpu-image=modelserver:test", watched, "--lease-seconds=3")
        created(kubernetes)
        kubernetes.kubectl("delete", "service", "server")
        until("all children", lambda: children(kubernetes) == CHILDREN, timeout=SOON)
        assert "is forbidden" not in scoped.log()
    finally:
        assert scoped.stop() == 0
        operator.start("--cpu-image=modelserver:test")


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
    assert "the CRD modelservers.modelserver.dev is not installed: set crds.install=true" in lost.log()
    assert "Traceback" not in lost.log()
