"""The APIs that not every cluster has, as far as the operator uses them: no program acts on their objects."""

import json
from typing import Any

from devcluster.kubectl import Kubernetes
from modelserver_operator.naming import CAPACITY_BUFFER, NEVER_OURS, OPTIONAL, SCALED_OBJECT, VPA

KINDS = OPTIONAL | NEVER_OURS
PLURALS = {kind: place.plural for kind, place in KINDS.items()}


def install(kubernetes: Kubernetes) -> None:
    """All of them."""
    manifests = [_crd(kind) for kind in (SCALED_OBJECT, CAPACITY_BUFFER, VPA)]
    kubernetes.kubectl("apply", "--server-side", "-f", "-", stdin="\n---\n".join(map(json.dumps, manifests)))
    names = [f"crd/{item['metadata']['name']}" for item in manifests]
    kubernetes.kubectl("wait", *names, "--for=condition=Established", "--timeout=30s")


def _crd(kind: str) -> dict[str, Any]:
    group, version, plural = KINDS[kind]
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            # Groups under k8s.io need somebody's approval.
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
        },
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {
                        "openAPIV3Schema": {"type": "object", "properties": {"spec": free, "status": free}}
                    },
                }
            ],
        },
    }
