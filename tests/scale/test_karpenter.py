"""The cluster grows for replicas that wait, and shrinks again: real Karpenter, simulated nodes."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

import devcluster
from devcluster import Cluster
from devcluster.kubectl import Kubernetes
from tests.support.audit import Audit
from tests.support.modelservers import model_server
from tests.support.operator_process import ROOT, OperatorProcess, install, kubeconfig
from tests.support.serving_pods import ServingPods
from tests.support.waiting import until

pytestmark = [pytest.mark.api, pytest.mark.long, pytest.mark.timeout(900)]
EXTRAS = ("controller-manager", "scheduler", "kwok", "karpenter")
MANY, FEW = 50, 4
IMAGE = "--cpu-image=modelserver:test"
SPEC = {
    "models": [{"name": "m", "uri": "file:///models/m"}],
    "pod": {
        "nodeSelector": {"example.com/pool": "inference"},
        "tolerations": [{"key": "example.com/inference", "operator": "Exists", "effect": "NoSchedule"}],
        # Not over zones, which is the default: a pod that moves would want a node in a zone that has none.
        "topologySpreadConstraints": [
            {
                "maxSkew": 5,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "modelserver"}},
            }
        ],
    },
}
Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def growing(run_name: str) -> Iterator[Cluster]:
    """Without a node until somebody needs one."""
    yield devcluster.up(f"{run_name}-karpenter", no_node=True, nodes=0, extras=EXTRAS)
    devcluster.down(f"{run_name}-karpenter")


@pytest.fixture(scope="module")
def kubernetes(growing: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    """With the operator, and with node pools as `plan` describes them."""
    kubernetes = Kubernetes(growing.environment())
    install(kubernetes)
    directory = tmp_path_factory.mktemp("operator")
    operator = OperatorProcess(kubeconfig(kubernetes, directory), directory / "log")
    operator.start(IMAGE)
    kubernetes.apply("\n---\n".join(map(json.dumps, node_pool(kubernetes, directory))))
    yield kubernetes
    assert operator.stop() == 0, operator.log()[-3000:]


def node_pool(kubernetes: Kubernetes, directory: Path) -> list[dict]:
    """What `plan --node-group karpenter` prints for the object, put where it says."""
    file = directory / "planned.yaml"
    file.write_text(json.dumps(model_server("planned", **SPEC)))
    command = [sys.executable, "-m", "modelserver_operator", "plan", str(file), "--node-group", "karpenter"]
    environment = {"PYTHONPATH": str(ROOT / "operator"), "KUBECONFIG": kubernetes.environment["KUBECONFIG"]}
    printed = subprocess.run(
        [*command, IMAGE], env=environment, capture_output=True, text=True, check=False, timeout=60
    ).stdout
    found = re.findall(r"NodePool spec\.template\.spec\.(\w+): (\{.*\})", printed)
    fields: dict[str, list] = {"requirements": [], "taints": []}
    for field, item in found:
        fields[field].append(yaml.safe_load(item))
    assert all(fields.values()), printed
    reference = {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default"}
    return [
        {
            "apiVersion": "karpenter.kwok.sh/v1alpha1",
            "kind": "KWOKNodeClass",
            "metadata": {"name": "default"},
        },
        {
            "apiVersion": "karpenter.sh/v1",
            "kind": "NodePool",
            "metadata": {"name": "inference"},
            "spec": {
                "template": {"spec": {"nodeClassRef": reference, **fields}},
                "disruption": {"consolidationPolicy": "WhenEmptyOrUnderutilized", "consolidateAfter": "1s"},
            },
        },
    ]


def nodes(kubernetes: Kubernetes) -> dict[str, dict]:
    return {item["metadata"]["name"]: item for item in kubernetes.items("nodes")}


def placed(kubernetes: Kubernetes, name: str) -> set[str]:
    """The nodes on which the object's pods are, once none of them waits."""
    pods = kubernetes.items("pods", f"app.kubernetes.io/instance={name}")
    found = [item["spec"].get("nodeName", "") for item in pods]
    return set(found) if found and all(found) else set()


def is_complete(kubernetes: Kubernetes) -> bool:
    return len(kubernetes.items("nodeclaims")) == len(nodes(kubernetes))


def scale(kubernetes: Kubernetes, name: str, replicas: int) -> float:
    kubernetes.kubectl("scale", "modelserver", name, f"--replicas={replicas}")
    return time.monotonic()


def evictions(audit: Audit) -> int:
    return sum(write.what == ("create", "pods/eviction") for write in audit.writes())


def test_fifty_replicas_that_wait_get_nodes_and_give_them_back(
    growing: Cluster, kubernetes: Kubernetes, record_property: Record
):
    audit = Audit(growing)
    kubernetes.apply(json.dumps(model_server(replicas=MANY, **SPEC)))
    own = "app.kubernetes.io/instance=server"
    until("fifty pods", lambda: len(kubernetes.items("pods", own)) == MANY, timeout=60)
    began = time.monotonic()
    assert not placed(kubernetes, "server")

    until("all are scheduled", lambda: placed(kubernetes, "server"), timeout=120)
    record_property("50 pending to scheduled", f"{time.monotonic() - began:.1f} s")
    with ServingPods(kubernetes, "server") as serving:
        until("all serve", lambda: serving.now == MANY, timeout=60)
        made = len(nodes(kubernetes))
        record_property("50 pending to serving", f"{time.monotonic() - began:.1f} s, {made} nodes")
        assert made < MANY / 3, "the spread that is preferred must not cost a node for each replica"

        began = scale(kubernetes, "server", FEW)
        until("few are left", lambda: len(kubernetes.items("pods", own)) == FEW, timeout=60)
        serving.begin()
        until(
            "no node too many",
            lambda: len(nodes(kubernetes)) < FEW and evictions(audit) >= 1,
            timeout=400,
        )
        record_property("50 to 4 replicas, consolidated", f"{time.monotonic() - began:.1f} s")
        until("the last that was moved serves", lambda: serving.now == FEW, timeout=60)
        # The budget allows one of up to ten.
        assert serving.fewest >= FEW - 1

    began = scale(kubernetes, "server", 0)
    until("no node", lambda: not nodes(kubernetes), timeout=200)
    record_property("4 to 0 replicas, no simulated node", f"{time.monotonic() - began:.1f} s")


def test_headroom_has_its_nodes_before_the_replicas_come(kubernetes: Kubernetes, record_property: Record):
    kubernetes.apply(json.dumps(model_server("spare", headroom=3, **SPEC)))
    began = time.monotonic()

    def is_provided() -> bool:
        (buffer,) = kubernetes.items("capacitybuffers") or [{}]
        said = {c["type"]: c["status"] for c in (buffer.get("status") or {}).get("conditions") or []}
        return said.get("Provisioning") == "True" and bool(placed(kubernetes, "spare"))

    until("a replica and its headroom have room", is_provided, timeout=200)
    record_property("1 replica and headroom 3 provided", f"{time.monotonic() - began:.1f} s")
    until("every node that was asked for is there", lambda: is_complete(kubernetes), timeout=60)
    before = set(nodes(kubernetes))

    began = scale(kubernetes, "spare", 4)
    until(
        "all are scheduled",
        lambda: (
            len(kubernetes.items("pods", "app.kubernetes.io/instance=spare")) == 4
            and placed(kubernetes, "spare")
        ),
        timeout=60,
    )
    record_property("1 to 4 replicas with headroom 3", f"{time.monotonic() - began:.1f} s")
    assert placed(kubernetes, "spare") <= before
