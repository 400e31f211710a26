"""A ControllerRevision: one template that is kept, with its configuration. Its data never changes.

The current one has the highest number. The last good one was Ready with all its replicas.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from modelserver_operator import naming
from modelserver_operator.api import ModelServer
from modelserver_operator.desired.kept import Kept


def revision(data: Mapping[str, Any], name: str, number: int, labels: tuple[str, ...]) -> dict[str, Any]:
    """The manifest; `labels` are those of its roles."""
    return {
        "apiVersion": "apps/v1",
        "kind": naming.CONTROLLER_REVISION,
        "metadata": {"name": name, "labels": dict.fromkeys(labels, "true")},
        "revision": number,
        "data": dict(data),
    }


def revision_name(server: ModelServer, kept: Kept) -> str:
    """By content, and by the object's uid: a successor of the same name must not meet its predecessor's."""
    text = json.dumps([server.uid, kept.data()], sort_keys=True)
    return f"{server.name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
