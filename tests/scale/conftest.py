"""The kind cluster with clients, KEDA and Prometheus, each only if a test asks for it."""

from collections.abc import Iterator

import pytest

from devcluster import Cluster
from devcluster.demo import images
from devcluster.kubectl import Kubernetes
from tests.support import keda as real_keda
from tests.support import prometheus as real_prometheus
from tests.support import scaled


@pytest.fixture(scope="module")
def clients(kubernetes: Kubernetes, server_image: images.Image) -> Iterator[str]:
    """The pod from which requests are sent."""
    with scaled.client_pod(kubernetes, server_image.name) as pod:
        yield pod


@pytest.fixture(scope="session")
def keda(kubernetes: Kubernetes, kind_cluster: Cluster) -> Kubernetes:
    """The cluster with KEDA, which stays until the cluster goes."""
    real_keda.install(kind_cluster)
    return kubernetes


@pytest.fixture(scope="session")
def prometheus(kubernetes: Kubernetes, kind_cluster: Cluster) -> Kubernetes:
    """The cluster with Prometheus, which stays until the cluster goes."""
    real_prometheus.install(kind_cluster)
    return kubernetes
