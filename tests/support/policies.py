"""Refusals on demand: a ValidatingAdmissionPolicy for one namespace, and there only for the operator."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from devcluster.errors import CommandFailed
from devcluster.kubectl import Kubernetes
from tests.support.operator_process import ACCOUNT
from tests.support.waiting import until

GROUPS = {"deployments": "apps", "controllerrevisions": "apps", "modelservers/status": "modelserver.dev"}
_PROBE = "probe"
"""A user who may do everything: the operator may not even read some of what it writes."""


@dataclass(frozen=True)
class Denial:
    """What is refused: requests of these operations for which the CEL expression is false."""

    resource: str
    operations: tuple[str, ...]
    allows: str = "false"
    message: str = "not on a Friday"


@contextmanager
def denied(kubernetes: Kubernetes, denial: Denial, probe: tuple[str, ...]) -> Iterator[None]:
    """`probe` is a kubectl command without effect that is refused as soon as the policy is in effect."""
    name = f"deny-{kubernetes.namespace}"
    for manifest in _manifests(name, kubernetes.namespace, denial):
        kubernetes.apply(json.dumps(manifest))

    def is_in_effect() -> bool:
        try:
            kubernetes.kubectl(*probe, "--as", _PROBE, "--as-group", "system:masters")
        except CommandFailed as error:
            return denial.message in str(error)
        return False

    try:
        until("the policy is in effect", is_in_effect, timeout=30)
        yield
    finally:
        kubernetes.kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", name)


def _manifests(name: str, namespace: str | None, denial: Denial) -> list[dict]:
    rule = {
        "apiGroups": [GROUPS.get(denial.resource, "")], "apiVersions": ["*"],
        "operations": list(denial.operations), "resources": [denial.resource],
    }  # fmt: skip
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "matchConditions": [
            {"name": "operator", "expression": f"request.userInfo.username in ['{ACCOUNT}', '{_PROBE}']"}
        ],
        "validations": [{"expression": denial.allows, "message": denial.message}],
    }
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    binding = {
        "policyName": name,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": selector},
    }
    group = "admissionregistration.k8s.io/v1"
    return [
        {"apiVersion": group, "kind": kind, "metadata": {"name": name}, "spec": spec}
        for kind, spec in (
            ("ValidatingAdmissionPolicy", policy),
            ("ValidatingAdmissionPolicyBinding", binding),
        )
    ]
