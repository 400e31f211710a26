"""The pod: one container, no init container and no sidecar, which could cost it its Guaranteed QoS."""

from typing import Any

from modelserver_operator import naming
from modelserver_operator.api import ModelServer, Spec
from modelserver_operator.api.cpu_rules import cpu_limit
from modelserver_operator.api.pod.scheduling import manifest
from modelserver_operator.api.spec import DEFAULT_CPU, DEFAULT_MEMORY
from modelserver_operator.desired.accelerators import Allotment, Amounts
from modelserver_operator.desired.config import request_timeout

_STARTUP_PERIOD = 2
_SPARE_SECONDS = 5
_SPREAD = {"topology.kubernetes.io/zone": 1, "kubernetes.io/hostname": 5}
"""How unevenly replicas may be spread where there is room. Karpenter makes new nodes as long as a preference
asks for them, and another node is always more even: with 1 it makes a node for each replica."""


def pod_spec(server: ModelServer, image: str, allotment: Allotment) -> dict[str, Any]:
    """The spec of the pod template."""
    spec = server.spec
    return {
        "serviceAccountName": spec.pod.service_account_name or server.name,
        "automountServiceAccountToken": False,
        # Otherwise a Service named `modelserver` would set MODELSERVER_PORT=tcp://... for the server.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": spec.rollout.drain_seconds + request_timeout(spec) + _SPARE_SECONDS,
        "securityContext": _pod_security(spec, allotment.groups),
        "containers": [_container(spec, image, allotment.resources)],
        "volumes": _volumes(server),
        **_scheduling(server),
    }


def resources(spec: Spec, accelerators: Amounts) -> dict[str, dict[str, str]]:
    """Limits and requests in effect: a request without its limit becomes the limit; not where others pin."""
    given, requested = dict(spec.resources.limits or {}), dict(spec.resources.requests or {})
    devices = {name: str(count) for name, count in accelerators.items()}
    if spec.cpu_manager_policy == "external":
        amounts = {"limits": {**given, **devices}, "requests": requested}
        return {kind: amount for kind, amount in amounts.items() if amount}
    limits = {"cpu": DEFAULT_CPU, "memory": DEFAULT_MEMORY, **requested, **given, **devices}
    return {"limits": limits, "requests": {**limits, **requested}}


def _resources(spec: Spec, accelerators: Amounts) -> dict[str, Any]:
    claims = [{"name": claim.name} for claim in spec.pod.resource_claims]
    return {**resources(spec, accelerators), **({"claims": claims} if claims else {})}


def exclusive_cpu_count(spec: Spec) -> int | None:
    """How many CPUs the server should have to itself; None when it shares them."""
    return int(cpu_limit(spec.resources)) if spec.cpu_manager_policy == "static" else None


def arguments(spec: Spec) -> list[str]:
    """The server's command line: settings that cannot change while it runs."""
    channel = ",".join(f"{key}={value}" for key, value in sorted(spec.server.grpc_channel_arguments.items()))
    exclusive = exclusive_cpu_count(spec)
    return [
        f"--config_path={naming.CONFIG_DIRECTORY}/{naming.CONFIG_FILE}",
        f"--port={spec.ports.grpc}",
        f"--rest_port={spec.ports.rest}",
        f"--status_port={spec.ports.status}",
        f"--grpc_workers={spec.workers}",
        *([f"--exclusive_cpus={exclusive}"] if exclusive else []),
        f"--log_level={spec.server.log_level}",
        # The object is the only source of truth: a model loaded by hand would be lost with the pod.
        "--model_control_mode=none",
        # preStop does the waiting; this second makes clients with open connections reconnect elsewhere.
        *(["--drain_seconds=1"] if spec.rollout.drain_seconds else []),
        *([f"--grpc_channel_arguments={channel}"] if channel else []),
    ]


def _container(spec: Spec, image: str, accelerators: Amounts) -> dict[str, Any]:
    drain = spec.rollout.drain_seconds
    return {
        "name": naming.CONTAINER,
        "image": image,
        "imagePullPolicy": spec.image_pull_policy,
        "args": arguments(spec),
        **({"env": [manifest(item) for item in spec.pod.env]} if spec.pod.env else {}),
        **({"envFrom": [manifest(item) for item in spec.pod.env_from]} if spec.pod.env_from else {}),
        "ports": [
            {"name": "grpc", "containerPort": spec.ports.grpc, "protocol": "TCP"},
            {"name": "rest", "containerPort": spec.ports.rest, "protocol": "TCP"},
            {"name": "status", "containerPort": spec.ports.status, "protocol": "TCP"},
        ],
        "resources": _resources(spec, accelerators),
        **_probes(spec),
        # `sleep` needs no shell in the image, unlike `exec`.
        **({"lifecycle": {"preStop": {"sleep": {"seconds": drain}}}} if drain else {}),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            # If another client sets it, it contradicts the line above, and every apply fails.
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": _mounts(spec),
    }


def _probes(spec: Spec) -> dict[str, Any]:
    tries = -(-spec.rollout.startup_timeout_seconds // _STARTUP_PERIOD)
    ready, live = (
        {"httpGet": {"path": f"/v2/health/{word}", "port": "status", "scheme": "HTTP"}}
        for word in ("ready", "live")
    )
    return {
        "startupProbe": {
            **ready,
            "periodSeconds": _STARTUP_PERIOD,
            "timeoutSeconds": 2,
            "failureThreshold": tries,
        },
        "readinessProbe": {**ready, "periodSeconds": 5, "timeoutSeconds": 2, "failureThreshold": 3},
        "livenessProbe": {**live, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3},
    }


def _pod_security(spec: Spec, learned: tuple[int, ...]) -> dict[str, Any]:
    given = spec.accelerator.render_group if spec.accelerator else None
    groups = sorted({*learned, *([given] if given else [])})
    return {
        # The user is the image's, a number; OpenShift gives one of its own, and refuses any other.
        "runAsNonRoot": True,
        **({"fsGroup": spec.pod.fs_group} if spec.pod.fs_group is not None else {}),
        **({"supplementalGroups": groups} if groups else {}),
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def claims(spec: Spec) -> list[str]:
    """The PersistentVolumeClaims with the models, each once."""
    uris = (model.uri.partition("://") for model in spec.models)
    return sorted({rest.split("/")[0] for scheme, _, rest in uris if scheme == "pvc"})


def _volume_name(index: int) -> str:
    # The name of a claim may have 253 characters, that of a volume 63.
    return f"{naming.CLAIM_VOLUME_PREFIX}{index}"


def _volumes(server: ModelServer) -> list[Any]:
    return [
        {"name": naming.CONFIG_VOLUME, "configMap": {"name": naming.config_map(server.name)}},
        *(
            {"name": _volume_name(index), "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
            for index, claim in enumerate(claims(server.spec))
        ),
        *map(manifest, server.spec.pod.volumes),
    ]


def _mounts(spec: Spec) -> list[Any]:
    return [
        {"name": naming.CONFIG_VOLUME, "mountPath": naming.CONFIG_DIRECTORY, "readOnly": True},
        *(
            {"name": _volume_name(index), "mountPath": f"{naming.MODELS_DIRECTORY}/{claim}", "readOnly": True}
            for index, claim in enumerate(claims(spec))
        ),
        *map(manifest, spec.pod.volume_mounts),
    ]


def _spread(server: ModelServer) -> list[Any]:
    """Over zones and nodes as evenly as there is room; the pods of another template are not counted."""
    if server.spec.pod.topology_spread_constraints:
        return [manifest(item) for item in server.spec.pod.topology_spread_constraints]
    return [
        {
            "maxSkew": skew,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": naming.selector(server.name)},
            "matchLabelKeys": ["pod-template-hash"],
        }
        for key, skew in _SPREAD.items()
    ]


def _scheduling(server: ModelServer) -> dict[str, Any]:
    spec, pod = server.spec, server.spec.pod
    fields = {
        "imagePullSecrets": [{"name": secret.name} for secret in spec.image_pull_secrets],
        "nodeSelector": dict(pod.node_selector),
        "tolerations": [manifest(item) for item in pod.tolerations],
        "affinity": manifest(pod.affinity) if pod.affinity else None,
        "topologySpreadConstraints": _spread(server),
        "priorityClassName": pod.priority_class_name,
        "schedulerName": pod.scheduler_name,
        "runtimeClassName": pod.runtime_class_name,
        "resourceClaims": [manifest(claim) for claim in pod.resource_claims],
    }
    return {key: value for key, value in fields.items() if value}
