"""What clusters do to pods on their way in, by real MutatingAdmissionPolicies for the pods of one object."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from devcluster.kubectl import Kubernetes
from tests.support.waiting import until

INJECTED_SIDECAR = """[JSONPatch{op: "add", path: "/spec/containers/-", value: Object.spec.containers{
  name: "sidecar", image: object.spec.containers[0].image,
  command: ["/opt/venv/bin/python", "-c", "import time; time.sleep(3600)"],
  resources: Object.spec.containers.resources{requests: {"cpu": "10m"}}
}}]"""
"""As a mesh does: with a request alone."""
POD_LEVEL_RESOURCES = """[JSONPatch{op: "add", path: "/spec/resources", value: Object.spec.resources{
  requests: {"cpu": "1", "memory": "512Mi"}, limits: {"cpu": "1", "memory": "512Mi"}
}}]"""
PROBE = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
CONFINED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
USER, GROUP = 1000670000, 1000670001
OPENSHIFT = f"""[
  JSONPatch{{op: "add", path: "/spec/securityContext/runAsUser", value: {USER}}},
  JSONPatch{{op: "add", path: "/spec/securityContext/fsGroup", value: {GROUP}}}
]"""
"""As its default constraint does: a user and a group of the namespace; the primary group is 0."""


@contextmanager
def mutating(kubernetes: Kubernetes, patch: str, name: str = "judged") -> Iterator[None]:
    """While in it, pods of this object in this namespace are changed so."""
    cluster = Kubernetes(kubernetes.environment, "")
    policy = f"of-{kubernetes.namespace}"
    cluster.apply("\n---\n".join(json.dumps(body) for body in _policy(policy, patch, kubernetes, name)))
    try:
        until("the policy is in effect", lambda: _is_changed(kubernetes, name), timeout=60)
        yield
    finally:
        for kind in ("mutatingadmissionpolicybinding", "mutatingadmissionpolicy"):
            cluster.kubectl("delete", kind, policy)
        until("it is so no longer", lambda: not _is_changed(kubernetes, name), timeout=60)


def _policy(policy: str, patch: str, kubernetes: Kubernetes, name: str) -> list[dict[str, Any]]:
    group = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": policy}}
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    selectors = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": kubernetes.namespace}},
        "objectSelector": {"matchLabels": {"app.kubernetes.io/instance": name}},
    }
    spec = {
        "matchConstraints": {"resourceRules": [pods], **selectors},
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}],
        "reinvocationPolicy": "Never",
        "failurePolicy": "Fail",
    }
    return [
        {**group, "kind": "MutatingAdmissionPolicy", "spec": spec},
        {**group, "kind": "MutatingAdmissionPolicyBinding", "spec": {"policyName": policy}},
    ]


def _is_changed(kubernetes: Kubernetes, name: str) -> bool:
    """Whether a pod that was created now would be another than it was given as."""
    container = {"name": "c", "image": "none", "securityContext": CONFINED}
    body = {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "probe", "labels": {"app.kubernetes.io/instance": name}},
        "spec": {"containers": [container], "securityContext": PROBE},
    }  # fmt: skip
    text = kubernetes.kubectl(
        "create", "--dry-run=server", "--output=json", "-f", "-", stdin=json.dumps(body)
    )
    spec = json.loads(text)["spec"]
    return len(spec["containers"]) > 1 or bool(spec.get("resources")) or spec["securityContext"] != PROBE
