"""Objects that differ in one field each: every field of the spec is there."""

from typing import Any

from hypothesis import strategies as st

from modelserver_operator.api import ModelServer, Spec, parse
from modelserver_operator.api.rules import broken
from tests.support.modelservers import MODEL, model_server, scaled, with_model

FIELDS: dict[str, dict[str, Any]] = {
    "image": {"image": "other"},
    "the operator's own image": {"image": "cpu:2"},
    "pull policy": {"imagePullPolicy": "Always"},
    "pull secrets": {"imagePullSecrets": [{"name": "s"}]},
    "another claim": with_model(uri="pvc://other/m"),
    "a model more from the claim": {"models": [MODEL, {"name": "n", "uri": "pvc://models/n"}]},
    "a model in the image": with_model(uri="file:///m"),
    "another path": with_model(uri="pvc://models/n"),
    "version policy": with_model(versionPolicy={"all": True}),
    "shape": with_model(shape="(1,2)"),
    "a model's hint": with_model(hint="LATENCY"),
    "a model's device": with_model(device="GPU"),
    "a GPU": {"device": "GPU"},
    "an NPU": {"device": "NPU"},
    "AUTO without GPU": {"device": "AUTO:CPU"},
    "hint": {"hint": "LATENCY"},
    "streams": {"streams": 1},
    "expectedClients": {"expectedClients": 3},
    "nireq": {"nireq": 4},
    "pluginConfig": {"pluginConfig": {"A": 1.5}},
    "poll interval": {"pollIntervalSeconds": 9},
    "queue size": {"server": {"queueSize": 3}},
    "request size": {"server": {"maxRequestBytes": 4096}},
    "request timeout": {"server": {"requestTimeoutSeconds": 3}},
    "log level": {"server": {"logLevel": "DEBUG"}},
    "channel arguments": {"server": {"grpcChannelArguments": {"grpc.x": 1}}},
    "workers": {"resources": {"limits": {"cpu": 2}}, "workers": 2},
    "memory": {"resources": {"limits": {"memory": "3Gi"}}},
    "shared CPUs": {"cpuManagerPolicy": "none"},
    "CPUs that others give": {"cpuManagerPolicy": "external"},
    "group of volumes": {"pod": {"fsGroup": 2000}},
    "claims": {"pod": {"resourceClaims": [{"name": "c", "resourceClaimName": "c"}]}},
    "accelerator": {"device": "GPU", "accelerator": {"resourceName": "gpu.intel.com/xe", "renderGroup": 9}},
    "ports": {"ports": {"grpc": 9000}},
    "drain": {"rollout": {"drainSeconds": 0}},
    "start-up": {"rollout": {"startupTimeoutSeconds": 61}},
    "surge": {"rollout": {"maxSurge": 2}},
    "replicas": {"replicas": 3},
    "autoscaling": scaled(minReplicas=2),
    "headroom": {"headroom": 1},
    "service": {"service": {"type": "NodePort", "annotations": {"a": "b"}}},
    "service account": {"serviceAccount": {"annotations": {"a": "b"}}},
    "labels": {"pod": {"labels": {"a": "b"}}},
    "annotations": {"pod": {"annotations": {"a": "b"}}},
    "node selector": {"pod": {"nodeSelector": {"a": "b"}}},
    "priority": {"pod": {"priorityClassName": "high"}},
    "own account": {"pod": {"serviceAccountName": "own"}},
    "variables": {"pod": {"env": [{"name": "A", "value": "1"}]}},
    "volumes": {"pod": {"volumes": [{"name": "x", "emptyDir": {}}]}},
}
NEITHER = {"replicas", "autoscaling", "headroom", "service", "service account", "surge"}
SPECS = (
    st.lists(st.sampled_from(list(FIELDS.values())), max_size=4)
    .map(lambda fields: {key: value for item in fields for key, value in item.items()})
    .filter(lambda fields: not broken(Spec.model_validate({"models": [MODEL], **fields})))
)
"""Some of them together."""


def server(upgrade: str = "", **spec: Any) -> ModelServer:
    body = model_server(**spec)
    body["metadata"] |= {"namespace": "default", "uid": "owner"}
    if upgrade:
        body["metadata"]["annotations"] = {"modelserver.dev/upgrade": upgrade}
    return parse(body)
