"""What a server reports: the document of GET /status.

The contract is tests/contract/status.schema.json. Only what the operator uses is read; any other field may
be missing, and unknown ones are ignored. What a pod's image answers is not trusted: reading it must cost
neither the other objects their time nor the operator its memory.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    ValidationError,
)
from pydantic.alias_generators import to_camel

T = TypeVar("T")
_MOST, _LONGEST = 8192, 4096
_MOST_FIELDS = 60_000
"""In a document, counted by their colons; 64 models with 64 versions each have 17,000."""
Several = Annotated[tuple[T, ...], FailFast(), Field(max_length=_MOST)]
"""The first wrong item ends the reading: an error for each of a million would take gigabytes."""
Text = Annotated[str, AfterValidator(lambda text: text[:_LONGEST])]
Duration = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class _Reported(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


def _is_there(value: Any) -> bool:
    return value is not None


def _or_nothing(value: Any) -> Any:
    return () if value is None else value


class VersionStatus(_Reported):
    """One version of a model."""

    version: int
    state: Text
    wanted: bool
    error: Text | None


class ModelStatus(_Reported):
    """One model."""

    name: Text
    device: Text
    execution_devices: Several[Text]
    streams: int | None
    nireq: int | None
    hint: Text | None
    threads: int | None = None
    versions: Several[VersionStatus]
    revision: Text | None
    error: Text | None


class StartupStatus(_Reported):
    """How long a server took until it was ready for the first time."""

    loaded_seconds: Duration
    first_inference_seconds: Duration | None = None


class NumaNode(_Reported):
    """A NUMA node that holds a CPU of the affinity."""

    node: int
    cpus: Several[int]


class CpuFacts(_Reported):
    """What the kernel says about the server's CPUs."""

    cgroup: int | None = None
    own_cpuset: Annotated[Several[int], BeforeValidator(_or_nothing)] = ()
    """What a CPU manager wrote; empty where none did, or where the kernel does not tell."""
    siblings: Several[Several[int]] = ()
    numa_nodes: Several[NumaNode] = ()


class DeviceFile(_Reported):
    """A device file in the container."""

    path: Text
    group: Annotated[int, Field(ge=0, le=2**32 - 1)]
    usable: bool


class DevicesStatus(_Reported):
    """What the server could run models on."""

    available: Several[Text] = ()
    files: Several[DeviceFile] = ()


class ServerStatus(_Reported):
    """One server."""

    schema_version: Annotated[int, Field(ge=0, le=1_000_000)]
    revision: Text | None
    affinity: Several[int]
    cpus_online: int
    quota: float | None = None
    """CPUs that the CFS quota allows; where it is not among `model_fields_set`, nothing was said."""
    threads: int
    pinning: bool
    pinning_reason: Text
    workers: int
    warnings: Several[Text] = ()
    reports_load: Annotated[bool, BeforeValidator(_is_there)] = Field(default=False, alias="load")
    """What it reports changes all the time, and is asked for elsewhere."""
    startup: StartupStatus | None = None
    cpus: CpuFacts | None = None
    devices: DevicesStatus | None = None
    models: Several[ModelStatus]


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
    asked_at: float = field(default=float("-inf"), compare=False)
    """When the answer came, on the clock of who asked."""


def is_too_much(document: bytes) -> bool:
    """Whether it has more fields than any server reports, so that it must not be parsed."""
    return document.count(b":") > _MOST_FIELDS


def read_reply(document: bytes) -> Reply:
    """Parse the document of GET /status."""
    if is_too_much(document):
        return Reply(
            None,
            f"its /status cannot be read (more than {_MOST_FIELDS} fields): is the image a model server?",
        )
    try:
        status = ServerStatus.model_validate_json(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
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
