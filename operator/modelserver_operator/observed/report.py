"""What a server reports: the document of GET /status.

The contract is tests/contract/status.schema.json. Only what the operator uses is read; any other field may
be missing, and unknown ones are ignored.
"""

from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel


class _Reported(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


class VersionStatus(_Reported):
    """One version of a model."""

    version: int
    state: str
    wanted: bool
    error: str | None


class ModelStatus(_Reported):
    """One model."""

    name: str
    device: str
    execution_devices: tuple[str, ...]
    streams: int | None
    nireq: int | None
    hint: str | None
    threads: int | None = None
    versions: tuple[VersionStatus, ...]
    revision: str | None
    error: str | None


class ServerStatus(_Reported):
    """One server."""

    schema_version: int
    revision: str | None
    affinity: tuple[int, ...]
    cpus_online: int
    threads: int
    pinning: bool
    pinning_reason: str
    workers: int
    warnings: tuple[str, ...] = ()
    models: tuple[ModelStatus, ...]


class ProbeOutcome(StrEnum):
    """What came of asking a server once."""

    ANSWERED = "answered"
    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"
    REJECTED = "rejected"
    """Another HTTP status than 200; redirects are not followed."""
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Answer:
    """What came back from a status port: a document, or the problem in words."""

    outcome: ProbeOutcome
    document: bytes = b""
    problem: str = ""


@dataclass(frozen=True)
class Reply:
    """The status of a pod's server, or the problem that kept the operator from reading it."""

    status: ServerStatus | None
    problem: str = ""
    is_current: bool = True
    """Whether it was asked after its pod became as it is now, and after the last new configuration."""


def read_reply(document: bytes) -> Reply:
    """Parse the document of GET /status."""
    try:
        status = ServerStatus.model_validate_json(document)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        return Reply(
            None, f"its /status cannot be read ({field}: {first['msg']}): is the image a model server?"
        )
    if status.schema_version != 1:
        return Reply(
            None,
            f"its /status has schemaVersion {status.schema_version}, this operator reads only 1: upgrade the "
            "operator",
        )
    return Reply(status)
