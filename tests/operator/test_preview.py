"""`plan FILE` says what applying a file would change, and writes nothing."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from devcluster.kubectl import Kubernetes
from tests.support.children import created, deployment, versions
from tests.support.modelservers import model_server
from tests.support.operator_process import ROOT, SYSTEM, OperatorProcess, template
from tests.support.rejecting_node import node
from tests.support.waiting import until

pytestmark = pytest.mark.api
Plan = Callable[..., subprocess.CompletedProcess[str]]
TEMPLATE = "  the pod template changes: pods are replaced\n"
IMAGE = "--cpu-image=modelserver:test"


@pytest.fixture
def plan(kubernetes: Kubernetes, operator: OperatorProcess, tmp_path: Path) -> Plan:
    def run(*options: str, body: dict | None = None, **spec) -> subprocess.CompletedProcess[str]:
        given = body or model_server(**spec)
        given["metadata"].setdefault("namespace", kubernetes.namespace)
        (tmp_path / "file.yaml").write_text(json.dumps(given))
        return run_plan(
            str(tmp_path / "file.yaml"), *options, KUBECONFIG=kubernetes.environment["KUBECONFIG"]
        )

    return run


def run_plan(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "modelserver_operator", "plan", *arguments]
    given = {"PYTHONPATH": str(ROOT / "operator"), "HOME": "/nonexistent", **environment}
    return subprocess.run(command, env=given, capture_output=True, text=True, check=False, timeout=60)


def test_it_ends_with_0_when_nothing_would_change(kubernetes: Kubernetes, plan: Plan):
    created(kubernetes)

    found = plan(IMAGE)

    assert (found.returncode, found.stdout) == (0, f"{kubernetes.namespace}/server:\n  nothing changes\n")


def test_what_is_held_back_because_a_node_rejects_pods_is_no_change(kubernetes: Kubernetes, plan: Plan):
    with node(kubernetes) as faulty:
        created(kubernetes)

        def holds_back() -> bool:
            faulty.reject()
            return deployment(kubernetes)["spec"]["replicas"] == 0

        until("no replica", holds_back, timeout=30)

        assert plan(IMAGE, replicas=2).stdout.splitlines()[1:] == ["  PodDisruptionBudget server: create"]
        assert plan(IMAGE, workers=1, image="other").stdout.endswith(TEMPLATE)


@pytest.mark.parametrize(
    ("spec", "lines"),
    [
        pytest.param({"hint": "LATENCY"}, "  ConfigMap server-config: change\n", id="hot"),
        pytest.param(
            {"image": "other:1"}, f"  Deployment server: change\n{TEMPLATE}", id="a field of the template"
        ),
        pytest.param(
            {"replicas": 2},
            "  Deployment server: change\n  PodDisruptionBudget server: create\n",
            id="replicas",
        ),
        pytest.param(
            {"pod": {"serviceAccountName": "default"}},
            f"  Deployment server: change\n  ServiceAccount server: delete\n{TEMPLATE}",
            id="a child that is no longer wanted",
        ),
        pytest.param(
            {"paused": True, "replicas": 2},
            "  Deployment server: change\n  PodDisruptionBudget server: create\n"
            "  paused: true holds these changes back\n",
            id="paused",
        ),
    ],
)
def test_it_ends_with_2_and_names_what_would_change(
    kubernetes: Kubernetes, plan: Plan, spec: dict, lines: str
):
    created(kubernetes)
    before = versions(kubernetes)

    found = plan(IMAGE, **spec)

    assert (found.returncode, found.stdout) == (2, f"{kubernetes.namespace}/server:\n{lines}")
    assert versions(kubernetes) == before


def test_removing_a_field_is_shown_as_a_rollout(kubernetes: Kubernetes, plan: Plan):
    """Fields of lists, of maps and of whole objects are each known as the operator's own."""
    pod = {
        "nodeSelector": {"disk": "fast"},
        "env": [{"name": "A", "value": "1"}],
        "affinity": {"nodeAffinity": {}},
        "annotations": {"team": "vision"},
    }
    created(kubernetes, pod=pod)

    for name in pod:
        rest = {key: value for key, value in pod.items() if key != name}
        assert plan(IMAGE, pod=rest).stdout.endswith(f"  Deployment server: change\n{TEMPLATE}"), name
    assert plan(IMAGE, pod=pod).stdout.endswith(":\n  nothing changes\n")


def test_it_says_what_an_upgrade_would_roll(kubernetes: Kubernetes, plan: Plan):
    created(kubernetes)
    note = (
        "  an upgrade is available, by a new value of the annotation modelserver.dev/upgrade: "
        "it replaces the pods: image modelserver:test becomes modelserver:next\n"
    )

    found = plan("--cpu-image=modelserver:next")
    assert (found.returncode, found.stdout) == (
        0, f"{kubernetes.namespace}/server:\n  nothing changes\n{note}",
    )  # fmt: skip

    found = plan("--cpu-image=modelserver:next", hint="LATENCY")
    assert (found.returncode, found.stdout) == (
        2, f"{kubernetes.namespace}/server:\n  ConfigMap server-config: change\n{note}",
    )  # fmt: skip

    body = model_server()
    body["metadata"]["annotations"] = {"modelserver.dev/upgrade": "1"}
    found = plan("--cpu-image=modelserver:next", body=body)
    assert (found.returncode, found.stdout) == (
        2, f"{kubernetes.namespace}/server:\n  Deployment server: change\n{TEMPLATE}",
    )  # fmt: skip


def test_a_new_object_is_shown_with_its_children(kubernetes: Kubernetes, plan: Plan):
    found = plan(IMAGE)

    assert found.returncode == 2
    assert found.stdout.startswith(
        f"{kubernetes.namespace}/server: new object\n  ServiceAccount server: create\n"
    )


def test_a_new_object_with_exclusive_cpus_is_shown_with_the_kubelet_configuration_to_paste(plan: Plan):
    (block,) = plan(IMAGE).stdout.split("(docs/exclusive-cpus.md):\n")[1:]
    shared = plan(IMAGE, cpuManagerPolicy="none").stdout

    assert yaml.safe_load(block)["cpuManagerPolicy"] == "static"
    assert "kubelet" not in shared


def test_the_namespace_of_the_context_is_that_of_objects_without_one(
    kubernetes: Kubernetes, plan: Plan, tmp_path: Path
):
    created(kubernetes)
    content = yaml.safe_load(Path(kubernetes.environment["KUBECONFIG"]).read_text())
    content["contexts"][0]["context"]["namespace"] = kubernetes.namespace
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(content))
    (tmp_path / "bare.yaml").write_text(json.dumps(model_server()))

    found = run_plan(str(tmp_path / "bare.yaml"), IMAGE, KUBECONFIG=str(tmp_path / "kubeconfig"))

    assert (found.returncode, found.stdout) == (0, f"{kubernetes.namespace}/server:\n  nothing changes\n")


@pytest.fixture
def installed(kubernetes: Kubernetes) -> Iterator[None]:
    """The operator's Deployment, which the tests leave out."""
    image = "serverImages.cpu=modelserver:test"
    (deployment,) = [i for i in template(kubernetes, "--set", image) if i["kind"] == "Deployment"]
    system = Kubernetes(kubernetes.environment, SYSTEM)
    system.apply(json.dumps(deployment))
    yield
    system.kubectl("delete", "deployment", deployment["metadata"]["name"], "--wait=true")


def test_the_image_is_that_of_the_running_operator(kubernetes: Kubernetes, plan: Plan, installed: None):
    created(kubernetes)

    assert plan().stdout == f"{kubernetes.namespace}/server:\n  nothing changes\n"
    assert "image modelserver:test becomes other:1" in plan("--cpu-image=other:1").stdout


def test_without_a_running_operator_it_asks_for_the_image(kubernetes: Kubernetes, plan: Plan):
    created(kubernetes)

    found = plan()

    assert (found.returncode, found.stdout) == (1, "")
    assert "give --cpu-image" in found.stderr
    assert plan(image="modelserver:test").returncode == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "no cluster can be reached: "),
        (("--nonsense",), "unrecognized arguments: --nonsense"),
    ],
)
def test_an_error_ends_it_with_1_without_a_traceback(tmp_path: Path, options: tuple[str, ...], message: str):
    (tmp_path / "file.yaml").write_text(json.dumps(model_server()))

    found = run_plan(str(tmp_path / "file.yaml"), *options, KUBECONFIG=str(tmp_path / "none"))

    assert found.returncode == 1
    assert message in found.stderr
    assert "Traceback" not in found.stderr


def test_a_cluster_that_does_not_answer_ends_it_with_1(plan: Plan, kubernetes: Kubernetes, tmp_path: Path):
    content = yaml.safe_load(Path(kubernetes.environment["KUBECONFIG"]).read_text())
    content["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(content))
    (tmp_path / "bare.yaml").write_text(json.dumps(model_server()))

    found = run_plan(str(tmp_path / "bare.yaml"), IMAGE, KUBECONFIG=str(tmp_path / "kubeconfig"))

    assert (found.returncode, "Traceback" in found.stderr) == (1, False)
    assert "no answer from the API server" in found.stderr
