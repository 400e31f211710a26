"""ModelServer's status: what is served, as the pods report it."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from modelserver_operator.api.fields import Record

Line = Annotated[str, StringConstraints(max_length=4096)]
Word = Annotated[str, StringConstraints(max_length=253)]
Time = Annotated[str, StringConstraints(max_length=40), Field(json_schema_extra={"format": "date-time"})]
MODELS_SHOWN = 64
VERSIONS_SHOWN = 64


class ConditionType(StrEnum):
    """Claims about an object, in the order they are shown."""

    ACCEPTED = "Accepted"
    APPLIED = "Applied"
    AVAILABLE = "Available"
    MODELS_SERVED = "ModelsServed"
    EXCLUSIVE_CPUS = "ExclusiveCPUs"
    DEVICE_BOUND = "DeviceBound"
    READY = "Ready"


class Reason(StrEnum):
    """Why a condition is as it is; docs/operator.md explains each."""

    ACCEPTED = "Accepted"
    INVALID = "Invalid"
    SOURCE_NOT_SUPPORTED = "SourceNotSupported"

    APPLIED = "Applied"
    NAME_TAKEN = "NameTaken"
    REFUSED = "Refused"
    PAUSED = "Paused"

    PODS_READY = "PodsReady"
    NO_POD_READY = "NoPodReady"
    SCALED_TO_ZERO = "ScaledToZero"

    SERVED = "Served"
    MODEL_NOT_SERVED = "ModelNotServed"
    OLD_CONFIGURATION = "OldConfiguration"
    POD_UNREACHABLE = "PodUnreachable"

    EXCLUSIVE = "Exclusive"
    NOT_REQUESTED = "NotRequested"
    FRACTIONAL_CPU = "FractionalCPU"
    NOT_GUARANTEED = "NotGuaranteed"
    INJECTED_CONTAINER = "InjectedContainer"
    NODE_POLICY_NONE = "NodePolicyNone"

    BOUND = "Bound"
    AUTOMATIC = "Automatic"
    OTHER_DEVICE = "OtherDevice"

    READY = "Ready"
    STARTING = "Starting"
    SCALING = "Scaling"
    ROLLING_OUT = "RollingOut"
    REPLACING_IN_PLACE = "ReplacingInPlace"
    ROLLOUT_STUCK = "RolloutStuck"
    PODS_FAILING = "PodsFailing"


class Condition(Record):
    """One claim about the object."""

    type: Word
    """Accepted, Applied, Available, ModelsServed, ExclusiveCPUs, DeviceBound or Ready."""
    status: Literal["True", "False", "Unknown"]
    """Whether the claim holds."""
    reason: Word
    """One word, for programs."""
    message: Line = ""
    """What, why, and what to do."""
    observed_generation: int
    """The generation of the object this was judged for."""
    last_transition_time: Time
    """When status last changed."""


class Endpoints(Record):
    """Where clients reach the models inside the cluster."""

    grpc: Word
    """gRPC, one connection is one pod."""
    rest: Word
    """REST."""
    grpc_headless: Word
    """For gRPC clients that balance themselves: dns:///NAME with round_robin."""


class TuningReport(Record):
    """The tuning in effect, as the servers report it; a field is left out while pods or models differ."""

    device: Line | None = None
    """Devices asked for."""
    hint: Line | None = None
    """Performance hints that were set."""
    streams: int | None = None
    """Streams in effect."""
    nireq: int | None = None
    """Infer requests in the pool."""
    threads: int | None = None
    """CPUs the server plans with."""
    pinning: bool | None = None
    """Whether inference threads are pinned to CPUs."""
    pinning_reason: Line | None = None
    """Why pinning is on or off."""
    workers: int | None = None
    """Front-end workers."""
    warnings: Annotated[list[Line], Field(max_length=32)] | None = None
    """What was asked for and done otherwise."""


class VersionReport(Record):
    """One version of one model over all ready pods."""

    version: int
    """Its number."""
    state: Word
    """START, LOADING, AVAILABLE, UNLOADING or END; AVAILABLE when every ready pod says so."""
    device: Line | None = None
    """Where it executes."""
    streams: int | None = None
    """Streams in effect."""
    nireq: int | None = None
    """Infer requests in the pool."""
    ready_pods: int = 0
    """Ready pods that serve it."""
    error: Line | None = None
    """Why it is not served."""


class ModelReport(Record):
    """One model over all ready pods."""

    name: Word
    """Its name."""
    versions: Annotated[list[VersionReport], Field(max_length=VERSIONS_SHOWN)] = []  # noqa: RUF012 - pydantic copies it
    """Its versions, ascending."""
    error: Line | None = None
    """Why the model as wanted is not served."""


class Failure(Record):
    """The newest failure of one of the object's pods."""

    time: Time
    """When."""
    pod: Word
    """Which."""
    reason: Word
    """E.g. OOMKilled, Error, UnexpectedAdmissionError."""
    exit_code: int | None = None
    """The container's exit code."""
    message: Line = ""
    """The container's last words."""


class Status(Record):
    """What the operator and the servers found."""

    observed_generation: int | None = None
    """The generation this status speaks of."""
    replicas: int | None = None
    """Pods there are."""
    ready_replicas: int | None = None
    """Pods that are ready."""
    updated_replicas: int | None = None
    """Pods of the newest template."""
    selector: Word | None = None
    """Label selector of the pods, for the scale subresource."""
    conditions: Annotated[
        list[Condition],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = []  # noqa: RUF012 - pydantic copies it
    """Claims about the object; Ready is their sum."""
    endpoints: Endpoints | None = None
    """Where clients reach the models inside the cluster."""
    tuning: TuningReport | None = None
    """The tuning in effect, as the servers report it."""
    models: Annotated[list[ModelReport], Field(max_length=MODELS_SHOWN)] | None = None
    """The models as read back from the pods."""
    last_failure: Failure | None = None
    """The newest failure of one of the pods."""
