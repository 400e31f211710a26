"""What a group of nodes needs before its first node exists."""

import pytest
import yaml

from modelserver_operator.api.fields import quantity
from modelserver_operator.desired import Images
from modelserver_operator.desired.kept import rendered
from modelserver_operator.desired.node_group import PROVIDERS, describe, kubelet, needs
from tests.support.one_field import server

SPEC = {
    "device": "GPU",
    "resources": {"limits": {"cpu": 4, "memory": "8Gi"}},
    "accelerator": {"resourceName": "gpu.intel.com/xe"},
    "pod": {
        "nodeSelector": {"example.com/pool": "gpu"},
        "tolerations": [
            {"key": "example.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "team", "value": "vision", "effect": "NoExecute"},
            {"operator": "Exists"},
        ],
    },
}


def lines(provider: str, **spec: object) -> list[str]:
    made = server(**{**SPEC, **spec})
    template = rendered(made, Images("c", "g", "n")).template
    return describe(needs(template, is_exclusive=made.spec.cpu_manager_policy == "static"), provider)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_room_for_one_replica_and_the_kubelets_policy_are_said_everywhere(provider: str):
    text = "\n".join(lines(provider))

    assert "room for cpu 4, gpu.intel.com/xe 1, memory 8Gi" in text
    assert "cpuManagerPolicy static is set" in text


def test_shared_cpus_need_no_policy():
    assert "cpuManagerPolicy" not in "\n".join(lines("aws", cpuManagerPolicy="none"))
    assert kubelet_of(cpu=4, cpuManagerPolicy="none") is None


def kubelet_of(cpu: int | str, **spec: object) -> dict | None:
    """The kubelet configuration that `plan` prints for an object with so many CPUs."""
    made = server(resources={"limits": {"cpu": cpu, "memory": "8Gi"}}, **spec)
    template = rendered(made, Images("c", "g", "n")).template
    found = needs(template, is_exclusive=made.spec.cpu_manager_policy == "static")
    return yaml.safe_load("\n".join(kubelet(found)))


def test_exclusive_cpus_need_the_static_policy_and_a_reservation_which_it_cannot_do_without():
    configuration = kubelet_of(cpu=4)

    assert configuration["kind"] == "KubeletConfiguration"
    assert configuration["cpuManagerPolicy"] == "static"
    assert quantity(configuration["kubeReserved"]["cpu"]) > 0


@pytest.mark.parametrize(("cpu", "whole_cores"), [(1, False), (2, True), ("4000m", True), (7, False)])
def test_whole_cores_are_advised_only_where_a_node_with_hyperthreads_would_admit_the_pod(
    cpu: int | str, whole_cores: bool
):
    options = kubelet_of(cpu=cpu).get("cpuManagerPolicyOptions", {})

    assert options == ({"full-pcpus-only": "true"} if whole_cores else {})


def test_taints_that_kubernetes_sets_itself_are_not_for_a_group():
    keys = ("node.kubernetes.io/unreachable", "node-role.kubernetes.io/control-plane", "team")
    pod = {"tolerations": [{"key": key, "operator": "Exists", "effect": "NoExecute"} for key in keys]}

    text = "\n".join(lines("karpenter", pod=pod))

    assert "key: team" in text
    assert "kubernetes.io/unreachable" not in text
    assert "control-plane" not in text


def test_a_label_that_an_affinity_requires_is_one_of_the_group():
    def affinity(*terms: list[dict]) -> dict:
        required = {"nodeSelectorTerms": [{"matchExpressions": term} for term in terms]}
        node = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
        return {"affinity": node, "nodeSelector": {}}

    one = [
        {"key": "pool", "operator": "In", "values": ["gpu"]},
        {"key": "zone", "operator": "In", "values": ["a", "b"]},
    ]
    assert "label/pool = gpu" in "\n".join(lines("aws", pod=affinity(one)))
    assert "zone" not in "\n".join(lines("aws", pod=affinity(one)))
    assert "pool" not in "\n".join(lines("aws", pod=affinity(one, one))), "one of two terms is enough"


def test_aws_has_tags():
    tags = [line.partition(": ")[2] for line in lines("aws") if line.startswith("tag")]

    assert tags == [
        "k8s.io/cluster-autoscaler/node-template/label/example.com/pool = gpu",
        "k8s.io/cluster-autoscaler/node-template/taint/example.com/gpu = :NoSchedule",
        "k8s.io/cluster-autoscaler/node-template/taint/team = vision:NoExecute",
        "k8s.io/cluster-autoscaler/node-template/resources/gpu.intel.com/xe = 1 or more",
    ]


def test_azure_has_tags_without_a_slash_in_their_names():
    tags = [line.partition(": ")[2] for line in lines("azure") if line.startswith("tag")]

    assert tags == [
        "k8s.io_cluster-autoscaler_node-template_label_example.com_pool = gpu",
        "k8s.io_cluster-autoscaler_node-template_taint_example.com_gpu = :NoSchedule",
        "k8s.io_cluster-autoscaler_node-template_taint_team = vision:NoExecute",
        "k8s.io_cluster-autoscaler_node-template_resources_gpu.intel.com_xe = 1 or more",
    ]


def test_gcp_takes_the_node_pools_own_labels_and_taints():
    text = "\n".join(lines("gcp"))

    assert "--node-labels=example.com/pool=gpu" in text
    assert "--node-taints=example.com/gpu=:NoSchedule,team=vision:NoExecute" in text
    assert "extended_resources=gpu.intel.com/xe=1" in text


def test_karpenter_has_a_node_pool():
    text = "\n".join(lines("karpenter"))

    assert "requirements: {key: example.com/pool, operator: In, values: [gpu]}" in text
    assert "taints: {key: example.com/gpu, effect: NoSchedule}" in text
    assert "taints: {key: team, value: vision, effect: NoExecute}" in text
