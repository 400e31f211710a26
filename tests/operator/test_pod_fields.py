"""The parts of a pod in the CRD have the fields of Kubernetes, with their names and types."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from devcluster.kubectl import Kubernetes
from tests.support.objects import SCHEMA

pytestmark = pytest.mark.api
CORE = "io.k8s.api.core.v1."
PARTS = {
    "affinity": "Affinity",
    "tolerations": "Toleration",
    "topologySpreadConstraints": "TopologySpreadConstraint",
    "env": "EnvVar",
    "envFrom": "EnvFromSource",
    "volumes": "Volume",
    "volumeMounts": "VolumeMount",
    "resourceClaims": "PodResourceClaim",
}
REPLACED = {
    "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "flexVolume", "flocker",
    "gcePersistentDisk", "gitRepo", "glusterfs", "photonPersistentDisk", "portworxVolume", "quobyte", "rbd",
    "scaleIO", "storageos", "vsphereVolume",
}  # fmt: skip
"""Drivers that Kubernetes has removed, deprecated or replaced by CSI."""
LEFT_OUT = {("volumes[]", name) for name in REPLACED} | {
    ("volumes[].ephemeral.volumeClaimTemplate.metadata", name)
    for name in (
        "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers", "generateName",
        "generation", "managedFields", "name", "namespace", "ownerReferences", "resourceVersion", "selfLink",
        "uid",
    )
}  # fmt: skip


@pytest.fixture(scope="module")
def kubernetes_schemas(cluster: Kubernetes) -> dict[str, Any]:
    text = cluster.kubectl("get", "--raw", "/openapi/v3/api/v1")
    schemas: dict[str, Any] = json.loads(text)["components"]["schemas"]
    return schemas


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_a_pod_has_the_fields_of_kubernetes(kubernetes_schemas: dict[str, Any], part: str):
    ours = SCHEMA["properties"]["pod"]["properties"][part]

    assert not list(differences(part, ours, {"$ref": CORE + PARTS[part]}, kubernetes_schemas))


def differences(path: str, ours: dict, theirs: dict, schemas: dict[str, Any]) -> Iterator[str]:
    theirs = resolved(theirs, schemas)
    if ours.get("type") == "array":
        items = theirs.get("items", theirs)
        yield from differences(f"{path}[]", ours["items"], items, schemas)
        return
    kind = "string" if "x-kubernetes-int-or-string" in ours else ours["type"]
    if theirs.get("type", "string") != kind:
        yield f"{path}: {kind}, Kubernetes has {theirs.get('type')}"
    if set(ours.get("required", [])) != set(theirs.get("required", [])):
        yield f"{path}: required are {ours.get('required')}, in Kubernetes {theirs.get('required')}"
    fields, wanted = ours.get("properties", {}), theirs.get("properties", {})
    yield from (f"{path}.{name}: not in Kubernetes" for name in fields.keys() - wanted.keys())
    yield from (
        f"{path}.{name}: missing" for name in wanted.keys() - fields.keys() if (path, name) not in LEFT_OUT
    )
    for name in fields.keys() & wanted.keys():
        yield from differences(f"{path}.{name}", fields[name], wanted[name], schemas)


def resolved(node: dict, schemas: dict[str, Any]) -> dict:
    """Follow references; Kubernetes wraps them in allOf to give a default."""
    for inner in node.get("allOf", []):
        node = {**node, **inner}
    reference = node.get("$ref")
    return resolved(schemas[reference.rpartition("/")[2]], schemas) if reference else node
