"""Under constant load not one request fails while pods are replaced, scaled down, or models change."""

import json
from collections.abc import Iterator

import pytest

from devcluster.demo import images, installation
from devcluster.kubectl import Kubernetes, selector
from tests.support.e2e import remove
from tests.support.models import dummy, save
from tests.support.under_load import client, under_load
from tests.support.waiting import until

pytestmark = pytest.mark.kind
SECONDS = 120
OBJECT = """
apiVersion: modelserver.dev/v1alpha1
kind: ModelServer
metadata: {name: rolling}
spec:
  models:
  - {name: plus-one, uri: "pvc://models/plus-one"}
  replicas: 2
  cpuManagerPolicy: none
  resources:
    limits: {cpu: 250m, memory: 512Mi}
  rollout: {drainSeconds: 5}
"""


@pytest.fixture
def rolling(
    kubernetes: Kubernetes, server_image: images.Image, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    model = tmp_path_factory.mktemp("model") / "plus-one"
    save(dummy(), model / "1")
    installation.copy_into_volume(kubernetes, model, "plus-one")
    kubernetes.apply(OBJECT)
    with client(kubernetes, server_image.name):
        kubernetes.wait_for("rolling", timeout=150)
        yield "rolling"
    remove(kubernetes, "rolling")


def change(kubernetes: Kubernetes, patch: dict) -> None:
    """Patch the object and wait until every pod serves the new generation."""
    kubernetes.kubectl("patch", "modelserver", "rolling", "--type=merge", "-p", json.dumps(patch))
    kubernetes.wait_for("rolling", timeout=SECONDS)


def test_no_request_fails_while_tuning_changes_pods_are_replaced_and_one_goes(
    kubernetes: Kubernetes, rolling: str
):
    before = {pod["metadata"]["uid"] for pod in kubernetes.items("pods", selector(rolling))}
    with under_load(kubernetes, rolling) as load:
        change(kubernetes, {"spec": {"hint": "LATENCY"}})
        change(kubernetes, {"spec": {"pod": {"env": [{"name": "ROLLED", "value": "yes"}]}}})
        change(kubernetes, {"spec": {"replicas": 1}})
        until("old pods are gone", lambda: len(kubernetes.items("pods", selector(rolling))) == 1, timeout=60)
        assert load.poll() is None, "all changes must happen under load"
        output, _ = load.communicate(timeout=30)

    result = json.loads(output)
    assert result["errors"] == []
    assert result["answered"] > 100
    after = {pod["metadata"]["uid"] for pod in kubernetes.items("pods", selector(rolling))}
    assert not before & after
