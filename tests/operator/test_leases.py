"""Who writes: one pod of one installation, and another only after it. All on the real API server."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from itertools import groupby, pairwise
from pathlib import Path

import pytest

from devcluster.kubectl import Kubernetes, current_condition
from tests.support.audit import Audit, Write, now, token_of
from tests.support.children import SOON, children, created, submit, versions
from tests.support.modelservers import model_server
from tests.support.operator_process import SYSTEM, OperatorProcess, install, kubeconfig
from tests.support.waiting import until

pytestmark = pytest.mark.api
OURS = "--cpu-image=modelserver:test"
OTHER = "--cpu-image=modelserver:other"
OBJECTS = 40
Start = Callable[..., OperatorProcess]
Record = Callable[[str, object], None]


@pytest.fixture
def run(cluster: Kubernetes, operator: OperatorProcess, tmp_path: Path) -> Iterator[Start]:
    """Start more operators; the one of all tests rests meanwhile, and has its Lease back at the end."""
    assert operator.stop() == 0
    running: list[OperatorProcess] = []

    def start(pod: str, *options: str, config: Path = operator.kubeconfig) -> OperatorProcess:
        process = OperatorProcess(config, tmp_path / f"{pod}.log", pod=pod)
        process.start(*options)
        running.append(process)
        return process

    yield start
    for process in running:
        if process.process is not None:
            process.process.send_signal(signal.SIGCONT)
            process.stop()
    operator.start(OURS)


def lease(kubernetes: Kubernetes, namespace: str = "kube-system") -> dict:
    return Kubernetes(kubernetes.environment, namespace).get("lease", "modelserver-operator")


def holder(kubernetes: Kubernetes, namespace: str = "kube-system") -> str:
    return lease(kubernetes, namespace)["spec"].get("holderIdentity", "")


def leads(process: OperatorProcess, namespace: str = "kube-system") -> bool:
    return namespace in json.loads(process.ready()[1])["leads"]


def image(kubernetes: Kubernetes, name: str = "server") -> str:
    found = kubernetes.kubectl(
        "get", f"deployment/{name}", "--ignore-not-found",
        "-o", "jsonpath={.spec.template.spec.containers[0].image}",
    )  # fmt: skip
    return found.strip()


def own_token(kubernetes: Kubernetes, directory: Path) -> Path:
    """A kubeconfig by which the audit log tells processes of one account from each other."""
    directory.mkdir()
    return kubeconfig(kubernetes, directory)


def written_by(audit: Audit, config: Path) -> list[Write]:
    token = token_of(config)
    return [write for write in audit.writes() if write.token == token]


def deployments_by(audit: Audit, kubernetes: Kubernetes, config: Path) -> list[Write]:
    mine = (write for write in written_by(audit, config) if write.namespace == kubernetes.namespace)
    return [write for write in mine if write.resource == "deployments"]


def all_applied(kubernetes: Kubernetes, names: list[str]) -> bool:
    found = kubernetes.items("modelservers")
    applied = [item["metadata"]["name"] for item in found if current_condition(item, "Applied")]
    return sorted(applied) == sorted(names)


def notes(kubernetes: Kubernetes, reason: str, namespace: str = "kube-system") -> list[str]:
    place = Kubernetes(kubernetes.environment, namespace)
    text = place.kubectl("get", "events", "--field-selector", f"reason={reason}", "-o", "json")
    return [item["message"] for item in json.loads(text)["items"]]


def test_a_leader_that_stops_loses_its_lease_within_20_s_and_writes_nothing_when_it_goes_on(
    kubernetes: Kubernetes, run: Start, audit: Audit, tmp_path: Path, record_property: Record
):
    """It stops amid its work, so that it goes on with the next write."""
    config = {pod: own_token(kubernetes, tmp_path / pod) for pod in ("pod-a", "pod-b")}
    leader = run("pod-a", OTHER, config=config["pod-a"])
    until("it leads", lambda: leads(leader), timeout=SOON)
    standby = run("pod-b", OURS, config=config["pod-b"])
    until("a standby of the same installation is ready", lambda: standby.ready()[0], timeout=SOON)
    assert not leads(standby)

    names = [f"server-{number}" for number in range(OBJECTS)]
    items = [model_server(name, replicas=0) for name in names]
    submit(kubernetes, {"apiVersion": "v1", "kind": "List", "items": items})
    until("it writes", lambda: deployments_by(audit, kubernetes, config["pod-a"]), timeout=SOON)
    assert leader.process is not None
    leader.process.send_signal(signal.SIGSTOP)
    stopped = now()
    done = deployments_by(audit, kubernetes, config["pod-a"])
    until("the other took over", lambda: holder(kubernetes) == "local/operator/pod-b", timeout=20)
    until("all are carried out", lambda: all_applied(kubernetes, names), timeout=20)
    taken = next(write for write in written_by(audit, config["pod-b"]) if write.resource == "leases")

    leader.process.send_signal(signal.SIGCONT)
    went_on = now()
    submit(kubernetes, model_server("second"))
    kubernetes.kubectl("scale", "modelserver/server-0", "--replicas=2")
    kubernetes.kubectl("delete", "service", "server-1")
    until("the old leader lives", lambda: leader.ready()[0], timeout=SOON)
    until("it knows", lambda: "another pod of this installation writes" in leader.log(), timeout=SOON)
    until("the second is carried out", lambda: image(kubernetes, "second"), timeout=SOON)
    time.sleep(2)  # for what the old leader had begun to write

    seconds = (taken.ended - stopped).total_seconds()
    record_property("take-over", f"{seconds:.1f} s; stopped after {len(done)} of {OBJECTS} Deployments")
    assert seconds <= 20
    # A request that the API server had begun to read before the stop ends with its last bytes.
    assert [write for write in written_by(audit, config["pod-a"]) if write.received >= went_on] == []
    assert image(kubernetes, "second") == "modelserver:test"
    assert holder(kubernetes) == "local/operator/pod-b"


def test_a_leader_that_ends_hands_over_at_once_to_its_own_installation(kubernetes: Kubernetes, run: Start):
    leader = run("pod-a", OURS)
    until("it leads", lambda: leads(leader), timeout=SOON)
    standby = run("pod-b", OURS)
    until("the standby has seen the Lease", lambda: standby.ready()[0], timeout=SOON)

    assert leader.stop() == 0

    until("the standby leads", lambda: leads(standby), timeout=10)
    assert standby.stop() == 0
    assert holder(kubernetes) == ""
    assert (
        lease(kubernetes)["metadata"]["annotations"]["modelserver.dev/released-by"] == "local/operator/pod-b"
    )


def test_a_container_that_was_killed_has_its_own_lease_back_at_once(kubernetes: Kubernetes, run: Start):
    lasting = "--lease-seconds=120"
    leader = run("pod-a", OURS, lasting)
    until("it leads", lambda: leads(leader), timeout=SOON)
    assert leader.process is not None
    os.kill(leader.process.pid, signal.SIGKILL)
    leader.process.wait()

    again = run("pod-a", OURS, lasting)

    until("it leads again, without waiting for the Lease to expire", lambda: leads(again), timeout=SOON)


def test_a_second_installation_of_another_name_never_writes_and_says_whose_lease_it_met(
    kubernetes: Kubernetes, run: Start, audit: Audit, tmp_path: Path, record_property: Record
):
    install(kubernetes, "--set", "crds.install=false", release="second")
    account = "second-modelserver-operator"
    first = run("pod-a", OURS)
    until("it leads", lambda: leads(first), timeout=SOON)
    created(kubernetes)
    before = versions(kubernetes)

    other = run(
        "pod-x", OTHER, "--installation=system/second", "--lease-seconds=30",
        config=kubeconfig(kubernetes, tmp_path, account),
    )  # fmt: skip
    until("it met the Lease", lambda: "held by local/operator/pod-a" in other.ready()[1], timeout=SOON)
    assert not other.ready()[0]
    event = until("it says so", lambda: notes(kubernetes, "LeaseHeldByOther"), timeout=SOON)
    assert "system/second/pod-x does not write here: local/operator/pod-a" in event[0]
    assert versions(kubernetes) == before

    kubernetes.kubectl("delete", "service", "server")
    kubernetes.kubectl("scale", "modelserver/server", "--replicas=2")
    submit(kubernetes, model_server("new"))
    until("the first did it", lambda: image(kubernetes, "new"), timeout=SOON)
    first.stop()
    time.sleep(5)  # the first is upgraded: longer than an attempt of the other
    back = run("pod-b", OURS)
    until("the first installation stays", lambda: leads(back), timeout=SOON)
    submit(kubernetes, model_server("newer"))
    until("it works", lambda: image(kubernetes, "newer") == "modelserver:test", timeout=SOON)

    written = [write for write in audit.writes() if write.user == f"system:serviceaccount:{SYSTEM}:{account}"]
    record_property("writes of the second installation", [write.what for write in written])
    assert {(write.resource, write.namespace) for write in written} == {("events", "kube-system")}, written


def test_a_namespace_changes_hands_between_a_cluster_wide_and_a_namespaced_operator(
    kubernetes: Kubernetes, run: Start, audit: Audit, tmp_path: Path, record_property: Record
):
    namespace = kubernetes.namespace
    everywhere = run("pod-a", OURS)
    until("it leads", lambda: leads(everywhere), timeout=SOON)
    submit(kubernetes, model_server("before"))
    until("it works", lambda: image(kubernetes, "before") == "modelserver:test", timeout=SOON)

    options = ["--set", f"watchNamespaces={{{namespace}}}", "--set", "crds.install=false"]
    install(kubernetes, *options, release="scoped")
    config = kubeconfig(kubernetes, tmp_path, "scoped-modelserver-operator")
    mine = ["--installation=system/scoped", f"--namespaces={namespace}", "--lease-seconds=5"]
    scoped = run("pod-s", OTHER, *mine, config=config)
    until("the cluster-wide one leaves it", lambda: notes(kubernetes, "NamespaceLeft", namespace))
    assert not leads(scoped, namespace), "the newcomer waits for one duration of its Lease"
    submit(kubernetes, model_server("during"))
    until("the newcomer works", lambda: image(kubernetes, "during") == "modelserver:other", timeout=SOON)
    assert leads(everywhere)
    assert everywhere.ready()[0]

    stopped = time.monotonic()
    assert scoped.stop() == 0
    submit(kubernetes, model_server("after"))
    until("the cluster-wide one is back", lambda: image(kubernetes, "after"), timeout=20)
    assert image(kubernetes, "after") == "modelserver:test"
    assert time.monotonic() - stopped > 4, "a successor of the same installation comes first"

    # Their default images differ, but the template of an object is kept.
    assert image(kubernetes, "before") == "modelserver:test"
    for name in ("before", "during", "after"):
        assert kubernetes.get("deployment", name)["metadata"]["generation"] == 1
    turns = _turns(audit, namespace)
    record_property("writes of each, in turn", [len(mine) for mine in turns])
    users = [f"system:serviceaccount:{SYSTEM}:{name}modelserver-operator" for name in ("", "scoped-", "")]
    assert [mine[0].user for mine in turns] == users
    assert all(before[-1].ended < after[0].received for before, after in pairwise(turns))


def _turns(audit: Audit, namespace: str) -> list[list[Write]]:
    """The writes of the operators to objects of the namespace; Leases and Events are about both."""
    written = [
        write
        for write in audit.writes(namespace)
        if write.user.startswith(f"system:serviceaccount:{SYSTEM}:")
        and write.resource not in {"leases", "events"}
    ]
    return [list(mine) for _, mine in groupby(written, key=lambda write: write.user)]


@pytest.mark.long
def test_a_deleted_namespace_costs_only_itself(kubernetes: Kubernetes, run: Start, tmp_path: Path):
    lost = f"{kubernetes.namespace}-lost"
    kubernetes.kubectl("create", "namespace", lost)
    options = ["--set", f"watchNamespaces={{{lost},{kubernetes.namespace}}}", "--set", "crds.install=false"]
    install(kubernetes, *options, release="scoped")
    config = kubeconfig(kubernetes, tmp_path, "scoped-modelserver-operator")
    watched = [f"--namespaces={lost},{kubernetes.namespace}", "--lease-seconds=3", "--relist-seconds=6"]
    scoped = run("pod-s", OURS, *watched, config=config)
    created(kubernetes)

    kubernetes.kubectl("delete", "namespace", lost, "--wait=true", timeout=60)
    until("it is told", lambda: f"namespace {lost} is left out" in scoped.log(), timeout=30)
    kubernetes.kubectl("delete", "service", "server")
    until("b is served", lambda: "Service/server" in children(kubernetes), timeout=SOON)
    until("it is ready", lambda: scoped.ready()[0], timeout=SOON)

    assert scoped.stop() == 0
    again = run("pod-s2", OURS, *watched, config=config)
    kubernetes.kubectl("delete", "service", "server")
    until("b is served after a restart", lambda: "Service/server" in children(kubernetes), timeout=20)
    assert again.process is not None
    assert again.process.poll() is None
