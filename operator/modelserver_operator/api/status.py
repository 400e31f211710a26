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
    """Types of conditions, in the order in which they are shown."""

    ACCEPTED = "Accepted"
    APPLIED = "Applied"
    AVAILABLE = "Available"
    MODELS_SERVED = "ModelsServed"
    EXCLUSIVE_CPUS = "ExclusiveCPUs"
    DEVICE_BOUND = "DeviceBound"
    READY = "Ready"


class Reason(StrEnum):
    """Reasons of conditions; docs/operator.md explains each."""

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
    """A condition of the object."""

    type: Word
    """Accepted, Applied, Available, ModelsServed, ExclusiveCPUs, DeviceBound or Ready."""
    status: Literal["True", "False", "Unknown"]
    """True, False or Unknown."""
    reason: Word
    """The reason as a single word, for programs."""
    message: Line = ""
    """What is wrong, why, and what to do."""
    observed_generation: int
    """The generation of the object that this condition refers to."""
    last_transition_time: Time
    """When the status of the condition last changed."""


class Endpoints(Record):
    """Where clients reach the models inside the cluster."""

    grpc: Word
    """gRPC through the cluster IP: each connection goes to one pod."""
    rest: Word
    """REST."""
    grpc_headless: Word
    """gRPC for clients that balance load themselves: dns:///NAME with round_robin."""


class TuningReport(Record):
    """The tuning in effect, as reported by the servers; a field is omitted while pods or models differ."""

    device: Line | None = None
    """The configured devices."""
    hint: Line | None = None
    """The performance hints."""
    streams: int | None = None
    """Streams in effect."""
    nireq: int | None = None
    """Infer requests in the pool."""
    threads: int | None = None
    """Number of CPUs that the server uses."""
    pinning: bool | None = None
    """Whether inference threads are pinned to CPUs."""
    pinning_reason: Line | None = None
    """Why pinning is on or off."""
    workers: int | None = None
    """Front-end workers."""
    warnings: Annotated[list[Line], Field(max_length=32)] | None = None
    """Settings that a server did not apply as configured."""


class VersionReport(Record):
    """A version of a model, over all ready pods."""

    version: int
    """The number of the version."""
    state: Word
    """START, LOADING, AVAILABLE, UNLOADING or END; AVAILABLE when it is available in every ready pod."""
    device: Line | None = None
    """The device on which it runs."""
    streams: int | None = None
    """Streams in effect."""
    nireq: int | None = None
    """Infer requests in the pool."""
    ready_pods: int = 0
    """Number of ready pods that serve it."""
    error: Line | None = None
    """Why it is not served."""


class ModelReport(Record):
    """A model, over all ready pods."""

    name: Word
    """The name of the model."""
    versions: Annotated[list[VersionReport], Field(max_length=VERSIONS_SHOWN)] = []  # noqa: RUF012 - pydantic copies it
    """Its versions, in ascending order."""
    error: Line | None = None
    """Why the model is not served as configured."""


class Failure(Record):
    """The newest failure of one of the object's pods."""

    time: Time
    """When it happened."""
    pod: Word
    """The name of the pod."""
    reason: Word
    """E.g. OOMKilled, Error, UnexpectedAdmissionError."""
    exit_code: int | None = None
    """The container's exit code."""
    message: Line = ""
    """Termination message of the container."""


class Status(Record):
    """The state of the object, as observed by the operator and reported by the servers."""

    observed_generation: int | None = None
    """The generation of the object that this status refers to."""
    replicas: int | None = None
    """Number of pods."""
    ready_replicas: int | None = None
    """Number of ready pods."""
    updated_replicas: int | None = None
    """Number of pods with the newest template."""
    selector: Word | None = None
    """Label selector of the pods, for the scale subresource."""
    conditions: Annotated[
        list[Condition],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = []  # noqa: RUF012 - pydantic copies it
    """Conditions of the object; Ready sums up the others."""
    endpoints: Endpoints | None = None
    """Where clients reach the models inside the cluster."""
    tuning: TuningReport | None = None
    """The tuning in effect, as reported by the servers."""
    models: Annotated[list[ModelReport], Field(max_length=MODELS_SHOWN)] | None = None
    """The models as reported by the pods."""
    last_failure: Failure | None = None
    """The newest failure of one of the pods."""
