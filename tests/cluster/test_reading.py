"""Objects that are read without kubectl are those that kubectl shows."""

import json

import pytest

from devcluster.errors import CommandFailed
from devcluster.kubectl import Kubernetes

pytestmark = pytest.mark.api
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.reading.example.com"},
    "spec": {
        "group": "reading.example.com",
        "scope": "Cluster",
        "names": {"plural": "things", "singular": "thing", "kind": "Thing", "shortNames": ["th"]},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
        ],
    },
}


@pytest.fixture
def kubernetes(api_cluster) -> Kubernetes:
    return Kubernetes(api_cluster.environment(), "kube-system")


def shown(kubernetes: Kubernetes, *arguments: str) -> dict:
    return json.loads(kubernetes.kubectl("get", *arguments, "-o", "json"))


def test_an_object_is_found_by_every_name_of_its_kind(kubernetes):
    kubernetes.kubectl("create", "configmap", "named", "--from-literal=a=1")

    for kind in ("configmap", "configmaps", "cm", "ConfigMap"):
        assert kubernetes.get(kind, "named") == shown(kubernetes, "configmap", "named")


def test_a_list_of_two_kinds_holds_what_kubectl_lists(kubernetes):
    kubernetes.kubectl("create", "serviceaccount", "read")
    kubernetes.kubectl("label", "serviceaccount", "read", "reading=yes")

    assert kubernetes.items("serviceaccounts,configmaps", "reading=yes") == [
        kubernetes.get("serviceaccount", "read")
    ]
    names = lambda items: {(item["kind"], item["metadata"]["name"]) for item in items}  # noqa: E731
    listed = shown(kubernetes, "serviceaccounts,configmaps")["items"]
    assert names(kubernetes.items("serviceaccounts,configmaps")) == names(listed)


def test_what_does_not_exist_is_said_in_the_words_of_the_api_server(kubernetes):
    with pytest.raises(CommandFailed, match=r'Error from server \(NotFound\): pods "nobody" not found'):
        kubernetes.get("pod", "nobody")
    with pytest.raises(CommandFailed, match="no resource type unheard"):
        kubernetes.items("unheard")


def test_a_kind_that_is_defined_later_is_found(kubernetes):
    kubernetes.get("namespace", "default")
    kubernetes.apply(json.dumps(DEFINITION))
    kubernetes.kubectl("wait", "crd/things.reading.example.com", "--for=condition=Established")
    kubernetes.apply(
        json.dumps({"apiVersion": "reading.example.com/v1", "kind": "Thing", "metadata": {"name": "one"}})
    )

    assert [item["metadata"]["name"] for item in kubernetes.items("th")] == ["one"]
    assert kubernetes.get("things.reading.example.com", "one")["kind"] == "Thing"
    kubernetes.kubectl("delete", "crd", "things.reading.example.com")


def test_without_an_api_server_it_fails_in_words(tmp_path):
    file = tmp_path / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}
    context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
    content = {"clusters": [cluster], "contexts": [context], "users": [{"name": "u", "user": {}}]}
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "x", **content}))

    with pytest.raises(CommandFailed, match="no answer from the API server"):
        Kubernetes({"KUBECONFIG": str(file)}).get("pod", "nobody")
    with pytest.raises(CommandFailed, match="cannot be read: No such file"):
        Kubernetes({"KUBECONFIG": str(tmp_path / "none")}).get("pod", "nobody")
