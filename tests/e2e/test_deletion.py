"""Deleting an object leaves nothing behind, also while no operator runs."""

import pytest

from devcluster.demo.installation import RELEASE, SYSTEM_NAMESPACE
from devcluster.kubectl import Kubernetes, selector
from tests.support.e2e import minimal
from tests.support.waiting import until

pytestmark = pytest.mark.kind
SHORT_DRAIN = "  rollout: {drainSeconds: 1}\n"
KINDS = "deployments,replicasets,pods,services,configmaps,serviceaccounts,endpointslices"


def test_nothing_is_left_of_an_object_deleted_while_the_operator_is_stopped(kubernetes: Kubernetes):
    kubernetes.apply(minimal("orphan") + SHORT_DRAIN)
    kubernetes.wait_for("orphan")
    system = Kubernetes(kubernetes.environment, SYSTEM_NAMESPACE)
    system.kubectl("scale", f"deployment/{RELEASE}", "--replicas=0")
    until("the operator is gone", lambda: not system.items("pods"), timeout=60)

    try:
        kubernetes.kubectl("delete", "modelserver", "orphan", "--wait=true")
        until("nothing is left", lambda: not kubernetes.items(KINDS, selector("orphan")), timeout=90)
    finally:
        system.kubectl("scale", f"deployment/{RELEASE}", "--replicas=1")
        system.kubectl("rollout", "status", f"deployment/{RELEASE}", "--timeout=90s")
