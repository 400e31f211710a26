"""ModelServer's status: what is served, as the pods report it.

Texts and numbers come from pods and servers, so they can be anything: each type makes its value fit its own
schema, because the API server refuses a whole status for one value that does not.
"""

import re
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from modelserver_operator.api.fields import Record

MODELS_SHOWN = 64
VERSIONS_SHOWN = 64
WARNINGS_SHOWN = 32
_LINE, _WORD, _TIME = 4096, 253, 40
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def shorten(text: str, limit: int = 1024) -> str:
    """At most `limit` characters; what was left out shows as one."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _line(value: Any) -> Any:
    return shorten(value, _LINE) if isinstance(value, str) else value


def _word(value: Any) -> Any:
    return shorten(value, _WORD) if isinstance(value, str) else value


def _integer(value: Any) -> Any:
    """The API server reads a number beyond 64 bits as a float, and refuses a float."""
    return max(-(2**63), min(value, 2**63 - 1)) if isinstance(value, int) else value


def _moment(value: str) -> str:
    if not _DATE_TIME.fullmatch(value):
        raise ValueError(f"{value!r} is not a time such as 2026-01-01T00:00:00Z")
    return value


Line = Annotated[str, StringConstraints(max_length=_LINE), BeforeValidator(_line)]
Word = Annotated[str, StringConstraints(max_length=_WORD), BeforeValidator(_word)]
Number = Annotated[int, BeforeValidator(_integer)]
Seconds = Annotated[float, Field(ge=0)]
Time = Annotated[
    str,
    StringConstraints(max_length=_TIME),
    AfterValidator(_moment),
    Field(json_schema_extra={"format": "date-time"}),
]


class ConditionType(StrEnum):
    """Types of conditions, in the order in which they are shown."""

    ACCEPTED = "Accepted"
    APPLIED = "Applied"
    AVAILABLE = "Available"
    MODELS_SERVED = "ModelsServed"
    EXCLUSIVE_CPUS = "ExclusiveCPUs"
    DEVICE_BOUND = "DeviceBound"
    AUTOSCALED = "Autoscaled"
    READY = "Ready"


class Reason(StrEnum):
    """Reasons of conditions; docs/operator.md explains each."""

    ACCEPTED = "Accepted"
    OLD_CRD = "OldCRD"
    INVALID = "Invalid"
    SOURCE_NOT_SUPPORTED = "SourceNotSupported"

    APPLIED = "Applied"
    NAME_TAKEN = "NameTaken"
    AWAITING_DELETION = "AwaitingDeletion"
    REFUSED = "Refused"
    CONTESTED = "Contested"
    PAUSED = "Paused"

    PODS_READY = "PodsReady"
    NO_POD_READY = "NoPodReady"
    SCALED_TO_ZERO = "ScaledToZero"

    SERVED = "Served"
    MODEL_NOT_SERVED = "ModelNotServed"
    OLD_CONFIGURATION = "OldConfiguration"
    POD_UNREACHABLE = "PodUnreachable"
    AWAITING_REPORT = "AwaitingReport"

    EXCLUSIVE = "Exclusive"
    NOT_REQUESTED = "NotRequested"
    FRACTIONAL_CPU = "FractionalCPU"
    NOT_GUARANTEED = "NotGuaranteed"
    INJECTED_CONTAINER = "InjectedContainer"
    NODE_POLICY_NONE = "NodePolicyNone"
    NODE_NARROWED = "NodeNarrowed"
    NO_WITNESS = "NoWitness"
    OVERLAPPING = "Overlapping"
    PINNED_EXTERNALLY = "PinnedExternally"
    POD_LEVEL_RESOURCES = "PodLevelResources"
    SMT_MISALIGNED = "SMTMisaligned"
    SPANS_NUMA_NODES = "SpansNUMANodes"

    BOUND = "Bound"
    AUTOMATIC = "Automatic"
    OTHER_DEVICE = "OtherDevice"
    DEVICE_NOT_PERMITTED = "DeviceNotPermitted"
    RESOURCE_NOT_ADVERTISED = "ResourceNotAdvertised"

    AUTOSCALED = "Autoscaled"
    AT_MAX_REPLICAS = "AtMaxReplicas"
    AWAITING_SCALER = "AwaitingScaler"
    FOREIGN_AUTOSCALER = "ForeignAutoscaler"
    KEDA_MISSING = "KEDAMissing"
    LOAD_NOT_REPORTED = "LoadNotReported"
    METRICS_UNAVAILABLE = "MetricsUnavailable"
    NO_CAPACITY_BUFFER = "NoCapacityBuffer"
    NO_WAKER = "NoWaker"
    PODS_MISSING = "PodsMissing"
    SCALER_NOT_READY = "ScalerNotReady"
    SCALER_PAUSED = "ScalerPaused"
    SCALER_UNREAD = "ScalerUnread"

    READY = "Ready"
    STARTING = "Starting"
    SCALING = "Scaling"
    ROLLING_OUT = "RollingOut"
    REPLACING_IN_PLACE = "ReplacingInPlace"
    ROLLOUT_STUCK = "RolloutStuck"
    PODS_FAILING = "PodsFailing"
    PODS_REJECTED = "PodsRejected"
    STATUS_REFUSED = "StatusRefused"
    INTERNAL_ERROR = "InternalError"


class Condition(Record):
    """A condition of the object."""

    type: Word
    """Accepted, Applied, Available, ModelsServed, ExclusiveCPUs, DeviceBound, Autoscaled or Ready."""
    status: Literal["True", "False", "Unknown"]
    """True, False or Unknown."""
    reason: Word
    """The reason as a single word, for programs."""
    message: Line = ""
    """What is wrong, why, and what to do."""
    observed_generation: Number
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
    """The tuning in effect, as reported by the servers; a number is omitted while pods or models differ."""

    device: Line | None = None
    """The configured devices."""
    hint: Line | None = None
    """The performance hints."""
    streams: Number | None = None
    """Streams in effect."""
    nireq: Number | None = None
    """Infer requests in the pool."""
    threads: Number | None = None
    """Threads with which a model runs inferences."""
    pinning: bool | None = None
    """Whether inference threads are pinned to CPUs."""
    pinning_reason: Line | None = None
    """Why pinning is on or off."""
    workers: Number | None = None
    """Front-end workers."""
    warnings: Annotated[list[Line], Field(max_length=WARNINGS_SHOWN)] | None = None
    """Settings that a server did not apply as configured."""


class VersionReport(Record):
    """A version of a model, over all ready pods."""

    version: Number
    """The number of the version."""
    state: Word
    """START, LOADING, AVAILABLE, UNLOADING or END; AVAILABLE when it is available in every ready pod."""
    device: Line | None = None
    """The device on which it runs."""
    streams: Number | None = None
    """Streams in effect."""
    nireq: Number | None = None
    """Infer requests in the pool."""
    ready_pods: Number = 0
    """Number of ready pods that serve it."""
    error: Line | None = None
    """Why it is not served."""


class ModelReport(Record):
    """A model, over all ready pods."""

    name: Word
    """The name of the model."""
    versions: Annotated[list[VersionReport], Field(max_length=VERSIONS_SHOWN)] = []  # noqa: RUF012 - pydantic copies it
    """Its versions, in ascending order."""
    versions_omitted: Number | None = None
    """How many more versions there are; they are omitted to keep the status small."""
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
    exit_code: Number | None = None
    """The container's exit code."""
    message: Line = ""
    """Termination message of the container."""


class StartupReport(Record):
    """How long the newest ready pods took to start: the median of at most five."""

    scheduled_seconds: Seconds | None = None
    """From the creation of the pod until it had a node."""
    image_seconds: Seconds | None = None
    """From then until its container was started: the volumes and the image."""
    loaded_seconds: Seconds | None = None
    """From then until every model was loaded and had answered an inference; only then a pod becomes ready."""
    first_inference_seconds: Seconds | None = None
    """How long the first inference of a model took, the slowest of them. It is a part of loadedSeconds."""


class Status(Record):
    """The state of the object, as observed by the operator and reported by the servers."""

    observed_generation: Number | None = None
    """The generation of the object that this status refers to."""
    replicas: Number | None = None
    """Number of pods."""
    ready_replicas: Number | None = None
    """Number of ready pods."""
    updated_replicas: Number | None = None
    """Number of pods with the newest template."""
    selector: Word | None = None
    """Label selector of the pods, for the scale subresource."""
    image: Line | None = None
    """The server image that the pods run; several while pods differ."""
    upgrade_available: bool | None = None
    """Whether this operator would make the pods or their configuration differently (another default image,
    other default fields). It does so when the annotation modelserver.dev/upgrade gets a new value."""
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
    startup: StartupReport | None = None
    """How long pods take to start. It stays while no pod runs."""
    last_failure: Failure | None = None
    """The newest failure of one of the pods."""
