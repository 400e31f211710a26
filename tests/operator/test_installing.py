"""Installing the chart where a CRD stands already: Helm takes it over when asked to, and objects survive."""

import json
import uuid
from collections.abc import Callable, Iterator

import pytest

from devcluster.errors import CommandFailed
from devcluster.kubectl import Kubernetes
from tests.support.modelservers import model_server
from tests.support.operator_process import CHART

pytestmark = pytest.mark.api
CRD = "modelservers.modelserver.dev"
IMPORTED = "exists and cannot be imported into the current release"
Install = Callable[..., str]


@pytest.fixture
def releases(kubernetes: Kubernetes) -> Iterator[Install]:
    """Installs a release and gives its name; all are uninstalled."""
    names: list[str] = []

    def install(*options: str) -> str:
        name = f"r{uuid.uuid4().hex[:6]}"
        kubernetes.helm("install", name, str(CHART), "--namespace", kubernetes.namespace, *options)
        names.append(name)
        return name

    yield install
    for name in names:
        kubernetes.helm("uninstall", name, "--namespace", kubernetes.namespace, "--ignore-not-found")


def owner(kubernetes: Kubernetes) -> str | None:
    annotations: dict[str, str] = kubernetes.get("crd", CRD)["metadata"].get("annotations", {})
    return annotations.get("meta.helm.sh/release-name")


def test_a_crd_that_kubectl_installed_is_taken_over_when_helm_is_asked_to(
    kubernetes: Kubernetes, releases: Install
):
    kubernetes.apply(json.dumps(model_server("survivor")))
    with pytest.raises(CommandFailed, match=IMPORTED):
        releases()

    name = releases("--take-ownership")

    assert owner(kubernetes) == name
    assert kubernetes.get("modelserver", "survivor")


def test_a_second_release_leaves_the_crd_to_the_first(kubernetes: Kubernetes, releases: Install):
    first = releases("--take-ownership")
    with pytest.raises(CommandFailed, match=IMPORTED):
        releases()

    releases("--set", "crds.install=false", "--set", f"watchNamespaces={{{kubernetes.namespace}}}")

    assert owner(kubernetes) == first


def test_after_an_uninstall_a_release_of_another_name_takes_the_crd_over(
    kubernetes: Kubernetes, releases: Install
):
    first = releases("--take-ownership")
    kubernetes.apply(json.dumps(model_server("survivor")))
    kubernetes.helm("uninstall", first, "--namespace", kubernetes.namespace)
    with pytest.raises(CommandFailed, match=IMPORTED):
        releases()

    name = releases("--take-ownership")
    kubernetes.helm("upgrade", name, str(CHART), "--namespace", kubernetes.namespace)

    assert owner(kubernetes) == name
    assert kubernetes.get("modelserver", "survivor")
