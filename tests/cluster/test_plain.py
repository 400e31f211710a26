"""A control plane without a node: real API server, real RBAC, and nothing left afterwards."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import devcluster
from devcluster import state
from devcluster.errors import DevclusterError
from tests.support import traces
from tests.support.audit import Audit
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.api


@pytest.fixture
def name(run_name):
    yield f"{run_name}-plain"
    devcluster.down(f"{run_name}-plain")


def start_up(*arguments):
    command = [sys.executable, "-m", "devcluster", "up", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_a_service_account_may_do_exactly_what_rbac_grants(api_cluster):
    kubectl = api_cluster.kubectl
    kubectl("create", "namespace", "rbac")
    kubectl("-n", "rbac", "create", "serviceaccount", "reader")
    kubectl("-n", "rbac", "create", "role", "reads", "--verb=get,list", "--resource=configmaps")
    kubectl("-n", "rbac", "create", "rolebinding", "reads", "--role=reads", "--serviceaccount=rbac:reader")
    token = kubectl("-n", "rbac", "create", "token", "reader").strip()
    server = kubectl("config", "view", "--output=jsonpath={.clusters[0].cluster.server}")
    authority = api_cluster.directory / "pki" / "ca.crt"

    def answer(resource):
        headers = {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(f"{server}/api/v1/namespaces/rbac/{resource}", headers=headers)
        context = urllib.request.ssl.create_default_context(cafile=authority)
        try:
            with urllib.request.urlopen(request, context=context, timeout=10) as response:
                return response.status
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code

    assert answer("configmaps") == 200
    assert answer("secrets") == 403


def test_every_write_and_no_read_is_in_the_audit_log_with_its_user(api_cluster):
    audit = Audit(api_cluster)
    api_cluster.kubectl("create", "namespace", "audited")
    api_cluster.kubectl("get", "namespace", "audited")
    with pytest.raises(DevclusterError):
        api_cluster.kubectl("create", "namespace", "audited")

    mine = [write for write in audit.writes() if write.name == "audited" and "admin" in write.user]

    assert [write.what for write in mine] == [("create", "namespaces")]


def test_the_controller_manager_makes_pods_and_collects_garbage(api_cluster):
    kubectl = api_cluster.kubectl
    kubectl("create", "namespace", "garbage")
    kubectl("-n", "garbage", "create", "deployment", "one", "--image=none")
    pods = lambda: kubectl("-n", "garbage", "get", "pods", "--output=name")  # noqa: E731
    until("a pod of the deployment", pods, timeout=30)
    kubectl("-n", "garbage", "delete", "deployment", "one")
    until("no pod of the deleted deployment", lambda: not pods(), timeout=30)


def test_the_api_servers_request_metrics_can_be_read(api_cluster):
    assert "apiserver_request_total" in api_cluster.kubectl("get", "--raw", "/metrics")


def test_up_twice_gives_the_same_cluster(api_cluster):
    again = devcluster.up(api_cluster.name, no_node=True, extras=("controller-manager",))
    assert again == api_cluster


def test_other_options_for_a_cluster_that_is_there_are_refused(api_cluster):
    with pytest.raises(
        DevclusterError, match="exists with other options: --no-node --with controller-manager"
    ):
        devcluster.up(api_cluster.name, no_node=True)


def test_images_cannot_be_loaded_without_a_node(api_cluster):
    with pytest.raises(DevclusterError, match="no node to load an image into"):
        devcluster.load(api_cluster.name, "any:1")


def test_kwok_simulates_nodes_and_pods_next_to_another_cluster(api_cluster, name):
    cluster = devcluster.up(name, no_node=True, nodes=3, extras=("controller-manager", "scheduler", "kwok"))
    cluster.kubectl("create", "deployment", "many", "--image=none", "--replicas=5")
    cluster.kubectl("wait", "--for=condition=Available", "deployment/many", "--timeout=30s")
    nodes = json.loads(cluster.kubectl("get", "nodes", "--output=json"))["items"]
    assert len(nodes) == 3
    assert "many" not in api_cluster.kubectl("get", "deployments")


def test_down_leaves_nothing(name):
    devcluster.up(name, no_node=True)
    assert traces.of(name)
    devcluster.down(name)
    assert traces.of(name) == {}


@pytest.mark.parametrize("after", ["etcd", "kube-apiserver"])
def test_what_a_killed_up_left_is_removed_by_down(name, after):
    up = start_up("--name", name, "--no-node")
    programs = lambda: {one.program for one in traces.process.owned_by(state.owner_of(name))}  # noqa: E731
    until(f"{after} of the new cluster", lambda: after in programs(), timeout=30)
    os.kill(up.pid, signal.SIGKILL)
    up.wait()
    assert traces.of(name)
    devcluster.down(name)
    assert traces.of(name) == {}


def test_what_a_killed_up_left_does_not_disturb_the_next_up(name):
    up = start_up("--name", name, "--no-node")
    programs = lambda: {one.program for one in traces.process.owned_by(state.owner_of(name))}  # noqa: E731
    until("etcd of the new cluster", lambda: "etcd" in programs(), timeout=30)
    os.kill(up.pid, signal.SIGKILL)
    up.wait()
    cluster = devcluster.up(name, no_node=True)
    assert cluster.is_answering()
    assert sorted(one.program for one in traces.process.owned_by(cluster.owner)) == ["etcd", "kube-apiserver"]
