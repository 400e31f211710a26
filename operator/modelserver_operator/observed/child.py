"""A child of a ModelServer as it is.

Raw objects are read once, here; no other module looks into their dictionaries.
"""

import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from modelserver_operator import naming
from modelserver_operator.api import KIND
from modelserver_operator.observed.ownership import Owners, read_owners
from modelserver_operator.observed.scaling.report import Report, read_report

Raw = Mapping[str, Any]


@dataclass(frozen=True)
class Rollout:
    """What a Deployment reports of its rollout."""

    generation: int
    observed_generation: int
    replicas: int
    updated: int
    ready: int
    stuck: str
    """Why the rollout makes no progress; empty while it does."""
    refused: str
    """Why pods cannot be created, e.g. a quota; empty when they can."""
    in_place: bool = False
    """Whether this rollout stops old pods first, because no node could fit an extra one."""
    newest: str = ""
    """The `pod-template-hash` of the ReplicaSet of the template as it is; empty while it is not known."""
    breaker: str = ""
    """What is remembered of rejected pods; observed/rejections.py reads it."""
    wished: int = 0
    """The Deployment's own number of replicas."""
    scaled_by: tuple[str, ...] = ()
    """Who has written it through the Deployment's scale subresource."""

    def is_complete(self, wanted: int) -> bool:
        """Whether that many pods run and are ready, all of the newest template."""
        is_observed = self.observed_generation >= self.generation
        return is_observed and self.replicas == self.updated == self.ready == wanted


@dataclass(frozen=True)
class Revision:
    """What a ControllerRevision holds."""

    number: int
    is_last_good: bool
    data: str
    """As JSON, which takes a fraction of the objects it parses to."""


@dataclass(frozen=True)
class Child:
    """One child as it is. What it holds is dropped once the child has been seen as desired."""

    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    owner_uid: str
    owner_name: str
    desired_hash: str
    fingerprint: str
    """A hash of everything but the status and bookkeeping: any edit of the child changes it."""
    rollout: Rollout | None
    packed: bytes | None
    """Compressed JSON of `body` and of `owners`: after a start those of all objects are in memory."""
    revision: Revision | None = None
    """Of a ControllerRevision; it stays when the rest is dropped."""
    report: Report | None = None
    """Of a scaler; it stays, too."""

    def is_orphan(self) -> bool:
        """Whether the operator made it, but its owner reference has been removed."""
        return bool(self.owner_name) and not self.owner_uid

    def without_body(self) -> "Child":
        """The same, after it has been seen as desired."""
        return replace(self, packed=None)

    @property
    def body(self) -> Raw | None:
        """Everything but the status and bookkeeping; None after it has been seen as desired."""
        body: Raw | None = json.loads(_unpack(self.packed)[0]) if self.packed else None
        return body

    @property
    def owners(self) -> Owners:
        """Who set which field; forgotten together with `body`."""
        return Owners(_unpack(self.packed)[1]) if self.packed else Owners()


def read_child(kind: str, body: Raw, settled: str | None = None) -> Child:
    """Read a raw object; items of a list lack `kind`. With the fingerprint `settled` its body is dropped."""
    metadata = body["metadata"]
    owner_name, owner_uid = _owner(metadata)
    content = json.dumps(_content(body), sort_keys=True)
    fingerprint = hashlib.sha256(content.encode()).hexdigest()[:16]
    return Child(
        kind=kind,
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        owner_uid=owner_uid,
        owner_name=owner_name,
        desired_hash=(metadata.get("annotations") or {}).get(naming.HASH_ANNOTATION, ""),
        fingerprint=fingerprint,
        rollout=_rollout(body) if kind == "Deployment" else None,
        packed=None if fingerprint == settled else _pack(content, read_owners(metadata).text),
        revision=_revision(body) if kind == naming.CONTROLLER_REVISION else None,
        report=read_report(kind, body),
    )


def _pack(*texts: str) -> bytes:
    return zlib.compress("\n".join(texts).encode(), level=1)


def _unpack(packed: bytes) -> list[str]:
    return zlib.decompress(packed).decode().split("\n")


def controller(metadata: Raw) -> Raw:
    """The owner reference of the controller, or an empty one."""
    return next((owner for owner in metadata.get("ownerReferences") or [] if owner.get("controller")), {})


def scaled_by(metadata: Raw) -> tuple[str, ...]:
    """The field managers that have written the scale subresource."""
    entries = metadata.get("managedFields") or []
    return tuple(sorted({e.get("manager", "") for e in entries if e.get("subresource") == "scale"}))


def _owner(metadata: Raw) -> tuple[str, str]:
    """Name and uid; the uid is empty when the owner reference of a child we made has been removed."""
    owner, labels = controller(metadata), metadata.get("labels") or {}
    if owner.get("kind") == naming.SCALED_OBJECT and naming.is_ours(metadata):
        # KEDA copies the labels of our ScaledObject to the autoscaler that it makes; that one is KEDA's.
        return labels.get(naming.INSTANCE_LABEL, ""), owner["uid"]
    if owner:
        return (owner["name"], owner["uid"]) if owner.get("kind") == KIND else ("", "")
    is_made_here = naming.HASH_ANNOTATION in (metadata.get("annotations") or {}) and naming.is_ours(metadata)
    return (labels.get(naming.INSTANCE_LABEL, ""), "") if is_made_here else ("", "")


def _content(body: Raw) -> dict[str, Any]:
    metadata = body["metadata"]
    kept = {key: metadata[key] for key in ("labels", "ownerReferences") if metadata.get(key)}
    annotations = metadata.get("annotations") or {}
    # The Deployment controller counts its rollouts there, which is not an edit.
    kept["annotations"] = {
        k: v for k, v in annotations.items() if not k.startswith("deployment.kubernetes.io/")
    }
    rest = {
        key: value for key, value in body.items() if key not in {"metadata", "status", "apiVersion", "kind"}
    }
    return {"metadata": kept, **rest}


def _revision(body: Raw) -> Revision:
    is_last_good = naming.LAST_GOOD_LABEL in (body["metadata"].get("labels") or {})
    data = json.dumps(body.get("data"), separators=(",", ":"))
    return Revision(body.get("revision") or 0, is_last_good, data)


def _rollout(body: Raw) -> Rollout:
    status = body.get("status") or {}
    conditions = {item["type"]: item for item in status.get("conditions") or []}
    progressing, failure = conditions.get("Progressing", {}), conditions.get("ReplicaFailure", {})
    generation, observed = body["metadata"].get("generation", 0), status.get("observedGeneration", 0)
    annotations = body["metadata"].get("annotations") or {}
    return Rollout(
        generation=generation,
        observed_generation=observed,
        replicas=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        ready=status.get("readyReplicas", 0),
        stuck=progressing.get("message", "") if progressing.get("status") == "False" else "",
        refused=failure.get("message", "") if failure.get("status") == "True" else "",
        in_place=naming.IN_PLACE_ANNOTATION in annotations,
        newest=_newest(progressing, body["metadata"]["name"]) if observed >= generation else "",
        breaker=annotations.get(naming.BREAKER_ANNOTATION, ""),
        wished=(body.get("spec") or {}).get("replicas", 1),
        scaled_by=scaled_by(body["metadata"]),
    )


def _newest(progressing: Raw, name: str) -> str:
    """Only this sentence names the ReplicaSet of the newest template, without a right to read ReplicaSets.

    Pinned on a real one: test_rejected_pods.py::test_a_deployment_names_its_newest_replica_set.
    """
    found = re.search(rf'"{re.escape(name)}-([a-z0-9]+)"', progressing.get("message") or "")
    return found[1] if found else ""
