"""An object becomes a service that answers as bare OpenVINO does, on CPUs of its own."""

from pathlib import Path

import pytest

from devcluster.demo import evidence
from devcluster.errors import CommandFailed
from devcluster.kubectl import Kubernetes, selector
from tests.support.e2e import end_drains
from tests.support.waiting import until

pytestmark = pytest.mark.kind


def test_grpc_and_rest_answers_equal_bare_openvino(
    kubernetes: Kubernetes, example: str, text_orientation: Path
):
    inferences = evidence.infer(kubernetes, example, text_orientation / "1" / "model.onnx")

    assert [inference.request for inference in inferences] == [
        "gRPC, pixels, upright",
        "REST, JPEG, upright",
        "gRPC, pixels, upside down",
        "REST, JPEG, upside down",
    ]
    assert [inference.probabilities.argmax() for inference in inferences] == [0, 0, 1, 1]
    assert max(inference.difference for inference in inferences) < 1e-4


def test_the_server_runs_on_exactly_its_own_cpu_as_the_kernel_sees_it(kubernetes: Kubernetes, example: str):
    seen = evidence.settled_affinities(kubernetes, example)

    assert len(evidence.expand(seen.server)) == 1
    assert seen.are_exclusive
    assert kubernetes.condition(example, "ExclusiveCPUs")["status"] == "True"


def test_every_thread_of_the_server_is_on_that_cpu(kubernetes: Kubernetes, example: str):
    pod = kubernetes.items("pods", selector(example))[0]["metadata"]["name"]
    script = (
        "import glob, re\n"
        "for f in glob.glob('/proc/1/task/*/status'):\n"
        "    print(re.search(r'Cpus_allowed_list:\\s*(\\S+)', open(f).read())[1])"
    )

    threads = kubernetes.exec(f"pod/{pod}", evidence.PYTHON, "-c", script).split()

    assert len(threads) > 1
    assert set(threads) == {evidence.settled_affinities(kubernetes, example).server}


def test_the_status_shows_what_is_served(kubernetes: Kubernetes, example: str):
    found = kubernetes.get("modelserver", example)
    status = found["status"]

    assert {c["type"]: c["status"] for c in status["conditions"]}.items() >= {
        "Accepted": "True",
        "Applied": "True",
        "Available": "True",
        "ModelsServed": "True",
        "ExclusiveCPUs": "True",
        "Ready": "True",
    }.items()
    generation = found["metadata"]["generation"]
    assert status["observedGeneration"] == generation
    assert {c["observedGeneration"] for c in status["conditions"]} == {generation}
    assert status["tuning"]["streams"] == 1
    assert status["tuning"]["pinning"] is True
    model = status["models"][0]
    assert model["name"] == "text-orientation"
    assert [(v["version"], v["state"]) for v in model["versions"]] == [(1, "AVAILABLE")]


def test_kubectl_get_shows_the_columns(kubernetes: Kubernetes, example: str):
    header, row = kubernetes.kubectl("get", "msrv", example).splitlines()

    assert header.split() == ["NAME", "READY", "DEVICE", "HINT", "STREAMS", "REPLICAS", "AGE"]
    assert row.split()[:6] == [example, "True", "CPU", "THROUGHPUT", "1", "1"]


def test_kubectl_explain_explains_a_field(kubernetes: Kubernetes):
    text = kubernetes.kubectl("explain", "modelserver.spec.hint")

    assert "LATENCY" in text
    assert "DESCRIPTION" in text
    assert "<none>" not in text.lower()


def test_no_finalizer_and_no_annotation_is_left_on_the_object(kubernetes: Kubernetes, example: str):
    metadata = kubernetes.get("modelserver", example)["metadata"]

    assert "finalizers" not in metadata
    assert set(metadata.get("annotations", {})) <= {"kubectl.kubernetes.io/last-applied-configuration"}


def test_the_pod_is_guaranteed_unprivileged_and_holds_no_api_token(kubernetes: Kubernetes, example: str):
    pod = kubernetes.items("pods", selector(example))[0]

    assert pod["status"]["qosClass"] == "Guaranteed"
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert "initContainers" not in pod["spec"]
    container = pod["spec"]["containers"][0]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_an_object_with_hint_and_streams_is_refused_naming_both(kubernetes: Kubernetes):
    manifest = """
apiVersion: modelserver.dev/v1alpha1
kind: ModelServer
metadata: {name: both}
spec:
  hint: LATENCY
  streams: 1
  models: [{name: m, uri: "file:///m"}]
"""
    with pytest.raises(CommandFailed, match=r"hint.*streams|streams.*hint"):
        kubernetes.apply(manifest)


def test_changes_by_others_are_reverted_within_seconds(kubernetes: Kubernetes, example: str):
    pods = selector(example)
    deployment = kubernetes.items("deployments", pods)[0]["metadata"]["name"]

    kubernetes.kubectl("scale", f"deployment/{deployment}", "--replicas=0")
    until(
        "the replica count is back",
        lambda: kubernetes.get("deployment", deployment)["spec"]["replicas"] == 1,
        timeout=15,
    )
    kubernetes.kubectl("delete", "deployment", deployment, "--wait=true")
    until("the Deployment is back", lambda: kubernetes.items("deployments", pods), timeout=15)
    end_drains(kubernetes, example)  # the node has one exclusive CPU, which the old pod keeps until it ends
    kubernetes.wait_for(example)
