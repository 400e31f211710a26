"""ModelServer's spec. `kubectl explain` prints the descriptions."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from modelserver_operator.api.autoscaling import Autoscaling
from modelserver_operator.api.fields import (
    EXACT,
    Annotations,
    ChannelArguments,
    Count,
    Device,
    Hint,
    Labels,
    Name,
    PluginConfig,
    Port,
    Quantities,
    Record,
    Share,
    Streams,
    Text,
    map_keys,
    unique,
)
from modelserver_operator.api.pod.claims import ResourceClaims
from modelserver_operator.api.pod.scheduling import Affinity, Tolerations, TopologySpreadConstraints
from modelserver_operator.api.pod.variables import Variables, VariablesSources
from modelserver_operator.api.pod.volumes import VolumeMounts, Volumes

Version = Annotated[int, Field(ge=1, le=EXACT)]
DEFAULT_CPU, DEFAULT_MEMORY = "1", "2Gi"
"""Limits of an object that sets none; the rules, the pod and the description of Resources agree."""


class VersionPolicy(Record):
    """Which versions of a model are served: exactly one of latest, versions and all."""

    latest: Annotated[int, Field(ge=1, le=64)] | None = None
    """Serve the newest N versions."""
    versions: Annotated[list[Version], Field(min_length=1, max_length=64)] | None = None
    """Serve these versions. At most 2^53 - 1: many JSON tools round bigger numbers. With latest and all, a
    server takes versions up to 2^63 - 1."""
    all: Literal[True] | None = None
    """Serve every version."""


class Tuning(Record):
    """The tuning fields, which both the object and a model can set."""

    hint: Hint | None = None
    """What OpenVINO optimises for: LATENCY (a single client), THROUGHPUT (many parallel clients; the
    default when hint, streams and expectedClients are all unset) or CUMULATIVE_THROUGHPUT (AUTO on all
    devices at the same time). Cannot be combined with streams. A model that sets hint, streams or
    expectedClients replaces the object's choice of all three."""
    streams: Streams | None = None
    """How many requests OpenVINO runs in parallel: a number (on CPU at most the CPU limit), AUTO, or NUMA
    (one per NUMA node). Cannot be combined with hint."""
    expected_clients: Count | None = None
    """Number of parallel clients of one replica. Determines streams and nireq when they are not set; with a
    hint it becomes PERFORMANCE_HINT_NUM_REQUESTS."""
    nireq: Count | None = None
    """Number of infer requests in the pool, at least streams. Default: OpenVINO's optimal number."""
    plugin_config: PluginConfig | None = None
    """Other OpenVINO properties, e.g. INFERENCE_PRECISION_HINT: bf16. A model's keys override those of the
    object."""


class Model(Tuning):
    """One model to serve."""

    name: Annotated[
        str, StringConstraints(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*)$")
    ]
    """The name that clients use."""
    uri: Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=r"^[a-z][a-z0-9]*://.+$")]
    """The directory that contains the model's version directories: pvc://CLAIM/PATH (a
    PersistentVolumeClaim in the same namespace, mounted read-only) or file:///PATH (in the image or on a
    volume of pod.volumes)."""
    version_policy: VersionPolicy = VersionPolicy(latest=1)
    """Which versions are served. Default: the newest."""
    batch_size: Count | None = None
    """Serve with this batch size instead of the model's own."""
    shape: Text | None = None
    """Serve with this shape, in the notation of OpenVINO Model Server: (1,3,224,224), auto or
    {"x": "(1,3)"}."""
    layout: Text | None = None
    """Layout of the requests and of the model, e.g. NHWC:NCHW."""
    precision: Text | None = None
    """Element type of the requests and of the model, e.g. uint8:fp32."""
    color_format: Text | None = None
    """Colour order of the requests and of the model, e.g. BGR:RGB."""
    mean: Text | None = None
    """Subtracted from the input inside the compiled model, e.g. 127.5 or [123.7,116.3,103.5]."""
    scale: Text | None = None
    """The input is divided by this inside the compiled model."""
    device: Device | None = None
    """The device of this model. Default: the object's device."""


class Resources(Record):
    """Resources of one replica. Unset: cpu 1, memory 2Gi. A request without its limit becomes the limit.

    With cpuManagerPolicy external nothing is filled in.
    """

    limits: Quantities | None = None
    """Limits of the container. With cpuManagerPolicy static, cpu must be a whole number and requests must
    equal limits."""
    requests: Quantities | None = None
    """Requests of the container. Default: the limits."""


class Accelerator(Record):
    """The device plugin's resource for a GPU or NPU."""

    resource_name: (
        Annotated[
            str, StringConstraints(min_length=3, max_length=253, pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$")
        ]
        | None
    ) = None
    """E.g. gpu.intel.com/xe, gpu.intel.com/i915 or npu.intel.com/accel. Default: what the nodes advertise."""
    count: Annotated[int, Field(ge=1, le=64)] | None = None
    """Devices per replica. Default: as many as the highest index in device needs, otherwise 1."""
    render_group: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    """Group ID of /dev/dri/renderD* on the nodes; the server gets it as a supplemental group. Default: the
    group of a device file that the server finds but cannot open."""


class Ports(Record):
    """Ports of the server's container and of its Services."""

    grpc: Port = 8080
    """KServe v2 and TensorFlow-Serving gRPC."""
    rest: Port = 8081
    """KServe v2 and TensorFlow-Serving REST."""
    status: Port = 8082
    """Probes, /metrics and /status."""


class Server(Record):
    """Settings of the server's process."""

    log_level: Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """How much the server logs."""
    queue_size: Annotated[int, Field(ge=0, le=1000000)] | None = None
    """How many requests can wait per model; more are rejected (429, RESOURCE_EXHAUSTED).
    Default: 16 x nireq."""
    request_timeout_seconds: Annotated[int, Field(ge=1, le=3600)] | None = None
    """How long a request can wait in the queue. Default: 60. A terminating pod gets this time to finish."""
    max_request_bytes: Annotated[int, Field(ge=1024, le=2147483647)] | None = None
    """The largest request body; larger ones are rejected (413, RESOURCE_EXHAUSTED). Default: 1 GiB."""
    grpc_channel_arguments: ChannelArguments = {}  # noqa: RUF012 - pydantic copies it
    """gRPC channel arguments, e.g. grpc.max_connection_age_ms: "60000"."""


class Service(Record):
    """The Service that clients use."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """As in a Service."""
    annotations: Annotations = {}  # noqa: RUF012 - pydantic copies it
    """E.g. for the load balancer of a cloud."""


class ServiceAccount(Record):
    """The pods' ServiceAccount. The pods get no API token."""

    annotations: Annotations = {}  # noqa: RUF012 - pydantic copies it
    """E.g. for workload identity."""


class RolloutPolicy(Record):
    """How pods are replaced."""

    drain_seconds: Annotated[int, Field(ge=0, le=600)] = 15
    """How long a terminating pod continues to serve, so that clients can move to other pods."""
    max_surge: Share | None = None
    """How many pods above replicas a rollout may create. Default: 1; 0 with an accelerator, and when no node
    could fit the extra pod for 30 s."""
    max_unavailable: Share | None = None
    """How many of replicas may be missing during a rollout. Default: 0; 1 when maxSurge is 0."""
    startup_timeout_seconds: Annotated[int, Field(ge=5, le=7200)] = 600
    """How long loading and compiling the models may take before the container is restarted."""


class PodTemplate(Record):
    """Parts of the pod template, passed on as they are."""

    labels: Labels = {}  # noqa: RUF012 - pydantic copies it
    """Additional labels; they cannot override the operator's."""
    annotations: Annotations = {}  # noqa: RUF012 - pydantic copies it
    """Additional annotations."""
    node_selector: Labels = {}  # noqa: RUF012 - pydantic copies it
    """Labels a node must have."""
    tolerations: Tolerations = []  # noqa: RUF012 - pydantic copies it
    """As in a Pod."""
    affinity: Affinity | None = None
    """As in a Pod."""
    topology_spread_constraints: TopologySpreadConstraints = []  # noqa: RUF012 - pydantic copies it
    """As in a Pod. The pods have the label app.kubernetes.io/instance with the object's name. Default: spread
    over zones and nodes where there is room."""
    priority_class_name: Name | None = None
    """As in a Pod."""
    scheduler_name: Name | None = None
    """As in a Pod."""
    runtime_class_name: Name | None = None
    """As in a Pod."""
    service_account_name: Name | None = None
    """An existing ServiceAccount to use instead of creating one."""
    env: Variables = []  # noqa: RUF012 - pydantic copies it
    """Environment variables of the server, as in a container."""
    env_from: VariablesSources = []  # noqa: RUF012 - pydantic copies it
    """As in a container."""
    volumes: Volumes = []  # noqa: RUF012 - pydantic copies it
    """Additional volumes, as in a Pod; their names must not begin with modelserver-."""
    volume_mounts: VolumeMounts = []  # noqa: RUF012 - pydantic copies it
    """Volume mounts of the server's container."""
    fs_group: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    """Group ID that owns the files of volumes that support it; the server is a member. Set it when a volume
    cannot be read. On OpenShift leave it unset: the namespace's is set."""
    resource_claims: ResourceClaims = []  # noqa: RUF012 - pydantic copies it
    """Devices or CPUs of a DRA driver, as in a Pod; the server's container gets all of them."""


class Secret(Record):
    """A Secret in the same namespace."""

    name: Name
    """Its name."""


class Spec(Tuning):
    """The models to serve, their tuning, and the pods that serve them."""

    image: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    """The server's image. Default: the operator's setting for the device family."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """As in a container."""
    image_pull_secrets: Annotated[
        list[Secret], Field(max_length=16, json_schema_extra=map_keys("name")), unique("name")
    ] = []  # noqa: RUF012 - pydantic copies it
    """Secrets for pulling the image."""
    models: Annotated[
        list[Model],
        Field(min_length=1, max_length=64, json_schema_extra=map_keys("name")),
        unique("name"),
    ]
    """The models to serve; their names are unique."""
    device: Device = "CPU"
    """CPU, GPU, GPU.0, NPU, AUTO, AUTO:GPU,CPU, HETERO:GPU,CPU, MULTI:GPU,CPU or BATCH:GPU(4)."""
    workers: Annotated[int, Field(ge=1, le=1024)] = 1
    """Front-end workers (decoding threads) of the server, at most the CPU limit."""
    poll_interval_seconds: Annotated[int, Field(ge=0, le=86400)] | None = None
    """How often model directories are checked for new versions; 0 disables it. Default: 1."""
    replicas: Annotated[int, Field(ge=0, le=10000)] = 1
    """Number of pods. kubectl scale and autoscalers set it through the scale subresource."""
    autoscaling: Autoscaling | None = None
    """Lets the load or the time of day set replicas. Unset: replicas stays as it is, or an autoscaler of your
    own sets it."""
    headroom: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Room for this many more replicas is kept ready on the nodes: a CapacityBuffer, where the cluster's
    autoscaler has that API. Recommended: 1, when a new node takes longer than the clients can wait."""
    resources: Resources = Resources()
    """Resources of one replica."""
    cpu_manager_policy: Literal["static", "none", "external"] = "static"
    """static: exclusive CPUs (whole CPUs, requests equal limits, Guaranteed QoS). none: shared CPUs.
    external: an NRI plugin or a DRA driver pins the pods, whose resources are left as you give them."""
    accelerator: Accelerator | None = None
    """The device plugin's resource; only together with a device that can be a GPU or NPU. Where device names
    one, all of it is optional."""
    ports: Ports = Ports()
    """Ports of the container and the Services."""
    server: Server = Server()
    """Settings of the server's process."""
    service: Service = Service()
    """The Service that clients use."""
    service_account: ServiceAccount = ServiceAccount()
    """The pods' ServiceAccount."""
    rollout: RolloutPolicy = RolloutPolicy()
    """How pods are replaced."""
    pod: PodTemplate = PodTemplate()
    """Parts of the pod template, passed on as they are."""
    paused: bool = False
    """true: the operator updates the status, but applies no changes."""
