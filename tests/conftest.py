"""What tests share: two clusters and the operator, each started once per run if a test asks for it."""

import os
import re
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

import devcluster
from devcluster import Cluster
from devcluster import cluster as clusters
from devcluster.demo import images, weights
from devcluster.host.paths import cache
from devcluster.host.progress import Progress
from devcluster.kubectl import Kubernetes
from devcluster.state import Options, names
from tests.support import workers
from tests.support.e2e import install


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: workers.rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> workers.Scheduling:
    return workers.Scheduling(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with workers.turn(item.nodeid):
        return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests measured and passed on by `record_property`."""
    lines = [
        f"{report.nodeid.partition('::')[2]}: {name}: {value}"
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
    ]
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def run_name() -> str:
    """A prefix for the clusters of this run; those of runs that were killed are removed."""
    for name in names():
        left = re.fullmatch(r"test-(\d+)(-.*)?", name)
        if left and not Path(f"/proc/{left[1]}").exists():
            devcluster.down(name)
    return f"test-{os.getpid()}"


@pytest.fixture(scope="session")
def api_cluster(run_name: str) -> Iterator[Cluster]:
    """A real API server with RBAC, etcd and the controller manager; no pod runs."""
    yield devcluster.up(f"{run_name}-api", no_node=True, extras=("controller-manager",))
    devcluster.down(f"{run_name}-api")


@pytest.fixture(scope="session")
def kind_cluster(run_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A kind cluster, or the cluster of KUBECONFIG_TARGET.

    It has one node for everybody, and a narrowed one on which only what tolerates its taint runs.
    TEST_KEEP_CLUSTER=1 uses the cluster "test" and leaves it running, so that the next run finds it at once.
    """
    if target := os.environ.get("KUBECONFIG_TARGET"):
        yield _given(Path(target).resolve(strict=True), tmp_path_factory.mktemp("target"))
        return
    if os.environ.get("TEST_KEEP_CLUSTER"):
        yield _own("test")
        return
    yield _own(run_name)
    devcluster.down(run_name)


def _own(name: str) -> Cluster:
    cluster = clusters.start(name, Options(nodes=2, narrowed=True), Progress())
    cluster.kubectl("taint", "node", f"{name}-worker", "narrowed=yes:NoSchedule", "--overwrite")
    return cluster


def _given(kubeconfig: Path, directory: Path) -> Cluster:
    (directory / "kubeconfig").symlink_to(kubeconfig)
    cluster = Cluster("target", Options(), directory, devcluster.binaries())
    context = cluster.kubectl("config", "current-context").strip()
    return Cluster(context.removeprefix("kind-"), cluster.options, directory, cluster.binaries)


@pytest.fixture(scope="session")
def server_image() -> images.Image:
    return images.build("server")


@pytest.fixture(scope="session")
def operator_image() -> images.Image:
    return images.build("operator")


@pytest.fixture(scope="session")
def text_orientation() -> Path:
    return weights.text_orientation(cache())


@pytest.fixture(scope="session")
def kubernetes(
    kind_cluster: Cluster, operator_image: images.Image, server_image: images.Image, text_orientation: Path
) -> Kubernetes:
    """The kind cluster with the operator installed by Helm and the examples' models on a volume."""
    return install(kind_cluster, operator_image, server_image, text_orientation)
