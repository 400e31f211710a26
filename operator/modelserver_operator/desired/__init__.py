"""The children of a ModelServer as manifests, in the order in which they are applied.

Pure: the same object and images give the same bytes. The operator's version is not part of them, so an
upgrade of the operator restarts nothing.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from modelserver_operator import naming
from modelserver_operator.api import API_VERSION, KIND, ModelServer
from modelserver_operator.desired.child import Desired, DesiredState
from modelserver_operator.desired.config import config_map, configuration
from modelserver_operator.desired.deployment import deployment
from modelserver_operator.desired.images import Images
from modelserver_operator.desired.service import headless_service, service
from modelserver_operator.desired.service_account import service_account

Manifest = dict[str, Any]


def render(server: ModelServer, images: Images, *, in_place: bool = False) -> DesiredState:
    """All children; a builder returns None when the object does not need its child."""
    config = configuration(server.spec)
    manifests = (
        service_account(server),
        config_map(server, config),
        service(server),
        headless_service(server),
        deployment(server, images, in_place=in_place),
    )
    common = {
        "namespace": server.namespace,
        "labels": naming.labels(server),
        "ownerReferences": [_owner(server)],
    }
    children = tuple(_desired(manifest, common) for manifest in manifests if manifest is not None)
    return DesiredState(children, config.revision)


def _desired(manifest: Manifest, common: Manifest) -> Desired:
    metadata: Mapping[str, Any] = manifest["metadata"]
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


__all__ = ["Desired", "DesiredState", "Images", "Manifest", "render"]
