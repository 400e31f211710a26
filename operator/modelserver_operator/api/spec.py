"""ModelServer's spec: what a user wishes. The descriptions are what `kubectl explain` prints."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from modelserver_operator.api.fields import (
    Annotations,
    ChannelArgument,
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
    preserved,
    preserved_list,
)

Version = Annotated[int, Field(ge=1, le=2**53)]
DEFAULT_CPU, DEFAULT_MEMORY = "1", "2Gi"
"""Limits of an object that sets none; the rules, the pod and the description of Resources agree."""


class VersionPolicy(Record):
    """Which versions of a model are served: exactly one of latest, versions, all."""

    latest: Annotated[int, Field(ge=1, le=64)] | None = None
    """Serve the newest N versions."""
    versions: Annotated[list[Version], Field(min_length=1, max_length=64)] | None = None
    """Serve these versions."""
    all: Literal[True] | None = None
    """Serve every version there is."""


class Tuning(Record):
    """The tuning fields that stand both on the object and on a model."""

    hint: Hint | None = None
    """What OpenVINO optimises for: LATENCY (one client, shortest answer), THROUGHPUT (many parallel
    clients, the default when neither hint, streams nor expectedClients is set) or CUMULATIVE_THROUGHPUT
    (AUTO on all devices at once). Excludes streams. A model that sets hint, streams or expectedClients
    replaces the object's choice as a whole."""
    streams: Streams | None = None
    """How many requests OpenVINO executes in parallel: a number (at most the CPU limit on CPU), AUTO, or
    NUMA (one per NUMA node). Excludes hint."""
    expected_clients: Count | None = None
    """Parallel clients of one replica. Sizes streams and nireq when those are not set; with a hint it
    becomes PERFORMANCE_HINT_NUM_REQUESTS."""
    nireq: Count | None = None
    """Infer requests in the pool, at least streams. Default: what OpenVINO says is optimal."""
    plugin_config: PluginConfig | None = None
    """Any other OpenVINO property, e.g. INFERENCE_PRECISION_HINT: bf16. Maps merge by key, the model wins."""


class Model(Tuning):
    """One model to serve."""

    name: Annotated[
        str, StringConstraints(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*)$")
    ]
    """The name clients ask for."""
    uri: Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=r"^[a-z][a-z0-9]*://.+$")]
    """Where the model's version directories are: pvc://CLAIM/PATH (a PersistentVolumeClaim of the same
    namespace, mounted read-only) or file:///PATH (in the image or on a volume of pod.volumes)."""
    version_policy: VersionPolicy = VersionPolicy(latest=1)
    """Which versions are served. Default: the newest."""
    batch_size: Count | None = None
    """Serve with this batch size instead of the model's own."""
    shape: Text | None = None
    """Serve with this shape, as OpenVINO Model Server writes it: (1,3,224,224), auto, or {"x": "(1,3)"}."""
    layout: Text | None = None
    """Layouts of the served and the model's tensors, e.g. NHWC:NCHW."""
    precision: Text | None = None
    """Element types of the served and the model's inputs, e.g. uint8:fp32."""
    color_format: Text | None = None
    """Colour order of the served and the model's images, e.g. BGR:RGB."""
    mean: Text | None = None
    """Subtracted from the input inside the compiled model, e.g. 127.5 or [123.7,116.3,103.5]."""
    scale: Text | None = None
    """The input is divided by it inside the compiled model."""
    device: Device | None = None
    """The device of this model; default: the object's."""


class Resources(Record):
    """Resources of one replica. Unset: cpu 1, memory 2Gi. A request without its limit becomes the limit."""

    limits: Quantities | None = None
    """Upper bounds. With cpuManagerPolicy static, cpu is a whole number and requests equal limits."""
    requests: Quantities | None = None
    """What the scheduler sets aside. Default: the limits."""


class Accelerator(Record):
    """The device plugin's resource for a GPU or NPU."""

    resource_name: Annotated[
        str, StringConstraints(min_length=3, max_length=253, pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$")
    ]
    """E.g. gpu.intel.com/xe, gpu.intel.com/i915 or npu.intel.com/accel."""
    count: Annotated[int, Field(ge=1, le=64)] = 1
    """Devices per replica."""
    render_group: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    """Group id of /dev/dri/renderD* on the nodes, given to the server as a supplemental group."""


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
    """Requests that may wait per model before one is refused (429, RESOURCE_EXHAUSTED).
    Default: 16 x nireq."""
    request_timeout_seconds: Annotated[int, Field(ge=1, le=3600)] | None = None
    """How long a request may wait for its turn. Default: 60. A pod gets this long to finish when it ends."""
    max_request_bytes: Annotated[int, Field(ge=1024, le=2147483647)] | None = None
    """The biggest request body; a bigger one is refused (413, RESOURCE_EXHAUSTED). Default: 1 GiB."""
    grpc_channel_arguments: Annotated[
        dict[
            Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$", max_length=120)],
            ChannelArgument,
        ],
        Field(max_length=32),
    ] = {}  # noqa: RUF012 - pydantic copies it
    """gRPC channel arguments, e.g. grpc.max_connection_age_ms: "60000"."""


class Service(Record):
    """The Service clients use."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """As in a Kubernetes Service."""
    annotations: Annotations = {}  # noqa: RUF012 - pydantic copies it
    """E.g. for a cloud's load balancer."""


class ServiceAccount(Record):
    """The pods' ServiceAccount. It holds no API token."""

    annotations: Annotations = {}  # noqa: RUF012 - pydantic copies it
    """E.g. for workload identity."""


class RolloutPolicy(Record):
    """How pods are replaced."""

    drain_seconds: Annotated[int, Field(ge=0, le=600)] = 15
    """A pod that ends goes on serving this long, until every client has left its endpoint."""
    max_surge: Share | None = None
    """Pods above replicas during a rollout. Default: 1; 0 with an accelerator, and for a rollout whose new
    pod no node had room for in 30 s."""
    max_unavailable: Share | None = None
    """Pods below replicas during a rollout. Default: 0; 1 where maxSurge is 0."""
    startup_timeout_seconds: Annotated[int, Field(ge=5, le=7200)] = 600
    """How long loading and compiling may take before the container is restarted."""


class PodTemplate(Record):
    """Parts of the pod template that are handed through."""

    labels: Labels = {}  # noqa: RUF012 - pydantic copies it
    """Further labels; the operator's own win."""
    annotations: Annotations = {}  # noqa: RUF012 - pydantic copies it
    """Further annotations."""
    node_selector: Labels = {}  # noqa: RUF012 - pydantic copies it
    """Labels a node must have."""
    tolerations: Annotated[list[Any], preserved_list(64)] = []  # noqa: RUF012 - pydantic copies it
    """As in a Pod."""
    affinity: Annotated[dict[str, Any], preserved()] | None = None
    """As in a Pod."""
    topology_spread_constraints: Annotated[list[Any], preserved_list(16)] = []  # noqa: RUF012 - pydantic copies it
    """As in a Pod. The pods' labels: app.kubernetes.io/instance is the object's name."""
    priority_class_name: Name | None = None
    """As in a Pod."""
    scheduler_name: Name | None = None
    """As in a Pod."""
    runtime_class_name: Name | None = None
    """As in a Pod."""
    service_account_name: Name | None = None
    """An existing ServiceAccount instead of an own one."""
    env: Annotated[list[Any], preserved_list(128)] = []  # noqa: RUF012 - pydantic copies it
    """Environment of the server, as in a container."""
    env_from: Annotated[list[Any], preserved_list(32)] = []  # noqa: RUF012 - pydantic copies it
    """As in a container."""
    volumes: Annotated[list[Any], preserved_list(32)] = []  # noqa: RUF012 - pydantic copies it
    """Further volumes, as in a Pod; their names must not begin with modelserver-."""
    volume_mounts: Annotated[list[Any], preserved_list(64)] = []  # noqa: RUF012 - pydantic copies it
    """Their mounts in the server's container."""


class Secret(Record):
    """A Secret of the same namespace."""

    name: Name
    """Its name."""


class Spec(Tuning):
    """What to serve, on what, and how often."""

    image: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    """The server's image. Default: the operator's setting for the device family."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """As in a container."""
    image_pull_secrets: Annotated[list[Secret], Field(max_length=16)] = []  # noqa: RUF012 - pydantic copies it
    """Secrets for the image's registry."""
    models: Annotated[
        list[Model],
        Field(
            min_length=1,
            max_length=64,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ]
    """The models one server serves; names are unique."""
    device: Device = "CPU"
    """CPU, GPU, GPU.0, NPU, AUTO, AUTO:GPU,CPU, HETERO:GPU,CPU, MULTI:GPU,CPU or BATCH:GPU(4)."""
    workers: Annotated[int, Field(ge=1, le=1024)] = 1
    """Front-end workers (decode threads) of the server, at most the CPU limit."""
    poll_interval_seconds: Annotated[int, Field(ge=0, le=86400)] | None = None
    """How often model directories are looked at for new versions; 0 = never. Default: 1 for pvc and file."""
    replicas: Annotated[int, Field(ge=0, le=10000)] = 1
    """How many pods. kubectl scale and every autoscaler write it through the scale subresource."""
    resources: Resources = Resources()
    """Resources of one replica."""
    cpu_manager_policy: Literal["static", "none"] = "static"
    """static: CPUs of its own (whole CPUs, requests equal limits, Guaranteed QoS). none: shared CPUs."""
    accelerator: Accelerator | None = None
    """The device plugin's resource; only with a device that names a GPU or NPU."""
    ports: Ports = Ports()
    """Ports of the container and the Services."""
    server: Server = Server()
    """Settings of the server's process."""
    service: Service = Service()
    """The Service clients use."""
    service_account: ServiceAccount = ServiceAccount()
    """The pods' ServiceAccount."""
    rollout: RolloutPolicy = RolloutPolicy()
    """How pods are replaced."""
    pod: PodTemplate = PodTemplate()
    """Parts of the pod template that are handed through."""
    paused: bool = False
    """true: the operator reports, but changes nothing."""
