"""The API `modelserver.dev/v1alpha1`, kind ModelServer: parsed once, frozen afterwards.

`parse` is the only place that reads an object's raw spec.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from modelserver_operator.api import rules
from modelserver_operator.api.spec import Model, Spec
from modelserver_operator.api.status import Condition, Status
from modelserver_operator.errors import Invalid, SourceNotSupported

GROUP = "modelserver.dev"
VERSION = "v1alpha1"
KIND = "ModelServer"
PLURAL = "modelservers"
API_VERSION = f"{GROUP}/{VERSION}"
UPGRADE_ANNOTATION = f"{GROUP}/upgrade"
"""With a new value the pod template and config.json become what this version of the operator renders."""

SUPPORTED_SCHEMES = ("pvc", "file")


@dataclass(frozen=True)
class ModelServer:
    """One object: its identity, its spec, and the upgrade it asks for."""

    namespace: str
    name: str
    uid: str
    generation: int
    spec: Spec
    upgrade: str = ""
    """The value of the annotation that asks for an upgrade; empty when there is none."""


def parse(body: Mapping[str, Any], default_namespace: str = "default") -> ModelServer:
    """Read an object as the API server would store it; raises Invalid with every error and its field.

    What the API server refuses is refused here, too: objects reach this place also from a file.
    """
    metadata = body.get("metadata") or {}
    name, namespace = metadata.get("name") or "", metadata.get("namespace") or default_namespace
    if not isinstance(name, str) or not rules.NAME.holds(name):
        raise Invalid(f"{rules.NAME.message}; it is {name!r}")
    if not isinstance(namespace, str) or not rules.NAMESPACE.fullmatch(namespace):
        raise Invalid(f"metadata.namespace: {namespace!r} is not the name of a namespace")
    try:
        spec = Spec.model_validate(body.get("spec"), strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        raise Invalid("; ".join(_fault(item) for item in error.errors()[:8])) from None
    if faults := rules.broken(spec):
        raise Invalid("; ".join(faults[:8]))
    _check_sources(spec)
    return ModelServer(
        namespace=namespace,
        name=name,
        uid=metadata.get("uid") or "",
        generation=metadata.get("generation") or 0,
        spec=spec,
        upgrade=str((metadata.get("annotations") or {}).get(UPGRADE_ANNOTATION) or ""),
    )


def _fault(error: Any) -> str:
    place = "spec"
    for part in error["loc"]:
        if part != "[key]":
            place += f"[{part}]" if isinstance(part, int) else f".{part}"
    return f"{place}: {error['msg'].removeprefix('Value error, ')}"


def _check_sources(spec: Spec) -> None:
    for index, model in enumerate(spec.models):
        scheme = model.uri.partition("://")[0]
        if scheme not in SUPPORTED_SCHEMES:
            raise SourceNotSupported(
                f"spec.models[{index}].uri: {scheme}:// is not supported yet; use pvc://CLAIM/PATH or "
                "file:///PATH"
            )


__all__ = [
    "API_VERSION",
    "GROUP",
    "KIND",
    "PLURAL",
    "UPGRADE_ANNOTATION",
    "VERSION",
    "Condition",
    "Model",
    "ModelServer",
    "Spec",
    "Status",
    "parse",
]
