"""An object where the platform names the user, and refuses pods that are not restricted."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster.kubectl import Kubernetes
from tests.support import judged as small
from tests.support.e2e import pod_of
from tests.support.judged import NAME
from tests.support.mutations import GROUP, OPENSHIFT, USER, mutating

pytestmark = [pytest.mark.kind, pytest.mark.long]
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
IDS = "print([line for line in open('/proc/1/status') if line[:3] in ('Uid', 'Gid', 'Gro')])"


@pytest.fixture
def restricted(kubernetes: Kubernetes, tmp_path: Path) -> Iterator[Kubernetes]:
    """A namespace of its own, with the model."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "restricted", "labels": RESTRICTED}}
    kubernetes.kubectl("create", "-f", "-", stdin=json.dumps(body))
    namespace = Kubernetes(kubernetes.environment, "restricted")
    try:
        with small.model(namespace, tmp_path):
            yield namespace
    finally:
        kubernetes.kubectl("delete", "namespace", "restricted", "--wait=true")


def test_an_object_serves_as_a_user_that_the_platform_chose(restricted: Kubernetes):
    with mutating(restricted, OPENSHIFT), small.applied(restricted, small.manifest(**small.SHARED)):
        restricted.wait_for(NAME)
        name = f"pod/{pod_of(restricted, NAME)['metadata']['name']}"
        ids = restricted.exec(name, "/opt/venv/bin/python", "-c", IDS)

    assert f"Uid:\\t{USER}" in ids
    assert "Gid:\\t0" in ids
    assert str(GROUP) in ids
