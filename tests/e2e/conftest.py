"""The first example on the kind cluster with the operator."""

from collections.abc import Generator, Iterator

import pytest

from devcluster.demo import installation
from devcluster.kubectl import Kubernetes
from collections.abc import Generator, Iterator


@pytest.fixture(scope="module")
def example(kubernetes: Kubernetes) -> Iterator[str]:
    """The first example, applied and Ready."""
    kubernetes.apply(installation.EXAMPLES / "01-text-orientation" / "modelserver.yaml")
    kubernetes.wait_for("text-orientation")
    yield "text-orientation"
    remove(kubernetes, "text-orientation")
