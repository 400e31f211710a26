"""ModelServer objects for tests: a minimal one, and a table of objects that must be refused."""

from copy import deepcopy
from typing import Any

MODEL = {"name": "m", "uri": "pvc://models/m"}
SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
_SELECTOR = {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}
_NODES = {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}
_PODS = {"topologyKey": "zone", "labelSelector": _SELECTOR}
_DURING = "DuringSchedulingIgnoredDuringExecution"
POD = {
    "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}],
    "affinity": {
        "nodeAffinity": {
            f"required{_DURING}": {"nodeSelectorTerms": [_NODES]},
            f"preferred{_DURING}": [{"weight": 1, "preference": _NODES}],
        },
        "podAntiAffinity": {
            f"required{_DURING}": [_PODS],
            f"preferred{_DURING}": [{"weight": 1, "podAffinityTerm": _PODS}],
        },
    },
    "topologySpreadConstraints": [{**SPREAD, "labelSelector": {}, "matchLabelKeys": ["pod-template-hash"]}],
    "env": [
        {"name": "A", "value": ""},
        {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "C", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": 1}}},
        {"name": "D", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
    ],
    "envFrom": [{"prefix": "P_", "configMapRef": {"name": "c"}}],
    "volumes": [
        {"name": "a", "emptyDir": {}},
        {"name": "b", "emptyDir": {"medium": "Memory", "sizeLimit": 1048576}},
        {"name": "c", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
        {
            "name": "d",
            "downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]},
        },
        {"name": "e", "hostPath": {"path": "/dev/shm", "type": ""}},  # noqa: S108 - a path of a node
        {"name": "f", "configMap": {"name": "c", "defaultMode": 420, "items": [{"key": "k", "path": "p"}]}},
    ],
    "volumeMounts": [{"name": "a", "mountPath": "/a", "subPath": "x", "readOnly": True}],
    "resourceClaims": [
        {"name": "cpus", "resourceClaimTemplateName": "cpus"},
        {"name": "gpu", "resourceClaimName": "gpu"},
    ],
}
"""Every part of a pod that an object may set, with fields that are easily lost: empty, false, null."""


def model_server(name: str = "server", **spec: Any) -> dict[str, Any]:
    """The minimal object, with fields of the spec on top."""
    return {
        "apiVersion": "modelserver.dev/v1alpha1",
        "kind": "ModelServer",
        "metadata": {"name": name},
        "spec": deepcopy({"models": [MODEL], **spec}),
    }


def with_model(**fields: Any) -> dict[str, Any]:
    """Spec fields: one model with these on top."""
    return {"models": [{**MODEL, **fields}]}


def cpu(limit: Any, **spec: Any) -> dict[str, Any]:
    return {"resources": {"limits": {"cpu": limit}}, **spec}


OFFICE_HOURS = {"timeZone": "Europe/Berlin", "start": "0 8 * * 1-5", "end": "0 18 * * 1-5", "replicas": 4}
PER_STREAM = {"type": "RequestsPerStream", "averageValue": "750m"}


def scaled(**fields: Any) -> dict[str, Any]:
    """Spec fields: scaled by requests per stream up to ten replicas, with these fields on top."""
    return {"autoscaling": {"maxReplicas": 10, "metrics": [PER_STREAM], **fields}}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "hint and streams": (cpu(4, hint="LATENCY", streams=2), r"hint and streams exclude each other"),
    "hint and streams in a model": (
        with_model(hint="LATENCY", streams=1),
        r"hint and streams exclude each other",
    ),
    "nireq below streams": (cpu(4, streams=4, nireq=2), r"nireq must be at least streams"),
    "a model's nireq below the object's streams": (
        cpu(4, streams=4, **with_model(nireq=2)),
        r"nireq is below its streams",
    ),
    "a model's streams above the object's nireq": (
        cpu(4, nireq=2, **with_model(streams=4)),
        r"nireq is below its streams",
    ),
    "streams above the CPU limit": (cpu(2, streams=3), r"streams is above the CPU limit"),
    "streams above the CPU limit when that is unset": ({"streams": 2}, r"streams is above the CPU limit"),
    "a model's streams above the CPU limit": (
        cpu("2000m", **with_model(streams=3)),
        r"streams is above the CPU limit",
    ),
    "workers above the CPU limit": (cpu(2, workers=3), r"workers is above the CPU limit"),
    "static with half a CPU": (cpu("500m"), r"static needs whole CPUs"),
    "static with one and a half": (cpu("1500m"), r"static needs whole CPUs"),
    "static with requests below limits": (
        {"resources": {"limits": {"memory": "2Gi"}, "requests": {"memory": "1Gi"}}},
        r"static needs requests equal to limits",
    ),
    "more streams than a limit that others pin": (
        cpu(2, streams=3, cpuManagerPolicy="external"),
        r"streams is above the CPU limit",
    ),
    "scaled by a share of no request": (
        {**scaled(metrics=[{"type": "CPU", "averageUtilization": 80}]), "cpuManagerPolicy": "external"},
        r"with cpuManagerPolicy external none is filled in",
    ),
    "a claim of two kinds": (
        {
            "pod": {
                "resourceClaims": [{"name": "c", "resourceClaimName": "a", "resourceClaimTemplateName": "b"}]
            }
        },
        r"exactly one of resourceClaimName and resourceClaimTemplateName",
    ),
    "a request above its limit": (
        {"cpuManagerPolicy": "none", "resources": {"limits": {"cpu": 1}, "requests": {"cpu": 2}}},
        r"a request is above its limit",
    ),
    "PERFORMANCE_HINT in pluginConfig": (
        {"pluginConfig": {"PERFORMANCE_HINT": "LATENCY"}},
        r"must not set PERFORMANCE_HINT.*fields hint",
    ),
    "NUM_STREAMS in a model's pluginConfig": (
        with_model(pluginConfig={"NUM_STREAMS": 2}),
        r"must not set PERFORMANCE_HINT, NUM_STREAMS.*streams",
    ),
    "legacy streams and a hint": (
        {"hint": "THROUGHPUT", "pluginConfig": {"CPU_THROUGHPUT_STREAMS": "4"}},
        r"_THROUGHPUT_STREAMS together with hint",
    ),
    "ENABLE_CPU_RESERVATION": (
        {"pluginConfig": {"ENABLE_CPU_RESERVATION": "YES"}},
        r"cpuManagerPolicy static",
    ),
    "an accelerator without a device that uses it": (
        {"accelerator": {"resourceName": "gpu.intel.com/xe"}},
        r"accelerator is set, but no device uses it",
    ),
    "an accelerator that the device excludes": (
        {"device": "AUTO:-GPU,-NPU", "accelerator": {"count": 1}},
        r"accelerator is set, but no device uses it",
    ),
    "a GPU's resource for a device that excludes GPUs": (
        {"device": "AUTO:-GPU", "accelerator": {"resourceName": "gpu.intel.com/xe"}},
        r"of a kind that no device may use",
    ),
    "an NPU's resource for a GPU": (
        {"device": "AUTO:GPU,CPU", "accelerator": {"resourceName": "npu.intel.com/accel"}},
        r"of a kind that no device may use",
    ),
    "a GPU beyond the count": (
        {"device": "HETERO:GPU.2,CPU", "accelerator": {"count": 2}},
        r"GPU.N needs accelerator.count of N \+ 1",
    ),
    "two version policies": (
        with_model(versionPolicy={"latest": 1, "all": True}),
        r"exactly one of latest, versions and all",
    ),
    "no version policy": (with_model(versionPolicy={}), r"exactly one of latest, versions and all"),
    "two equal ports": ({"ports": {"grpc": 8080, "rest": 8080}}, r"grpc, rest and status must be different"),
    "a rollout that cannot begin": (
        {"rollout": {"maxSurge": 0, "maxUnavailable": "0%"}},
        r"both 0, so no pod could ever be replaced",
    ),
    "a uri without a claim": (with_model(uri="pvc:///m"), r"does not name a PersistentVolumeClaim"),
    "a claim with a wrong name": (
        with_model(uri="pvc://My_Claim/m"),
        r"does not name a PersistentVolumeClaim",
    ),
    "a way out of the claim": (with_model(uri="pvc://c/../m"), r"must not contain \.\."),
    "a file URI with two slashes": (with_model(uri="file://m"), r"absolute path: file:///PATH"),
    "an unknown scheme": (with_model(uri="ftp://host/m"), r"unknown scheme: use pvc://CLAIM/PATH"),
    "the operator's volume": (
        {"pod": {"volumes": [{"name": "modelserver-config", "emptyDir": {}}]}},
        r"reserved for the operator; choose another",
    ),
    "more CPUs than a node can have": (cpu("1e7"), r"static needs whole CPUs"),
    "a billionth of a CPU too much": (cpu("2.000000001"), r"static needs whole CPUs"),
    "a least number of replicas above the largest": (
        scaled(minReplicas=5, maxReplicas=4),
        r"minReplicas is above maxReplicas",
    ),
    "autoscaling by nothing": (
        {"autoscaling": {"maxReplicas": 4}},
        r"autoscaling needs metrics or schedule: add e\.g\. metrics",
    ),
    "a metric CPU with a value": (
        scaled(metrics=[{"type": "CPU", "averageValue": "1"}]),
        r"type CPU needs averageUtilization",
    ),
    "a metric CPU with both": (
        scaled(metrics=[{"type": "CPU", "averageUtilization": 80, "averageValue": "1"}]),
        r"type CPU needs averageUtilization, e\.g\. 80, and no averageValue",
    ),
    "requests per stream as a percentage": (
        scaled(metrics=[{"type": "RequestsPerStream", "averageUtilization": 75}]),
        r"need averageValue, e\.g\. 750m",
    ),
    "a target of nothing": (
        scaled(metrics=[{"type": "Concurrency", "averageValue": 0}]),
        r"averageValue must be at least 1m",
    ),
    "a schedule that ends as it begins": (
        scaled(schedule=[{**OFFICE_HOURS, "end": OFFICE_HOURS["start"]}]),
        r"start and end of a schedule must be different",
    ),
    "a time zone that does not exist": (
        scaled(schedule=[{**OFFICE_HOURS, "timeZone": "Europe/Berln"}]),
        r"timeZone must be a name of the IANA",
    ),
    "a time zone of whoever reads it": (
        scaled(schedule=[{**OFFICE_HOURS, "timeZone": "Local"}]),
        r"timeZone must be a name of the IANA",
    ),
    "a schedule above the largest number": (
        scaled(maxReplicas=3, schedule=[OFFICE_HOURS]),
        r"a schedule has more replicas than maxReplicas",
    ),
    "a delay to zero that never comes": (
        scaled(scaleToZeroAfterSeconds=60),
        r"scaleToZeroAfterSeconds has an effect only with minReplicas 0",
    ),
}
"""By what is wrong: the spec's fields, and what the message says. CEL and `parse` must agree."""

REFUSED_BY_SCHEMA: dict[str, tuple[dict[str, Any], str]] = {
    "no model": ({"models": []}, r"models"),
    "a model without uri": ({"models": [{"name": "m"}]}, r"uri"),
    "a model's name twice": ({"models": [MODEL, MODEL]}, r"[Dd]uplicate"),
    "an unknown device": ({"device": "TPU"}, r"spec\.device"),
    "an unknown hint": ({"hint": "FAST"}, r"LATENCY"),
    "an unknown stream word": ({"streams": "MANY"}, r"spec\.streams"),
    "no stream": ({"streams": 0}, r"spec\.streams"),
    "a version that JSON tools round": (with_model(versionPolicy={"versions": [2**53 + 1]}), r"versions"),
    "a quantity that is none": (cpu("many"), r"cpu"),
    "negative replicas": ({"replicas": -1}, r"replicas"),
    "a port below 1024": ({"ports": {"grpc": 80}}, r"grpc"),
    "a field that does not exist": ({"stream": 4}, r"unknown field"),
    "a misspelt affinity": ({"pod": {"affinity": {"nodeAfinity": {}}}}, r"unknown field .*nodeAfinity"),
    "a misspelt toleration": ({"pod": {"tolerations": [{"kee": "gpu"}]}}, r"unknown field .*kee"),
    "a misspelt variable": ({"pod": {"env": [{"name": "A", "valeu": "1"}]}}, r"unknown field .*valeu"),
    "a misspelt source of variables": ({"pod": {"envFrom": [{"secret": {}}]}}, r"unknown field .*secret"),
    "a misspelt volume": ({"pod": {"volumes": [{"name": "a", "emptydir": {}}]}}, r"unknown field .*emptydir"),
    "a misspelt mount": (
        {"pod": {"volumeMounts": [{"name": "a", "mountPath": "/a", "readonly": True}]}},
        r"unknown field .*readonly",
    ),
    "a misspelt spread": (
        {"pod": {"topologySpreadConstraints": [{**SPREAD, "matchLabelKey": ["a"]}]}},
        r"unknown field .*matchLabelKey",
    ),
    "a field in another spelling": ({"pod": {"node_selector": {}}}, r"unknown field .*node_selector"),
    "a variable of 200 kB": (
        {"pod": {"env": [{"name": "A", "value": "a" * 200_000}]}},
        r"may not be more than",
    ),
    "a variable twice": ({"pod": {"env": [{"name": "A"}, {"name": "A"}]}}, r"Duplicate"),
    "a label's key with a space": ({"pod": {"labels": {"a b": "c"}}}, r"a key is not a valid label"),
    "a number in quotes": ({"replicas": "2"}, r"must be of type integer"),
    "a number for a text": ({"image": 2}, r"must be of type string"),
    "a text for yes": ({"paused": "true"}, r"must be of type boolean"),
    "a fraction of replicas": ({"replicas": 1.5}, r"must be of type integer"),
    "no largest number of replicas": ({"autoscaling": {"metrics": [PER_STREAM]}}, r"maxReplicas"),
    "a metric that does not exist": (scaled(metrics=[{"type": "Memory"}]), r"RequestsPerStream"),
    "a metric twice": (scaled(metrics=[PER_STREAM, PER_STREAM]), r"[Dd]uplicate"),
    "a time without a day": (scaled(schedule=[{**OFFICE_HOURS, "start": "0 8"}]), r"start"),
    "a time zone with a space": (scaled(schedule=[{**OFFICE_HOURS, "timeZone": "a b"}]), r"timeZone"),
    "a misspelt behaviour": (scaled(behavior={"scaleup": {}}), r"unknown field .*scaleup"),
    "no headroom": ({"headroom": 0}, r"headroom"),
}
"""Refused by the types; `parse` refuses them in words of its own."""

ACCEPTED: dict[str, dict[str, Any]] = {
    "the minimal object": {},
    "streams up to the limit": cpu(4, streams=4),
    "streams as words": {"streams": "AUTO"},
    "one stream per NUMA node": {"streams": "NUMA", "nireq": 1},
    "milli-CPUs that are whole": cpu("2000m", streams=2, workers=2),
    "a request without its limit": {"resources": {"requests": {"cpu": 2}}, "streams": 2},
    "equal amounts written differently": {
        "resources": {"limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}}
    },
    "memory as a number of bytes": {"resources": {"limits": {"memory": 2**32}}},
    "half a shared CPU": cpu("500m", cpuManagerPolicy="none"),
    "CPUs that others give, without resources": {"cpuManagerPolicy": "external", "streams": 8, "workers": 4},
    "half a CPU that others give": cpu("500m", cpuManagerPolicy="external"),
    "scaled by a share of a request that others pin": {
        **scaled(metrics=[{"type": "CPU", "averageUtilization": 80}]),
        "cpuManagerPolicy": "external",
        "resources": {"requests": {"cpu": "2"}},
    },
    "a model that replaces the object's hint by streams": cpu(2, hint="LATENCY", **with_model(streams=2)),
    "a model with a hint under an object with streams": cpu(2, streams=2, **with_model(hint="LATENCY")),
    "a model's hint under streams frees its nireq": cpu(4, streams=4, **with_model(hint="LATENCY", nireq=1)),
    "legacy streams alone": {"pluginConfig": {"CPU_THROUGHPUT_STREAMS": "CPU_THROUGHPUT_AUTO"}},
    "any other property": {"pluginConfig": {"INFERENCE_PRECISION_HINT": "bf16", "X": 1, "Y": True}},
    "streams of a GPU are not CPUs": {
        "device": "GPU",
        "streams": 4,
        "accelerator": {"resourceName": "gpu.intel.com/xe"},
    },
    "devices in a row": {"device": "AUTO:GPU.0,CPU"},
    "a GPU without accelerator": {"device": "GPU"},
    "a GPU with a group alone": {"device": "GPU.1", "accelerator": {"renderGroup": 109}},
    "the second of two GPUs": {"device": "GPU.1", "accelerator": {"count": 2}},
    "AUTO with an accelerator": {"device": "AUTO", "accelerator": {"resourceName": "npu.intel.com/accel"}},
    "AUTO without GPUs, with an NPU": {
        "device": "AUTO:-GPU",
        "accelerator": {"resourceName": "npu.intel.com/accel"},
    },
    "a resource of another vendor": {"device": "GPU", "accelerator": {"resourceName": "vendor.example/gpu"}},
    "a batch device": {"device": "BATCH:GPU(4)"},
    "a gRPC channel argument": {"server": {"grpcChannelArguments": {"grpc.max_connection_age_ms": 60000}}},
    "no replica": {"replicas": 0},
    "the greatest version that is exact everywhere": with_model(versionPolicy={"versions": [2**53 - 1]}),
    "memory with an exponent": {"resources": {"limits": {"memory": "8.589934592e+09"}}},
    "CPUs with an exponent": cpu("1e0"),
    "CPUs with a sign": cpu("+1"),
    "CPUs in billionths": cpu("3000000000n", streams=3),
    "CPUs in millionths": cpu("2000000u"),
    "half a CPU without a zero": cpu(".5", cpuManagerPolicy="none"),
    "very much memory": {"resources": {"limits": {"memory": "1E"}}},
    "fields that are null": {"pod": None, "hint": None, "resources": {"limits": {"memory": None}}},
    "every part of a pod": {"pod": POD},
    "scaled by requests": scaled(),
    "scaled by a whole number": scaled(metrics=[{"type": "Concurrency", "averageValue": 8}]),
    "scaled by everything, to zero": scaled(
        minReplicas=0,
        scaleToZeroAfterSeconds=0,
        metrics=[{"type": "CPU", "averageUtilization": 80}, PER_STREAM],
        schedule=[OFFICE_HOURS],
        behavior={"scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}},
    ),
    "to zero without a schedule": scaled(minReplicas=0),
    "by schedule alone": {"autoscaling": {"maxReplicas": 4, "schedule": [OFFICE_HOURS]}},
    "headroom": {"headroom": 2},
}
