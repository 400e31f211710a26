"""What the slow relist finds, and what it makes of it, on a real API server without any watch."""

import argparse

import pytest
from kubernetes.aio import client, config

from devcluster.kubectl import Kubernetes
from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.controller.relist import Relist
from modelserver_operator.observed.store import Key, Store
from modelserver_operator.settings import Settings, add_options, from_arguments
from tests.support.children import submit
from tests.support.modelservers import model_server

pytestmark = pytest.mark.api
KIND = "ModelServer"


@pytest.fixture
async def connected(kubernetes: Kubernetes):
    configuration = client.Configuration()
    await config.load_kube_config(kubernetes.environment["KUBECONFIG"], client_configuration=configuration)
    found = Cluster(client.ApiClient(configuration))
    yield found
    await found.close()


def settings(kubernetes: Kubernetes) -> Settings:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return from_arguments(parser.parse_args([f"--namespaces={kubernetes.namespace}"]))


def metadata(kubernetes: Kubernetes, name: str) -> dict:
    return kubernetes.get("modelserver", name)["metadata"]


def account(kubernetes: Kubernetes, name: str) -> dict:
    """A child of a paused object: nobody changes it while the test compares two lists."""
    owner = {
        "apiVersion": "modelserver.dev/v1alpha1",
        "kind": KIND,
        "name": "owner",
        "uid": metadata(kubernetes, "owner")["uid"],
        "controller": True,
    }
    labels = {"app.kubernetes.io/managed-by": "modelserver-operator"}
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "labels": labels, "ownerReferences": [owner]},
    }


async def test_a_watch_that_does_not_report_what_a_list_found_is_silent(
    kubernetes: Kubernetes, connected: Cluster
):
    woken: list[Key] = []
    relist = Relist(connected, Store(), woken.append, settings(kubernetes))
    submit(kubernetes, model_server("owner", paused=True))
    submit(kubernetes, account(kubernetes, "before"))
    await relist.list("ServiceAccount")
    assert relist.silent(-1) == [], "the first list is no news"

    submit(kubernetes, account(kubernetes, "after"))
    await relist.list("ServiceAccount")

    assert woken == [(kubernetes.namespace, "owner")] * 2
    assert relist.silent(-1) == [f"ServiceAccount in {kubernetes.namespace}"]
    assert relist.silent(60) == []
    version = int(kubernetes.get("serviceaccount", "after")["metadata"]["resourceVersion"])
    relist.heard(("ServiceAccount", kubernetes.namespace), version - 1)
    assert relist.silent(60) == []
    assert relist.silent(-1) != []
    relist.heard(("ServiceAccount", kubernetes.namespace), version)
    assert relist.silent(-1) == []
