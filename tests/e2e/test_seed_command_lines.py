"""The seed's `docker run` lines, with only the image's name swapped, start our server and answer."""

import contextlib
import json
import os
import re
import socket
import stat
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import tritonclient.grpc as triton

from devcluster import engine as engines
from devcluster.demo import images, weights
from devcluster.demo.resnet import INPUT, OUTPUT
from devcluster.host.paths import cache
from tests.support.waiting import until

pytestmark = pytest.mark.docker
PAGE = Path(__file__).parent.parent / "data" / "seed_command_lines.txt"
LINES = dict(
    re.findall(r"^([a-z-]+): (docker run .*?)(?=\n\n|\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE)
)
PORT = 9001


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder the page's lines are typed in: models/public/resnet-50-tf/1 holds ResNet-50."""
    here = tmp_path_factory.mktemp("seed")
    here.chmod(0o755)
    version = here / "models" / "public" / "resnet-50-tf" / "1"
    version.mkdir(parents=True)
    for file in (weights.resnet50(cache()) / "1").iterdir():
        (version / file.name).write_bytes(file.read_bytes())
    return here


@pytest.fixture(scope="module")
def expected(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """An image [1, 224, 224, 3] and bare OpenVINO's answer [1, 1000] to it."""
    image = np.random.default_rng(1).random((1, 224, 224, 3), np.float32)
    model = folder / "models/public/resnet-50-tf/1/model.xml"
    return image, ov.Core().compile_model(model, "CPU")(image)[0]


class Shell:
    """A shell in the page's folder, for one image."""

    def __init__(self, folder: Path, image: images.Image) -> None:
        self._folder = folder
        self._image = image.name
        engine = engines.ensure()
        self.environment = {
            **os.environ,
            **engine.environment,
            "PATH": f"{Path(engine.client).parent}:{os.environ['PATH']}",
        }

    def type(self, line: str) -> subprocess.CompletedProcess[str]:
        swapped = re.sub(r"openvino/model_server:latest(-gpu)?", self._image, line)
        return subprocess.run(
            ["bash", "-c", swapped],
            cwd=self._folder, env=self.environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    @contextlib.contextmanager
    def started(self, line: str) -> Iterator[str]:
        """Type a line of the page and wait for the port; the container is removed by its own id."""
        done = self.type(line)
        assert done.returncode == 0, done.stderr
        container = done.stdout.strip()
        try:
            until("port 9001 answers", lambda: self.answers(container), timeout=60)
            yield container
        finally:
            self.type(f"docker stop --time 10 {container}")
            until("it is gone", lambda: self.type(f"docker inspect {container}").returncode != 0, timeout=30)

    def answers(self, container: str) -> bool:
        """Whether the server is ready; it fails immediately if the container ended."""
        assert self.type(f"docker inspect {container}").returncode == 0, "the container ended"
        try:
            with triton.InferenceServerClient(f"127.0.0.1:{PORT}") as client:
                return client.is_server_ready()
        except triton.InferenceServerException:
            return False

    def ended(self, line: str) -> tuple[int, str]:
        """Type a line in the foreground and return its exit code and its output."""
        done = self.type(line.replace(" -d ", " ", 1))
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def shell(folder: Path, server_image: images.Image) -> Shell:
    return Shell(folder, server_image)


def ask(image: np.ndarray) -> np.ndarray:
    tensor = triton.InferInput(INPUT, list(image.shape), "FP32")
    tensor.set_data_from_numpy(image)
    with triton.InferenceServerClient(f"127.0.0.1:{PORT}") as client:
        return client.infer("resnet", [tensor]).as_numpy(OUTPUT)


def fits_here(line: str) -> str:
    """`--cpuset-cpus 0,1,2,3` reduced to the CPUs of this machine, as docker refuses others."""
    have = sorted({0, 1, 2, 3} & os.sched_getaffinity(0))
    return line.replace("--cpuset-cpus 0,1,2,3", "--cpuset-cpus " + ",".join(map(str, have)))


def test_the_page_has_the_six_lines():
    assert sorted(LINES) == ["latency", "latency-gpu", "streams", "throughput", "throughput-gpu", "workers"]


def test_port_9001_is_free():
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", PORT))


@pytest.mark.parametrize("name", ["throughput", "latency", "streams"])
def test_a_line_of_the_page_starts_the_server_and_it_answers(name: str, shell: Shell, expected):
    image, want = expected
    with shell.started(fits_here(LINES[name])):
        np.testing.assert_allclose(ask(image), want, rtol=0.05, atol=1e-4)


def test_the_line_with_eight_workers_starts_on_eight_cores_and_names_the_core_count_on_fewer(
    shell: Shell, expected
):
    image, want = expected
    cores = os.cpu_count()
    if cores >= 8:
        with shell.started(LINES["workers"]):
            np.testing.assert_allclose(ask(image), want, rtol=0.05, atol=1e-4)
        return
    code, output = shell.ended(LINES["workers"])

    assert code == 64
    assert f"grpc_workers count should be from 1 to CPU core count : {cores}" in output
    assert "Traceback" not in output


def test_with_as_many_workers_as_cores_the_same_line_starts_and_answers(shell: Shell, expected):
    image, want = expected
    line = LINES["workers"].replace("--grpc_workers 8", f"--grpc_workers {min(8, os.cpu_count())}")

    with shell.started(line):
        np.testing.assert_allclose(ask(image), want, rtol=0.05, atol=1e-4)


@pytest.mark.parametrize("user", ["$(id -u):$(id -g)", "54321:54321"])
def test_any_user_with_a_read_only_root_will_do(user: str, shell: Shell, expected):
    image, want = expected
    line = LINES["throughput"].replace("docker run --rm -d", f"docker run --rm -d --read-only -u {user}")

    with shell.started(line):
        np.testing.assert_allclose(ask(image), want, rtol=0.05, atol=1e-4)


@pytest.mark.skipif(Path("/dev/dri").exists(), reason="fail-closed is shown where there is no GPU")
@pytest.mark.parametrize("name", ["throughput-gpu", "latency-gpu"])
def test_a_gpu_line_fails_closed_and_says_why(name: str, shell: Shell):
    as_written, _ = shell.ended(LINES[name])
    assert as_written != 0

    without_device = re.sub(r"--device=/dev/dri --group-add=\$\(.*?\| head -n 1\) ", "", LINES[name])
    code, output = shell.ended(without_device)
    assert code == 1
    assert "GPU" in output
    assert re.search(r"available.*CPU", output, re.IGNORECASE)
    assert "Traceback" not in output


@pytest.fixture(scope="module")
def gpu_shell(folder: Path) -> Shell:
    return Shell(folder, images.build_gpu())


def inside(shell: Shell, program: str) -> str:
    """What a Python program prints in the image, with no device."""
    done = shell.type(f"docker run --rm --entrypoint python3 openvino/model_server:latest-gpu -c '{program}'")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_in_the_gpu_image_the_gpu_plugin_and_the_driver_load_although_there_is_no_gpu(gpu_shell: Shell):
    plugin = 'import openvino as ov; c = ov.Core(); print(c.available_devices, *c.get_versions("GPU"))'
    drivers = "libOpenCL.so.1 libze_loader.so.1 libze_intel_gpu.so.1"
    drivers += " /usr/lib/x86_64-linux-gnu/intel-opencl/libigdrcl.so"
    loaded = f'import ctypes; [ctypes.CDLL(name) for name in "{drivers}".split()]; print("loaded")'

    assert inside(gpu_shell, plugin).strip() == "['CPU'] GPU"
    assert inside(gpu_shell, loaded).strip() == "loaded"


@pytest.mark.long
def test_the_gpu_image_has_the_same_versions_as_the_one_for_cpus(shell: Shell, gpu_shell: Shell):
    listed = (
        "import importlib.metadata as m; "
        "print(*sorted(d.name + chr(32) + d.version for d in m.distributions()), sep=chr(10))"
    )

    assert inside(gpu_shell, listed) == inside(shell, listed)


@pytest.mark.long
def test_auto_with_a_gpu_and_a_cpu_falls_back_because_the_line_says_so(gpu_shell: Shell, expected):
    image, want = expected
    line = LINES["throughput"].replace("-p 9001:9001", "-p 9001:9001 -p 127.0.0.1:9002:9002")
    line = line.replace("--target_device CPU", "--target_device AUTO:GPU,CPU --rest_port 9002")
    with gpu_shell.started(line):
        np.testing.assert_allclose(ask(image), want, rtol=0.05, atol=1e-4)
        with urllib.request.urlopen("http://127.0.0.1:9002/status", timeout=10) as reply:
            (model,) = json.load(reply)["models"]
    assert (model["device"], model["executionDevices"]) == ("AUTO:GPU,CPU", ["CPU"])


@pytest.fixture
def render_node(tmp_path: Path) -> Path:
    """A folder like /dev/dri, whose device no GPU is behind; only group 109 may open it."""
    node = tmp_path / "renderD128"
    os.mknod(node, stat.S_IFCHR | 0o660, os.makedev(1, 3))
    os.chown(node, 0, 109)
    node.chmod(0o660)
    return tmp_path


@pytest.mark.long
@pytest.mark.parametrize("name", ["GPU", "GPU.1", "AUTO:GPU", "HETERO:GPU,CPU", "MULTI:GPU,CPU"])
def test_every_other_form_that_names_a_gpu_ends_the_server_with_1(name: str, gpu_shell: Shell):
    line = LINES["throughput"].replace("--target_device CPU", f"--target_device {name}")

    code, output = gpu_shell.ended(line)

    assert code == 1
    assert f"Device {name} is not available: GPU not found on this machine, which has CPU" in output


@pytest.mark.long
@pytest.mark.parametrize("name", ["throughput-gpu", "latency-gpu"])
def test_a_gpu_line_starts_in_the_gpu_image_says_which_devices_exist_and_exits(
    name: str, gpu_shell: Shell, render_node: Path
):
    line = LINES[name].replace("/dev/dri/render\\*", f"{render_node}/render*")
    line = line.replace("--device=/dev/dri", f"--device={render_node}:/dev/dri")

    code, output = gpu_shell.ended(line)

    assert code == 1
    assert re.search(r"GPU.*available.*CPU", output, re.IGNORECASE | re.DOTALL)
    assert "Traceback" not in output


@pytest.mark.long
def test_the_group_that_a_gpu_line_adds_may_open_the_device_and_others_may_not(
    gpu_shell: Shell, render_node: Path
):
    run = f"docker run --rm --device={render_node}:/dev/dri -u 54321:54321 %s --entrypoint python3"
    opened = 'openvino/model_server:latest-gpu -c \'open("/dev/dri/renderD128", "r+b", buffering=0)\''

    assert gpu_shell.type(f"{run % '--group-add=109'} {opened}").returncode == 0
    assert "PermissionError" in gpu_shell.type(f"{run % ''} {opened}").stderr
