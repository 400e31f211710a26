"""A kind cluster with the operator installed by Helm and the examples' models on a volume."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from devcluster import Cluster
from devcluster.demo import images, installation, weights
from devcluster.host.paths import cache
from devcluster.kubectl import Kubernetes
from tests.support import evidence
from tests.support.e2e import install, remove


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    kubernetes = getattr(item, "funcargs", {}).get("kubernetes")
    if report.when == "call" and report.failed and kubernetes is not None:
        report.sections.extend(evidence.of(kubernetes).items())
    return report


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
    return install(kind_cluster, operator_image, server_image, text_orientation)


@pytest.fixture(scope="module")
def example(kubernetes: Kubernetes) -> Iterator[str]:
    """The first example, applied and Ready."""
    kubernetes.apply(installation.EXAMPLES / "01-text-orientation" / "modelserver.yaml")
    kubernetes.wait_for("text-orientation")
    yield "text-orientation"
    remove(kubernetes, "text-orientation")
