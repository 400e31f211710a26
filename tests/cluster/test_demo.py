"""The parts of the demo that need no cluster: which cluster it takes, what goes into an image, its checks."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench import models
from devcluster.demo import evidence, images, resnet, target
from devcluster.demo.evidence import CPUs, Inference
from devcluster.demo.orientation import HEIGHT, WIDTH, picture, pixels
from devcluster.errors import RequirementMissing

ROOT = Path(__file__).resolve().parents[2]
RIGHT = np.array([[0.9, 0.1]], np.float32)
WRONG = np.array([[0.1, 0.9]], np.float32)


def inference(probabilities) -> Inference:
    return Inference("gRPC, pixels, upright", probabilities, RIGHT, 1.0)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("0", {0}, id="one"),
        pytest.param("0-2,5", {0, 1, 2, 5}, id="a range and one"),
        pytest.param("1,3\n", {1, 3}, id="as read from a file"),
    ],
)
def test_the_kernels_lists_of_cpus_are_parsed(text, want):
    assert evidence.expand(text) == want


@pytest.mark.parametrize(
    ("server", "shared", "want"),
    [("0", "1-3", True), ("0", "0-3", False), ("2-3", "0-1,3", False)],
)
def test_cpus_are_exclusive_when_the_shared_pool_has_none_of_them(server, shared, want):
    assert CPUs(server, shared).are_exclusive is want


def test_right_results_on_exclusive_cpus_pass():
    evidence.check([inference(RIGHT)], CPUs("1", "0"))


def test_a_wrong_result_is_named():
    with pytest.raises(evidence.CheckFailed, match="gRPC, pixels, upright"):
        evidence.check([inference(WRONG)], CPUs("1", "0"))


def test_shared_cpus_are_named():
    with pytest.raises(evidence.CheckFailed, match=r"\(0\) are not exclusive: the shared pool has 0-1"):
        evidence.check([inference(RIGHT)], CPUs("0", "0-1"))


def test_the_pictures_differ_and_have_the_models_resolution():
    upright, upside_down = pixels(picture()), pixels(picture(upside_down=True))

    assert upright.shape == upside_down.shape == (1, HEIGHT, WIDTH, 3)
    assert (upright != upside_down).any()


def test_each_image_has_a_tag_of_its_own_that_stays_while_its_sources_do():
    server, operator = images.fingerprint("server"), images.fingerprint("operator")

    assert server != operator
    assert images.fingerprint("server") == server


def test_without_kubeconfig_target_no_cluster_is_given(monkeypatch):
    monkeypatch.delenv("KUBECONFIG_TARGET", raising=False)
    assert target.given() is None


def test_a_kubeconfig_target_that_does_not_exist_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("KUBECONFIG_TARGET", str(tmp_path / "absent"))
    with pytest.raises(RequirementMissing, match="absent: no such file"):
        target.given()


def test_without_go_the_demo_fails_before_it_builds_an_image(tmp_path):
    (tmp_path / "bin").mkdir()
    environment = {
        **os.environ, "PATH": str(tmp_path / "bin"), "MODELSERVER_CACHE": str(tmp_path / "cache"),
    }  # fmt: skip
    environment.pop("KUBECONFIG_TARGET", None)

    done = subprocess.run(
        [sys.executable, "-m", "devcluster.demo", "run"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == RequirementMissing.exit_code
    assert "no `go` is on PATH" in done.stderr
    assert "image" not in done.stderr
    assert not (tmp_path / "cache" / "logs").exists()


def test_the_example_and_the_benchmark_are_the_same_resnet():
    example, measured = resnet.model(), models.resnet()

    assert example.input(0).shape == [1, 224, 224, 3]
    assert example.output(0).shape == measured.output(0).shape == [1, 1000]
    assert convolutions(example) == convolutions(measured) == 53


def convolutions(model) -> int:
    return sum(operation.get_type_name() == "Convolution" for operation in model.get_ops())
