"""Scalers that others aim at an object or at its Deployment. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from modelserver_operator import naming
from modelserver_operator.api import GROUP, KIND, ModelServer
from modelserver_operator.observed.child import controller

Raw = Mapping[str, Any]
DEPLOYMENT = "Deployment"


@dataclass(frozen=True)
class Foreign:
    """Somebody else's scaler."""

    kind: str
    name: str
    target: str
    """ModelServer or Deployment."""

    @property
    def changes_replicas(self) -> bool:
        """A VerticalPodAutoscaler changes the pods instead."""
        return self.kind != naming.VPA


def foreign_scalers(server: ModelServer, found: Iterable[tuple[str, Raw]]) -> tuple[Foreign, ...]:
    """Of all scalers in the object's namespace (kind and body) those that scale it and are not its own."""
    items = [(kind, body, _target(server, kind, body)) for kind, body in found]
    return tuple(
        sorted(
            {
                _named(kind, body, target)
                for kind, body, target in items
                if target and not _is_own(server, body) and _acts(kind, body)
            },
            key=lambda item: (item.kind, item.name),
        )
    )


def aim(kind: str, body: Raw) -> tuple[str, str] | None:
    """The kind and the name of what a scaler scales; None where it is neither of ours.

    KEDA's ScaledObject means a Deployment where it does not say.
    """
    spec = body.get("spec") or {}
    reference = spec.get("scaleTargetRef") or spec.get("targetRef") or {}
    if not isinstance(reference, Mapping):  # whose CRD is not strict
        return None
    default = ("apps/v1", DEPLOYMENT) if kind == naming.SCALED_OBJECT else ("", "")
    version, target = reference.get("apiVersion") or default[0], reference.get("kind") or default[1]
    is_ours = (target, str(version).partition("/")[0]) in {(KIND, GROUP), (DEPLOYMENT, "apps")}
    return (str(target), str(reference.get("name"))) if is_ours else None


def _target(server: ModelServer, kind: str, body: Raw) -> str:
    found = aim(kind, body)
    return found[0] if found is not None and found[1] == server.name else ""


def _is_own(server: ModelServer, body: Raw) -> bool:
    """Ours, a predecessor's, one that lost its owner, or the one that KEDA made of our ScaledObject.

    KEDA copies our labels.
    """
    metadata = body["metadata"]
    owner = controller(metadata)
    if owner.get("uid") == server.uid:
        return True
    if not naming.is_ours(metadata):
        return False
    if not owner:
        return bool(metadata["name"] == server.name)
    return owner.get("name") == server.name and owner.get("kind") in (KIND, naming.SCALED_OBJECT)


def _acts(kind: str, body: Raw) -> bool:
    mode = ((body.get("spec") or {}).get("updatePolicy") or {}).get("updateMode")
    return not (body["metadata"].get("deletionTimestamp") or (kind == naming.VPA and mode == "Off"))


def _named(kind: str, body: Raw, target: str) -> Foreign:
    """By what somebody can remove: the ScaledObject, not the HorizontalPodAutoscaler that KEDA made of it."""
    owner = controller(body["metadata"])
    if owner.get("kind") == naming.SCALED_OBJECT:
        return Foreign(naming.SCALED_OBJECT, owner["name"], target)
    return Foreign(kind, body["metadata"]["name"], target)
