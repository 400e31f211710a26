"""The children of a ModelServer as manifests, in the order in which they are applied.

Pure: the same object and images give the same bytes. The pod template and config.json are those that are
kept, where there are any.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from modelserver_operator import naming
from modelserver_operator.api import API_VERSION, KIND, ModelServer
from modelserver_operator.desired.child import Desired, DesiredState
from modelserver_operator.desired.config import config_map
from modelserver_operator.desired.deployment import AS_USUAL, Measures, deployment
from modelserver_operator.desired.images import Images
from modelserver_operator.desired.kept import Kept, rendered
from modelserver_operator.desired.scaling import EXAMPLE, Surroundings, scaling
from modelserver_operator.desired.service import headless_service, service
from modelserver_operator.desired.service_account import service_account

Manifest = dict[str, Any]


def render(server: ModelServer, images: Images, *, in_place: bool = False) -> DesiredState:
    """All children of an object of which nothing is kept."""
    return render_kept(server, rendered(server, images), Measures(in_place=in_place))


def render_kept(
    server: ModelServer, kept: Kept, measures: Measures = AS_USUAL, around: Surroundings = EXAMPLE
) -> DesiredState:
    """All children; a builder returns None when the object does not need its child."""
    manifests = (
        service_account(server),
        config_map(server, kept.config),
        service(server),
        headless_service(server),
        deployment(server, kept.template, measures),
        *scaling(server, around),
    )
    children = tuple(as_child(server, manifest) for manifest in manifests if manifest is not None)
    return DesiredState(children, kept.config.revision)


def as_child(server: ModelServer, manifest: Manifest) -> Desired:
    """With what every child of an object has: its namespace, labels, owner, and a hash of it all."""
    metadata: Mapping[str, Any] = manifest["metadata"]
    common = {
        "namespace": server.namespace,
        "labels": {**metadata.get("labels", {}), **naming.labels(server)},
        "ownerReferences": [_owner(server)],
    }
    whole = {**manifest, "metadata": {**metadata, **common}}
    digest = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]
    annotations = {**metadata.get("annotations", {}), naming.HASH_ANNOTATION: digest}
    whole["metadata"] = {**whole["metadata"], "annotations": annotations}
    return Desired(manifest["kind"], metadata["name"], whole, digest)


def _owner(server: ModelServer) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": server.name,
        "uid": server.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


__all__ = [
    "EXAMPLE",
    "Desired",
    "DesiredState",
    "Images",
    "Kept",
    "Manifest",
    "Measures",
    "Surroundings",
    "as_child",
    "render",
    "render_kept",
]
