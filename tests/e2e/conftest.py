"""The first example on the kind cluster with the operator."""

from collections.abc import Generator, Iterator

import pytest

from devcluster.demo import installation
from devcluster.kubectl import Kubernetes
from tests.support import evidence
from tests.support.e2e import remove


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    kubernetes = getattr(item, "funcargs", {}).get("kubernetes")
    if report.when == "call" and report.failed and kubernetes is not None:
        report.sections.extend(evidence.of(kubernetes).items())
    return report


@pytest.fixture(scope="module")
def example(kubernetes: Kubernetes) -> Iterator[str]:
    """The first example, applied and Ready."""
    kubernetes.apply(installation.EXAMPLES / "01-text-orientation" / "modelserver.yaml")
    kubernetes.wait_for("text-orientation")
    yield "text-orientation"
    remove(kubernetes, "text-orientation")
