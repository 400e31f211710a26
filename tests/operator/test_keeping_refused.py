"""A template that cannot be kept or read: the status says so, and no pod is replaced for it."""

import json
from contextlib import AbstractContextManager

import pytest
from kubernetes.aio import client, config

from devcluster.kubectl import Kubernetes
from modelserver_operator.api import KIND
from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.desired import Images
from modelserver_operator.observed.store import Store
from tests.support import kept
from tests.support.children import CHILDREN, SOON, children, created, patch, submit
from tests.support.in_process import reconciling
from tests.support.kept import CURRENT, LAST_GOOD, OLD, generation, image, revisions, roles
from tests.support.kubelet_part import Start
from tests.support.modelservers import model_server
from tests.support.operator_process import OperatorProcess
from tests.support.policies import Denial, denied
from tests.support.waiting import until

pytestmark = pytest.mark.api
LATER = 70
PROBE = {
    "apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": "probe"}, "revision": 1,
    "data": {},
}  # fmt: skip


def applied(kubernetes: Kubernetes, status: str, *words: str, timeout: float = SOON) -> str:
    def holds() -> str:
        found = kubernetes.condition("server", "Applied")
        message = found.get("message", "") or "-"
        is_so = found.get("status") == status and all(word in message for word in words)
        return message if is_so else ""

    return until(f"Applied {status} {words}", holds, timeout=timeout)


@pytest.fixture
def probe(kubernetes: Kubernetes) -> str:
    kubernetes.apply(json.dumps(PROBE))
    return "probe"


def refused(kubernetes: Kubernetes, probe: str, allows: str) -> AbstractContextManager[None]:
    """Writes of ControllerRevisions for which this does not hold; it may not hold for revision 2."""
    second = ("--type=merge", "-p", '{"revision": 2}', "--dry-run=server")
    command = ("patch", "controllerrevision", probe, *second)
    return denied(kubernetes, Denial("controllerrevisions", ("CREATE", "UPDATE"), allows), command)


def test_a_change_waits_until_its_template_can_be_kept(
    kubernetes: Kubernetes, operator: OperatorProcess, probe: str
):
    created(kubernetes)
    before = generation(kubernetes), kept.config(kubernetes), revisions(kubernetes)

    with refused(kubernetes, probe, "object.revision < 2"):
        patch(kubernetes, "modelserver/server", {"spec": {"hint": "LATENCY", "image": "other:1"}})

        message = applied(kubernetes, "False", "ControllerRevision server-", "not on a Friday")
        assert "ConfigMap server-config is not written before its ControllerRevision" in message
        assert "Deployment server is not written before its ControllerRevision" in message
        assert (generation(kubernetes), kept.config(kubernetes), revisions(kubernetes)) == before

    applied(kubernetes, "True", timeout=LATER)
    assert image(kubernetes) == "other:1"


def test_a_new_object_is_served_although_its_template_cannot_be_kept(
    kubernetes: Kubernetes, operator: OperatorProcess, probe: str
):
    with refused(kubernetes, probe, "object.metadata.name == 'none'"):
        submit(kubernetes, model_server())

        applied(kubernetes, "False", "refused to create ControllerRevision server-", "not on a Friday")
        until("all children", lambda: children(kubernetes) == CHILDREN, timeout=SOON)

    applied(kubernetes, "True", timeout=LATER)
    assert roles(kubernetes) == [(1, {CURRENT})]


def test_a_last_good_template_that_cannot_be_noted_is_in_the_status(
    kubernetes: Kubernetes, operator: OperatorProcess, start: Start, probe: str
):
    pod = start(cpus="0")
    with refused(kubernetes, probe, f"object.revision < 2 && !('{LAST_GOOD}' in object.metadata.labels)"):
        pod.become_ready()

        applied(kubernetes, "False", "refused to change ControllerRevision server-", timeout=20)

    applied(kubernetes, "True", timeout=LATER)
    until("it is noted", lambda: roles(kubernetes) == [(1, {CURRENT, LAST_GOOD})], timeout=SOON)


READER = {
    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "status-only"},
    "rules": [{"apiGroups": ["modelserver.dev"], "resources": ["modelservers/status"], "verbs": ["patch"]},
              {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]}],
}  # fmt: skip


async def test_while_what_runs_cannot_be_read_nothing_is_written(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes)
    assert operator.stop() == 0
    kubernetes.apply(json.dumps(READER))
    kubernetes.kubectl("create", "rolebinding", "status-only", "--role=status-only", "--user=limited")
    kubernetes.kubectl("delete", "controllerrevisions", "--all")
    before = generation(kubernetes), kept.config(kubernetes)
    store = Store()
    for kind, name in (("Deployment", "server"), ("ConfigMap", "server-config")):
        store.put(kind, kubernetes.get(kind, name))
    key = store.put(KIND, kubernetes.get("modelserver", "server"))
    assert key is not None
    try:
        async with reconciling(store, await limited(kubernetes), Images("next:1", "g", "n")) as operating:
            again = await operating.reconcile(key)

        assert again == 2.0
        assert "refused to read Deployment server: 403" in applied(kubernetes, "False")
        assert (generation(kubernetes), kept.config(kubernetes)) == before
        assert revisions(kubernetes) == []
    finally:
        operator.start(f"--cpu-image={OLD}")
    applied(kubernetes, "True", timeout=20)


async def limited(kubernetes: Kubernetes) -> Cluster:
    """A client that may write nothing but the status."""
    settings = client.Configuration()
    await config.load_kube_config(kubernetes.environment["KUBECONFIG"], client_configuration=settings)
    api = client.ApiClient(settings)
    api.set_default_header("Impersonate-User", "limited")
    return Cluster(api)
