"""A real API server with the chart's CRD and RBAC, and the operator as a process under that account."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from devcluster import Cluster
from devcluster.admin import AdminApi
from devcluster.kubectl import Kubernetes
from tests.support import models, optional_apis
from tests.support.admission import Admission
from tests.support.audit import Audit
from tests.support.kubelet_part import RunningPod, Start, ports
from tests.support.modelservers import model_server
from tests.support.operator_process import OperatorProcess, Requests, install, kubeconfig
from tests.support.waiting import until

settings.register_profile("operator", deadline=None)  # the time of an example depends on the machine's load
settings.load_profile("operator")


@pytest.fixture(scope="session")
def cluster(api_cluster) -> Kubernetes:
    """The API server, as its administrator."""
    kubernetes = Kubernetes(api_cluster.environment())
    install(kubernetes)
    optional_apis.install(kubernetes)
    return kubernetes


@pytest.fixture(scope="session")
def admin(cluster: Kubernetes) -> Iterator[AdminApi]:
    """For what happens with every test: kubectl would take a tenth of a second of CPU."""
    api = AdminApi(cluster.environment["KUBECONFIG"])
    yield api
    api.close()


@pytest.fixture(scope="session")
def admission(cluster: Kubernetes) -> Iterator[Admission]:
    asked = Admission(cluster.environment["KUBECONFIG"])
    yield asked
    asked.close()


@pytest.fixture(scope="session")
def requests(cluster: Kubernetes) -> Requests:
    counted = Requests(cluster)
    counted.install()
    return counted


@pytest.fixture(scope="session")
def operator(cluster: Kubernetes, requests: Requests, tmp_path_factory) -> Iterator[OperatorProcess]:
    """One operator for all tests; a test that stops it starts it again."""
    directory = tmp_path_factory.mktemp("operator")
    process = OperatorProcess(kubeconfig(cluster, directory), directory / "operator.log")
    process.start("--cpu-image=modelserver:test")
    yield process
    assert process.stop() == 0, process.log()[-3000:]


@pytest.fixture
def audit(api_cluster: Cluster, cluster: Kubernetes) -> Audit:
    """Every write from now on."""
    return Audit(api_cluster)


@pytest.fixture
def kubernetes(cluster: Kubernetes, admin: AdminApi) -> Iterator[Kubernetes]:
    """A namespace of its own for each test."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    status, _ = admin.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    assert status == 201
    mine = Kubernetes(cluster.environment, name)
    until("the default ServiceAccount", lambda: mine.items("serviceaccounts"), timeout=30)
    yield mine
    admin.ask("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    models.save(models.dummy(), root / "dummy" / "1")
    return root


@pytest.fixture
def start(
    kubernetes: Kubernetes, operator: OperatorProcess, repository: Path, tmp_path: Path
) -> Iterator[Start]:
    """Apply an object and run its one pod on these CPUs."""
    running: list[RunningPod] = []

    def run(cpus: str = "0", model: str = "dummy", **spec) -> RunningPod:
        entry = {"name": "dummy", "uri": f"file://{repository / model}"}
        kubernetes.apply(json.dumps(model_server(models=[entry], ports=ports(), **spec)))
        pod = RunningPod(kubernetes, tmp_path, cpus)
        pod.__enter__()
        running.append(pod)
        return pod

    yield run
    for pod in running:
        pod.__exit__()
