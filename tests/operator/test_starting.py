"""What the operator does when it cannot start, and with what must not keep it from starting."""

import argparse
from pathlib import Path

from kubernetes.aio import client

from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.controller.relist import Relist
from modelserver_operator.observed.store import Store
from modelserver_operator.settings import add_options, from_arguments
from tests.support.operator_process import OperatorProcess


def test_without_a_cluster_it_says_so_in_one_line_and_ends(tmp_path: Path):
    lost = OperatorProcess(tmp_path / "none", tmp_path / "log")

    assert lost.run_to_end() == 1

    *_, last = lost.log().splitlines()
    assert "operator stopped: no cluster can be reached" in last
    assert "set KUBECONFIG" in last
    assert "Traceback" not in lost.log()


async def test_an_object_that_cannot_be_read_costs_nothing_but_itself(caplog):
    """Of one tenant; it must not keep the operator of all from starting."""
    parser = argparse.ArgumentParser()
    add_options(parser)
    cluster, store = Cluster(client.ApiClient(client.Configuration())), Store()
    relist = Relist(cluster, store, lambda _key: None, from_arguments(parser.parse_args([])))
    metadata = {"name": "p", "namespace": "n", "uid": "u", "resourceVersion": "7"}
    labels = {"app.kubernetes.io/instance": "server"}
    owner = {"kind": "ReplicaSet", "name": "r", "uid": "r", "controller": True}
    container = {"name": "modelserver", "resources": {"requests": {"cpu": "one"}}}
    pod = {
        "metadata": {**metadata, "labels": labels, "ownerReferences": [owner]},
        "spec": {"containers": [container]},
    }

    assert relist.take("Pod", pod) is None

    assert "Pod n/p cannot be read and is left out" in caplog.text
    container["resources"] = {"requests": {"cpu": "1"}}
    pod["metadata"]["resourceVersion"] = "8"
    assert relist.take("Pod", pod) == ("n", "server")
    await cluster.close()
