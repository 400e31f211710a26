"""The chart, as Helm renders it."""

import subprocess

import pytest
import yaml

import devcluster
from tests.support.operator_process import CHART, RELEASE, SYSTEM

WHOLE = ("watchNamespaces={a,b}", "crds.install=false", "podLabels.x=y", "priorityClassName=high")


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
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "Deployment",
        "ServiceAccount",
    ]


def test_it_needs_no_cluster_role_for_named_namespaces(helm: str):
    manifests = rendered(helm, *WHOLE)

    assert kinds(manifests) == ["Deployment", "Role", "Role", "RoleBinding", "RoleBinding", "ServiceAccount"]
    assert {item["metadata"]["namespace"] for item in manifests if item["kind"] == "Role"} == {"a", "b"}


def test_no_secret_and_no_wildcard_is_in_its_rights(helm: str):
    (role,) = [item for item in rendered(helm) if item["kind"] == "ClusterRole"]

    for rule in role["rules"]:
        assert "secrets" not in rule["resources"]
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def test_the_operator_runs_alone_and_unprivileged(helm: str):
    (deployment,) = [item for item in rendered(helm) if item["kind"] == "Deployment"]
    spec = deployment["spec"]
    (container,) = spec["template"]["spec"]["containers"]

    assert deployment["metadata"]["name"] == RELEASE
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert spec["template"]["spec"]["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "--cpu-image=modelserver:0.1.0" in container["args"]


def test_a_value_that_does_not_exist_is_refused(helm: str):
    with pytest.raises(subprocess.CalledProcessError):
        rendered(helm, "serverImage.cpu=x")
