"""The chart, as Helm renders it."""

import argparse
import subprocess

import pytest
import yaml

import devcluster
from modelserver_operator.settings import add_options, from_arguments
from tests.support.operator_process import CHART, RELEASE, SYSTEM, is_operators_role

NAMED = ("watchNamespaces={a,b}", "crds.install=false", "podLabels.x=y", "priorityClassName=high")


@pytest.fixture(scope="module")
def helm() -> str:
    return str(devcluster.binaries() / "helm")


def rendered(helm: str, *settings: str) -> list[dict]:
    options = [word for setting in settings for word in ("--set", setting)]
    done = subprocess.run(
        [helm, "template", RELEASE, str(CHART), "--namespace", SYSTEM, *options],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def kinds(manifests: list[dict]) -> list[str]:
    return sorted(item["kind"] for item in manifests)


def test_helm_finds_no_fault(helm: str):
    done = subprocess.run(
        [helm, "lint", "--strict", str(CHART)], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stdout


def test_it_installs_the_operator_for_the_whole_cluster(helm: str):
    assert kinds(rendered(helm)) == [
        "ClusterRole",
        "ClusterRole",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "Deployment",
        "Role",
        "RoleBinding",
        "Service",
        "ServiceAccount",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ]


def test_it_needs_no_cluster_role_for_named_namespaces(helm: str):
    manifests = rendered(helm, *NAMED)

    assert kinds(manifests) == [
        "Deployment", "Role", "Role", "RoleBinding", "RoleBinding", "Service", "ServiceAccount",
    ]  # fmt: skip
    assert {item["metadata"]["namespace"] for item in manifests if item["kind"] == "Role"} == {"a", "b"}


def test_no_secret_and_no_wildcard_is_in_its_rights(helm: str):
    for rule in [rule for item in rendered(helm) for rule in item.get("rules", [])]:
        assert "secrets" not in rule["resources"]
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def test_the_lease_of_a_whole_cluster_is_in_one_namespace_and_all_others_can_be_watched(helm: str):
    manifests = rendered(helm)
    roles = {item["kind"]: item for item in manifests if is_operators_role(item)}
    role, cluster_role = roles["Role"], roles["ClusterRole"]

    assert role["metadata"]["namespace"] == "kube-system"
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"create", "get", "update"}
    (watched,) = [rule for rule in cluster_role["rules"] if rule["resources"] == ["leases"]]
    assert (watched["resourceNames"], watched["verbs"]) == (["modelserver-operator"], ["list", "watch"])


def test_two_pods_share_an_installation_and_each_has_its_own_name(helm: str):
    (deployment,) = [item for item in rendered(helm, "replicaCount=2") if item["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]

    assert deployment["spec"]["replicas"] == 2
    assert f"--installation={SYSTEM}/{RELEASE}" in container["args"]
    assert container["env"] == [
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    ]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_the_operator_runs_alone_and_unprivileged(helm: str):
    (deployment,) = [item for item in rendered(helm) if item["kind"] == "Deployment"]
    spec = deployment["spec"]
    (container,) = spec["template"]["spec"]["containers"]

    assert deployment["metadata"]["name"] == RELEASE
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    security = spec["template"]["spec"]["securityContext"]
    assert security == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}, "no user of ours"
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "--cpu-image=modelserver:0.1.0" in container["args"]


def test_it_leaves_a_lost_node_after_30_seconds_and_keeps_the_tolerations_that_are_given(helm: str):
    mine = {"key": "dedicated", "operator": "Exists"}
    manifests = rendered(helm, "tolerations[0].key=dedicated", "tolerations[0].operator=Exists")
    (deployment,) = [item for item in manifests if item["kind"] == "Deployment"]

    assert deployment["spec"]["template"]["spec"]["tolerations"] == [
        *(
            {
                "key": f"node.kubernetes.io/{state}",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 30,
            }
            for state in ("not-ready", "unreachable")
        ),
        mine,
    ]


def test_its_priority_is_a_value(helm: str):
    (deployment,) = [i for i in rendered(helm, "priorityClassName=high") if i["kind"] == "Deployment"]

    assert deployment["spec"]["template"]["spec"]["priorityClassName"] == "high"


def test_a_value_that_does_not_exist_is_refused(helm: str):
    with pytest.raises(subprocess.CalledProcessError):
        rendered(helm, "serverImage.cpu=x")


def test_keda_asks_where_the_operators_settings_say(helm: str):
    """Nothing else of the operator is on that Service: neither probes nor metrics."""
    manifests = rendered(helm)
    (service,) = [item for item in manifests if item["kind"] == "Service"]
    (deployment,) = [item for item in manifests if item["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    parser = argparse.ArgumentParser()
    add_options(parser, {})
    settings = from_arguments(parser.parse_args(container["args"][1:]))

    (port,) = service["spec"]["ports"]
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    assert settings.scale_url == f"http://{name}.{namespace}.svc:{port['port']}"
    assert {"name": "scale", "containerPort": settings.scale_port, "protocol": "TCP"} in container["ports"]
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
