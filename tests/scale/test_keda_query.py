"""What KEDA asks, byte for byte, and what Kubernetes makes of the answer."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devcluster.kubectl import Kubernetes
from modelserver_operator.desired.scaling.scaled_object import scaled_object
from tests.support import scaled
from tests.support.keda_query import QUERY, comparable
from tests.support.modelservers import scaled as scaled_spec
from tests.support.one_field import server
from tests.support.scaled import Record
from tests.support.waiting import until

pytestmark = [pytest.mark.kind, pytest.mark.long, pytest.mark.timeout(1500)]
NAME, PORT = "asked", 8090
RECORDER = (Path(scaled.__file__).with_name("recorder_inside.py")).read_text()
ANSWER = '{"requestsPerStream": 6.0, "concurrency": 24.0}'
NOWHERE = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": NAME},
    "spec": {
        "replicas": 4,
        "selector": {"matchLabels": {"app": NAME}},
        "template": {
            "metadata": {"labels": {"app": NAME}},
            "spec": {"nodeSelector": {"no": "node"}, "containers": [{"name": "none", "image": "none:1"}]},
        },
    },
}
"""Four replicas that cost nothing: of an external metric only their number counts."""


@pytest.fixture
def scaler(keda: Kubernetes, clients: str) -> Iterator[str]:
    """As the operator makes it, but the recorder is asked, and something else is scaled."""
    keda.apply(json.dumps(NOWHERE))
    address = keda.get("pod", clients)["status"]["podIP"]
    url = f"http://{address}:{PORT}/scale/default/{NAME}?key=KEY"
    manifest: dict[str, Any] | None = scaled_object(server(**scaled_spec()), "keda.sh/v1alpha1", url)
    assert manifest is not None
    manifest["metadata"]["name"] = NAME
    manifest["spec"]["scaleTargetRef"] = {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}
    keda.apply(json.dumps(manifest))
    yield NAME
    keda.kubectl("delete", "scaledobject", NAME, "--wait=true")
    keda.kubectl("delete", "deployment", NAME, "--wait=true")


def test_keda_asks_as_the_short_test_does_and_four_at_one_and_a_half_become_eight(
    keda: Kubernetes, clients: str, scaler: str, record_property: Record
):
    command = ["kubectl", "exec", "-i", f"pod/{clients}", "--", "/opt/venv/bin/python", "-c", RECORDER]
    with subprocess.Popen(
        [*command, str(PORT), ANSWER],
        env=keda.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as recorder:  # fmt: skip
        try:
            wanted = lambda: keda.get("deployment", scaler)["spec"]["replicas"] == 8  # noqa: E731
            until("eight replicas: 6 / 0.75, not 1.5 / 0.75", wanted, timeout=180)
        finally:
            output, _ = recorder.communicate(timeout=30)

    asked = {comparable(request) for request in json.loads(output)}
    record_property("times asked", len(json.loads(output)))
    assert asked == {QUERY}
