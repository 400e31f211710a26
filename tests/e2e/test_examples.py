"""The second example: the seed's ResNet-50, tuned for latency."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import tritonclient.grpc as triton

from devcluster.demo import installation, weights
from devcluster.demo.resnet import INPUT, OUTPUT
from devcluster.host.paths import cache
from devcluster.kubectl import Kubernetes
from tests.support.e2e import remove

pytestmark = pytest.mark.kind


@pytest.fixture(scope="module")
def resnet50() -> Path:
    return weights.resnet50(cache())


@pytest.fixture(scope="module")
def resnet(kubernetes: Kubernetes, resnet50: Path) -> Iterator[str]:
    installation.copy_into_volume(kubernetes, resnet50, "resnet")
    kubernetes.apply(installation.EXAMPLES / "02-resnet50" / "modelserver.yaml")
    kubernetes.wait_for("resnet", timeout=180)
    yield "resnet"
    remove(kubernetes, "resnet")


def test_it_answers_as_bare_openvino_does(kubernetes: Kubernetes, resnet: str, resnet50: Path):
    image = np.random.default_rng(7).random((1, 224, 224, 3), np.float32)
    tensor = triton.InferInput(INPUT, list(image.shape), "FP32")
    tensor.set_data_from_numpy(image)
    properties = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1}
    want = ov.Core().compile_model(resnet50 / "1" / "model.xml", "CPU", properties)(image)[0]

    with (
        kubernetes.port_forward(f"service/{resnet}", 8080) as ports,
        triton.InferenceServerClient(f"127.0.0.1:{ports[8080]}") as client,
    ):
        got = client.infer(resnet, [tensor]).as_numpy(OUTPUT)

    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-6)


def test_the_hint_of_the_object_is_the_hint_in_effect(kubernetes: Kubernetes, resnet: str):
    tuning = kubernetes.get("modelserver", resnet)["status"]["tuning"]

    assert tuning["hint"] == "LATENCY"
    assert tuning["threads"] == 1
