"""Random ModelServer objects that the API server and the operator accept, and edits of them.

An edit replaces or removes what one entry below stands for. Each has values that differ in ways that are easy
to get wrong: another kind of source under the same name, the same amount written differently, the same items
in another order, ports that change places, fields that the API server fills in.
"""

from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from modelserver_operator.api import parse
from modelserver_operator.errors import Invalid
from tests.support.modelservers import OFFICE_HOURS, scaled

Spec = dict[str, Any]
_DURING = "DuringSchedulingIgnoredDuringExecution"
_LABELS = ({"a": "b"}, {"a": "c"}, {"example.com/a": ""}, {"a": "b", "c": "d"})
_PODS = [{"topologyKey": key, "labelSelector": {"matchLabels": {"a": "b"}}} for key in ("zone", "host")]
_FIELD = {"fieldRef": {"fieldPath": "status.podIP"}}
_AMOUNT = {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}
_KEY = {"name": "n", "key": "k"}
_SOURCES: tuple[Spec, ...] = (
    {"emptyDir": {}},
    {"emptyDir": {"medium": "Memory", "sizeLimit": "1024Mi"}},
    {"emptyDir": {"sizeLimit": "1Gi"}},
    {"configMap": {"name": "c"}},
    {"configMap": {"name": "c", "defaultMode": 292, "items": [{"key": "k", "path": "p"}]}},
    {"secret": {"secretName": "s"}},
    {"persistentVolumeClaim": {"claimName": "x", "readOnly": True}},
    {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}, {"secret": {"name": "s"}}]}},
    {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    {"hostPath": {"path": "/opt"}},
    {"hostPath": {"path": "/opt", "type": "Directory"}},
    {"image": {"reference": "example.com/model:1"}},
    {"csi": {"driver": "example.com", "volumeAttributes": {"a": "b"}}},
    {"nfs": {"server": "example.com", "path": "/m"}},
    {"iscsi": {"targetPortal": "10.0.0.1", "iqn": "iqn.2026-01.com.example:a", "lun": 0}},
    {
        "ephemeral": {
            "volumeClaimTemplate": {
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
            }
        }
    },
)
_VARIABLES: tuple[Spec, ...] = (
    {"value": "1"},
    {"value": "1000m"},
    {"value": ""},
    {"valueFrom": _FIELD},
    {"valueFrom": _AMOUNT},
    {"valueFrom": {"configMapKeyRef": _KEY}},
    {"valueFrom": {"secretKeyRef": {**_KEY, "optional": True}}},
)
_MODELS = (
    {"name": "m", "uri": "pvc://models/m"},
    {"name": "m", "uri": "pvc://others/m"},
    {"name": "m", "uri": "file:///models/m", "versionPolicy": {"all": True}},
    {"name": "n", "uri": "pvc://models/n", "versionPolicy": {"versions": [3, 1]}},
    {"name": "o", "uri": "pvc://models", "hint": "LATENCY", "nireq": 2, "pluginConfig": {"X": 1}},
    {"name": "p", "uri": "pvc://models/p", "device": "GPU", "batchSize": 4},
)
_MOUNTS = ({"mountPath": "/a"}, {"mountPath": "/a", "readOnly": True}, {"mountPath": "/b", "subPath": "x"})


@st.composite
def _volumes(draw: st.DrawFn) -> Spec:
    """Each is mounted once."""
    names = draw(st.permutations(("a", "b"))) if draw(st.booleans()) else ["a"]
    volumes = [{"name": name, **draw(st.sampled_from(_SOURCES))} for name in names]
    mounts = [{"name": name, **draw(st.sampled_from(_MOUNTS))} for name in names]
    paths = {mount["mountPath"]: mount for mount in mounts}
    return {"volumes": volumes, "volumeMounts": list(paths.values())}


@st.composite
def _variables(draw: st.DrawFn) -> Spec:
    names = draw(st.permutations(("A", "B", "C")))[: draw(st.integers(1, 3))]
    return {"env": [{"name": name, **draw(st.sampled_from(_VARIABLES))} for name in names]}


def _models() -> st.SearchStrategy[Spec]:
    chosen = st.lists(st.sampled_from(_MODELS), min_size=1, max_size=3, unique_by=lambda model: model["name"])
    return chosen.map(lambda models: {"models": models})


def _one_of(name: str, *values: Any) -> st.SearchStrategy[Spec]:
    return st.sampled_from(values).map(lambda value: {name: value})


_OF_POD: tuple[st.SearchStrategy[Spec], ...] = (
    _volumes(),
    _volumes(),
    _variables(),
    _variables(),
    _one_of("envFrom", [{"configMapRef": {"name": "c"}}], [{"prefix": "P_", "secretRef": {"name": "c"}}]),
    _one_of("labels", *_LABELS),
    _one_of("annotations", *_LABELS, {"a": "1" * 300}),
    _one_of("nodeSelector", *_LABELS),
    _one_of(
        "tolerations",
        [{"operator": "Exists"}],
        [{"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}],
        [{"key": "gpu", "value": "a"}, {"key": "b", "operator": "Equal", "effect": "NoSchedule"}],
    ),
    _one_of(
        "affinity",
        {"podAntiAffinity": {f"required{_DURING}": _PODS}},
        {"podAntiAffinity": {f"required{_DURING}": _PODS[::-1]}},
        {"podAffinity": {f"preferred{_DURING}": [{"weight": 1, "podAffinityTerm": _PODS[0]}]}},
        {
            "nodeAffinity": {
                f"required{_DURING}": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "Exists"}]}]
                }
            }
        },
    ),
    _one_of(
        "topologySpreadConstraints",
        *(
            [{"maxSkew": skew, "topologyKey": key, "whenUnsatisfiable": then}]
            for skew, key, then in ((1, "zone", "DoNotSchedule"), (2, "zone", "DoNotSchedule"))
        ),
        [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"},
            {
                "maxSkew": 1, "topologyKey": "host", "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"a": "b"}}, "nodeTaintsPolicy": "Honor",
            },
        ],
    ),
    _one_of(
        "resourceClaims",
        [{"name": "cpus", "resourceClaimTemplateName": "cpus"}],
        [{"name": "gpu", "resourceClaimName": "gpu"}, {"name": "cpus", "resourceClaimName": "shared"}],
    ),
    _one_of("fsGroup", 0, 2000),
    _one_of("priorityClassName", "high", "system-node-critical"),
    _one_of("schedulerName", "own", "default-scheduler"),
    _one_of("runtimeClassName", "kata", "gvisor"),
    _one_of("serviceAccountName", "own", "default"),
)  # fmt: skip
_OF_SPEC: tuple[st.SearchStrategy[Spec], ...] = (
    _models(),
    _models(),
    _one_of("replicas", 0, 1, 2, 7),
    _one_of(
        "autoscaling",
        scaled(metrics=[{"type": "CPU", "averageUtilization": 80}])["autoscaling"],
        scaled(metrics=[{"type": "CPU", "averageUtilization": 60}], behavior={"scaleUp": {}})["autoscaling"],
        scaled()["autoscaling"],
        scaled(minReplicas=0, schedule=[OFFICE_HOURS])["autoscaling"],
    ),
    _one_of("headroom", 1, 2),
    _one_of("image", "example.com/server:1", "example.com/server@sha256:" + "0" * 64),
    _one_of("imagePullPolicy", "Always", "IfNotPresent", "Never"),
    _one_of("imagePullSecrets", [{"name": "a"}], [{"name": "b"}, {"name": "a"}]),
    _one_of("device", "CPU", "GPU", "NPU", "AUTO", "AUTO:GPU,CPU"),
    _one_of("accelerator", {"resourceName": "gpu.intel.com/xe"}),
    st.sampled_from(
        (
            {"device": "GPU", "accelerator": {"resourceName": "gpu.intel.com/xe", "count": 2}},
            {"device": "GPU", "accelerator": {"resourceName": "gpu.intel.com/i915", "renderGroup": 44}},
        )
    ),
    _one_of("hint", "LATENCY", "THROUGHPUT"),
    _one_of("streams", 1, 2),
    _one_of("expectedClients", 1, 9),
    _one_of("nireq", 1, 8),
    _one_of("workers", 1, 2),
    _one_of("pluginConfig", {"A": 1}, {"A": 1.5, "B": "YES"}, {"B": True}),
    _one_of("pollIntervalSeconds", 0, 1, 60),
    _one_of("cpuManagerPolicy", "static", "none", "external"),
    _one_of(
        "resources",
        {"limits": {"cpu": 2}},
        {"limits": {"cpu": "2000m", "memory": "1024Mi"}},
        {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": 2, "memory": 2**30}},
        {"limits": {"cpu": 4, "memory": "3Gi", "ephemeral-storage": "2Gi"}},
        {"limits": {"example.com/a": 1}},
        {"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi"}},
    ),
    _one_of(
        "ports",
        {"grpc": 8081, "rest": 8080},
        {"rest": 8082, "status": 8081},
        {"grpc": 9000, "rest": 9001, "status": 9002},
        {"status": 9000},
    ),
    _one_of(
        "server",
        {"logLevel": "DEBUG"},
        {"queueSize": 0, "maxRequestBytes": 10**6},
        {"requestTimeoutSeconds": 5, "grpcChannelArguments": {"grpc.max_connection_age_ms": 60000}},
    ),
    _one_of(
        "service",
        {"type": "NodePort"},
        {"type": "LoadBalancer"},
        {"annotations": {"a": "b"}},
        {"type": "LoadBalancer", "annotations": {"a": "c", "b": ""}},
    ),
    _one_of("serviceAccount", {"annotations": {"a": "b"}}, {"annotations": {"a": "c", "example.com/b": ""}}),
    _one_of(
        "rollout",
        {"drainSeconds": 0},
        {"maxSurge": 0, "maxUnavailable": 1},
        {"maxSurge": "25%", "startupTimeoutSeconds": 61},
        {"maxUnavailable": "50%", "drainSeconds": 600},
    ),
)


def is_accepted(spec: Spec) -> bool:
    """Whether the operator carries it out."""
    try:
        parse({"metadata": {"name": "server", "namespace": "default"}, "spec": spec})
    except Invalid:
        return False
    return True


@st.composite
def changes(draw: st.DrawFn) -> tuple[Spec, Spec]:
    """Two specs; the second is another one, or an edit of the first. None is paused: that changes nothing."""
    first, other = (_edited(draw, draw(_models()), draw(st.integers(0, 14))) for _ in range(2))
    start = draw(st.sampled_from((first, first, {**first, **other}, other)))
    return first, _edited(draw, start if is_accepted(start) else other, draw(st.integers(1, 8)))


def _edited(draw: st.DrawFn, spec: Spec, edits: int) -> Spec:
    """With that many attempts at an edit; those that make it unacceptable are dropped."""
    for _ in range(edits):
        changed = deepcopy(spec)
        is_of_pod = draw(st.booleans())
        part = draw(draw(st.sampled_from(_OF_POD if is_of_pod else _OF_SPEC)))
        holder = changed.setdefault("pod", {}) if is_of_pod else changed
        is_removed = part.keys() <= holder.keys() and "models" not in part and draw(st.booleans())
        for name, value in deepcopy(part).items():
            if is_removed:
                del holder[name]
            else:
                holder[name] = value
        spec = changed if is_accepted(changed) else spec
    return spec
