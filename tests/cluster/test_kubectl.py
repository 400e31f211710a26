"""How kubectl and helm are called, seen by a program in their place."""

import os
from pathlib import Path

import pytest

from devcluster.errors import CommandFailed, DevclusterError
from devcluster.kubectl import Kubernetes
from devcluster.state import Cluster, Options

ECHO = """#!/bin/sh
echo "$@"
[ "$1" = helm-fails ] && exit 1
case "$*" in
*"get json"*) echo '{}' ;;
*fails*) echo "a reason" >&2; exit 1 ;;
*" -f -"*) cat ;;
*port-forward*)
  echo "Forwarding from 127.0.0.1:41234 -> 8080"
  echo "Forwarding from [::1]:41234 -> 8080"
  echo "Forwarding from 127.0.0.1:41235 -> 8081"
  exec sleep 60 ;;
esac
"""


@pytest.fixture
def programs(tmp_path) -> Path:
    for name in ("kubectl", "helm"):
        (tmp_path / name).write_text(ECHO)
        (tmp_path / name).chmod(0o755)
    return tmp_path


@pytest.fixture
def kubernetes(programs) -> Kubernetes:
    return Kubernetes({"PATH": f"{programs}:{os.environ['PATH']}"}, "team")


def test_kubectl_runs_in_the_namespace(kubernetes):
    assert kubernetes.kubectl("get", "pods") == "--namespace team get pods\n"


def test_helm_is_not_given_the_namespace(kubernetes):
    assert kubernetes.helm("list") == "list\n"


def test_a_manifest_is_applied_as_text_and_as_a_file(kubernetes, tmp_path):
    file = tmp_path / "manifest.yaml"
    file.write_text("kind: Pod")

    want = "--namespace team apply --validate=strict -f -\nkind: Pod"
    assert kubernetes.apply("kind: Pod") == want
    assert kubernetes.apply(file) == want


def test_a_failure_shows_the_command_and_its_output(kubernetes):
    with pytest.raises(CommandFailed, match=r"kubectl --namespace team fails\n(.*\n)?a reason"):
        kubernetes.kubectl("fails")
    assert not kubernetes.succeeds("fails")
    assert kubernetes.succeeds("get")


def test_its_errors_are_errors_of_devcluster(kubernetes):
    with pytest.raises(DevclusterError):
        kubernetes.kubectl("fails")


def test_forwarded_ports_are_those_that_kubectl_chose(kubernetes):
    with kubernetes.port_forward("service/x", 8080, 8081) as ports:
        assert ports == {8080: 41234, 8081: 41235}


def test_a_forwarding_that_fails_is_reported_with_its_output(kubernetes):
    with (
        pytest.raises(CommandFailed, match="port-forward service/fails"),
        kubernetes.port_forward("service/fails", 8080),
    ):
        pass


def test_a_cluster_uses_its_own_programs_and_kubeconfig(programs, tmp_path):
    cluster = Cluster("x", Options(), tmp_path / "x", programs)

    assert cluster.kubectl("get", "pods") == "get pods\n"
    assert cluster.kubernetes("team").kubectl("get", "pods") == "--namespace team get pods\n"
    assert cluster.kubernetes().environment["KUBECONFIG"] == str(tmp_path / "x" / "kubeconfig")
    assert cluster.is_answering()
