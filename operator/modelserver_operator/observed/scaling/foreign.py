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
    items = [(kind, body, _target(server, body)) for kind, body in found]
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


def _target(server: ModelServer, body: Raw) -> str:
    spec = body.get("spec") or {}
    reference = spec.get("scaleTargetRef") or spec.get("targetRef") or {}
    group = str(reference.get("apiVersion") or "").partition("/")[0]
    is_ours = (reference.get("kind"), group) in {(KIND, GROUP), (DEPLOYMENT, "apps")}
    return str(reference["kind"]) if is_ours and reference.get("name") == server.name else ""


def _is_own(server: ModelServer, body: Raw) -> bool:
    """Ours, or the one that KEDA made of our ScaledObject: it copies our labels."""
    metadata = body["metadata"]
    owner, labels = controller(metadata), metadata.get("labels") or {}
    if owner.get("uid") == server.uid:
        return True
    is_ours = labels.get(naming.MANAGED_BY_LABEL) == naming.MANAGER
    return is_ours and (owner.get("kind"), owner.get("name")) == (naming.SCALED_OBJECT, server.name)


def _acts(kind: str, body: Raw) -> bool:
    mode = ((body.get("spec") or {}).get("updatePolicy") or {}).get("updateMode")
    return not (body["metadata"].get("deletionTimestamp") or (kind == naming.VPA and mode == "Off"))


def _named(kind: str, body: Raw, target: str) -> Foreign:
    """By what somebody can remove: the ScaledObject, not the HorizontalPodAutoscaler that KEDA made of it."""
    owner = controller(body["metadata"])
    if owner.get("kind") == naming.SCALED_OBJECT:
        return Foreign(naming.SCALED_OBJECT, owner["name"], target)
    return Foreign(kind, body["metadata"]["name"], target)
