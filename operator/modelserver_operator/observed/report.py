"""What a server says of itself: the document of GET /status."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel


class _Said(BaseModel):
    """A part of GET /status; fields this reader does not know are ignored, as the contract says."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


class SaidVersion(_Said):
    """One version of a model."""

    version: int
    state: str
    wanted: bool
    error: str | None


class SaidModel(_Said):
    """One model."""

    name: str
    device: str
    execution_devices: tuple[str, ...]
    streams: int | None
    nireq: int | None
    hint: str | None
    threads: int | None
    versions: tuple[SaidVersion, ...]
    revision: str | None
    error: str | None


class Said(_Said):
    """What a server says of itself."""

    schema_version: int
    revision: str | None
    ready: bool
    draining: bool
    affinity: tuple[int, ...]
    cpus_online: int
    quota: float | None
    threads: int
    pinning: bool
    pinning_reason: str
    workers: int
    warnings: tuple[str, ...] = ()
    models: tuple[SaidModel, ...]


@dataclass(frozen=True)
class Report:
    """A pod's answer, or why there is none."""

    said: Said | None
    problem: str = ""


def read_report(document: bytes) -> Report:
    """Parse GET /status; the contract is tests/contract/status.schema.json."""
    try:
        said = Said.model_validate_json(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return Report(
            None, f"its /status is not understood ({place}: {first['msg']}): is the image a modelserver?"
        )
    if said.schema_version != 1:
        return Report(
            None,
            f"its /status has schemaVersion {said.schema_version}, 1 is understood: upgrade the operator",
        )
    return Report(said)
