"""The API `modelserver.dev/v1alpha1`, kind ModelServer: parsed once, frozen afterwards.

`parse` is the only place that reads an object's raw spec.
"""

import re
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

SUPPORTED_SCHEMES = ("pvc", "file")
LATER_SCHEMES = ("s3", "gs", "az", "https", "oci")
OWN_VOLUME_PREFIX = "modelserver-"
_CLAIM = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True)
class ModelServer:
    """One object: its identity and its spec."""

    namespace: str
    name: str
    uid: str
    generation: int
    spec: Spec


def parse(body: Mapping[str, Any]) -> ModelServer:
    """Read an object as the API server returns it; raises Invalid with every error and its field."""
    metadata = body.get("metadata") or {}
    name = metadata.get("name") or ""
    if not rules.NAME.holds(name):
        raise Invalid(rules.NAME.message)
    try:
        spec = Spec.model_validate(body.get("spec") or {})
    except ValidationError as error:
        raise Invalid("; ".join(_fault(item) for item in error.errors()[:8])) from None
    if faults := rules.broken(spec):
        raise Invalid("; ".join(faults[:8]))
    _check_sources(spec)
    _check_volumes(spec)
    return ModelServer(
        namespace=metadata.get("namespace") or "default",
        name=name,
        uid=metadata.get("uid") or "",
        generation=metadata.get("generation") or 0,
        spec=spec,
    )


def _fault(error: Any) -> str:
    place = "spec"
    for part in error["loc"]:
        place += f"[{part}]" if isinstance(part, int) else f".{part}"
    return f"{place}: {error['msg'].removeprefix('Value error, ')}"


def _check_sources(spec: Spec) -> None:
    for index, model in enumerate(spec.models):
        place = f"spec.models[{index}].uri"
        scheme, _, rest = model.uri.partition("://")
        if scheme in LATER_SCHEMES:
            raise SourceNotSupported(
                f"{place}: {scheme}:// is not supported yet; use pvc://CLAIM/PATH or file:///PATH"
            )
        if scheme not in SUPPORTED_SCHEMES:
            raise SourceNotSupported(
                f"{place}: unknown scheme {scheme}://; use pvc://CLAIM/PATH or file:///PATH"
            )
        if ".." in rest.split("/"):
            raise Invalid(f"{place}: the path must not contain ..")
        if scheme == "file" and not rest.startswith("/"):
            raise Invalid(f"{place}: a file URI needs an absolute path: file:///{rest}")
        if scheme == "pvc":
            _check_claim(place, rest.split("/")[0])


def _check_claim(place: str, claim: str) -> None:
    if not claim:
        raise Invalid(f"{place}: the name of the claim is missing; use pvc://CLAIM/PATH")
    if not _CLAIM.fullmatch(claim):
        raise Invalid(
            f"{place}: {claim} is not a valid name of a PersistentVolumeClaim; use pvc://CLAIM/PATH"
        )


def _check_volumes(spec: Spec) -> None:
    for index, volume in enumerate(spec.pod.volumes):
        name = volume.get("name") if isinstance(volume, dict) else None
        if str(name).startswith(OWN_VOLUME_PREFIX):
            raise Invalid(
                f"spec.pod.volumes[{index}].name: names that begin with {OWN_VOLUME_PREFIX} are "
                "reserved for the operator; choose another name"
            )


__all__ = [
    "API_VERSION",
    "GROUP",
    "KIND",
    "PLURAL",
    "VERSION",
    "Condition",
    "Model",
    "ModelServer",
    "Spec",
    "Status",
    "parse",
]
