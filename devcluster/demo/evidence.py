"""What the demo measures and checks: results against bare OpenVINO, and CPUs as the kernel reports them."""

import json
import statistics
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from devcluster.demo.installation import RELEASE, SYSTEM_NAMESPACE
from devcluster.demo.orientation import LABELS, BareOpenVINO, picture, pixels
from devcluster.errors import DevclusterError
from devcluster.host.waiting import wait_until
from devcluster.kubectl import Kubernetes, selector

GRPC, REST = 8080, 8081
OUTPUT = "save_infer_model/scale_0.tmp_1"
AFFINITY = "import re; print(re.search(r'Cpus_allowed_list:\\s*(\\S+)', open('/proc/1/status').read())[1])"
PYTHON = "/opt/venv/bin/python"
TOLERANCE = 1e-3
REPEATS = 5
Call = Callable[[dict[int, int], str, bytes], NDArray[np.float32]]


class CheckFailed(DevclusterError):
    """The demo ran, but a result is wrong or the CPUs are not exclusive."""


@dataclass(frozen=True)
class Inference:
    """The result of one request and that of bare OpenVINO; probabilities [1, 2], median milliseconds."""

    request: str
    probabilities: NDArray[np.float32]
    expected: NDArray[np.float32]
    milliseconds: float

    @property
    def difference(self) -> float:
        """The largest difference between two probabilities."""
        return float(np.abs(self.probabilities - self.expected).max())


@dataclass(frozen=True)
class CPUs:
    """Cpus_allowed_list of the server's process and of a process in the node's shared pool."""

    server: str
    shared: str

    @property
    def are_exclusive(self) -> bool:
        """Whether none of the server's CPUs is in the shared pool."""
        return not (expand(self.server) & expand(self.shared))


def expand(cpu_list: str) -> set[int]:
    """Parse the kernel's notation for a list of CPUs: `0-2,5` is {0, 1, 2, 5}."""
    numbers: set[int] = set()
    for part in cpu_list.strip().split(","):
        first, _, last = part.partition("-")
        numbers |= set(range(int(first), int(last or first) + 1))
    return numbers


def infer(kubernetes: Kubernetes, name: str, model: Path) -> list[Inference]:
    """Send both pictures to a served orientation model, by gRPC as pixels and by REST as JPEG."""
    bare = BareOpenVINO(model, {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_NUM_THREADS": 1})
    inferences = []
    with kubernetes.port_forward(f"service/{name}", GRPC, REST) as ports:
        for upside_down in (False, True):
            jpeg = picture(upside_down=upside_down)
            expected = bare.infer(pixels(jpeg))
            for how, call in (("gRPC, pixels", _grpc), ("REST, JPEG", _rest)):
                probabilities = call(ports, name, jpeg)
                median = statistics.median(_timed(call, ports, name, jpeg) for _ in range(REPEATS))
                request = f"{how}, {LABELS[upside_down]}"
                inferences.append(Inference(request, probabilities, expected, median))
    return inferences


def _timed(call: Call, ports: dict[int, int], name: str, jpeg: bytes) -> float:
    """Milliseconds of one more request, including the connection."""
    start = time.perf_counter()
    call(ports, name, jpeg)
    return 1000 * (time.perf_counter() - start)


def _grpc(ports: dict[int, int], name: str, jpeg: bytes) -> NDArray[np.float32]:
    import tritonclient.grpc as triton  # noqa: PLC0415 - the other commands do not need it

    client = triton.InferenceServerClient(f"127.0.0.1:{ports[GRPC]}")
    image = pixels(jpeg)
    tensor = triton.InferInput("x", list(image.shape), "UINT8")
    tensor.set_data_from_numpy(image)
    result: NDArray[np.float32] = client.infer(name, [tensor]).as_numpy(OUTPUT)
    client.close()
    return result


def _rest(ports: dict[int, int], name: str, jpeg: bytes) -> NDArray[np.float32]:
    """Send the JPEG as one BYTES element of the binary extension; the response is JSON."""
    element = len(jpeg).to_bytes(4, "little") + jpeg
    parameters = {"binary_data_size": len(element)}
    header = json.dumps(
        {"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "parameters": parameters}]}
    ).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{ports[REST]}/v2/models/{name}/infer",
        data=header + element,
        headers={"Inference-Header-Content-Length": str(len(header))},
    )
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - loopback
        output = json.load(response)["outputs"][0]
    return np.array(output["data"], np.float32).reshape(output["shape"])


def affinities(kubernetes: Kubernetes, name: str) -> CPUs:
    """Read both CPU affinities from /proc in the pods."""
    pod = kubernetes.items("pods", selector(name))[0]["metadata"]["name"]
    system = Kubernetes(kubernetes.environment, SYSTEM_NAMESPACE)
    return CPUs(
        kubernetes.exec(f"pod/{pod}", PYTHON, "-c", AFFINITY).strip(),
        system.exec(f"deployment/{RELEASE}", PYTHON, "-c", AFFINITY).strip(),
    )


def settled_affinities(kubernetes: Kubernetes, name: str) -> CPUs:
    """Read both until they are exclusive: the kubelet takes up to ten seconds to move older pods."""
    wait_until(lambda: affinities(kubernetes, name).are_exclusive, 30)
    return affinities(kubernetes, name)


def table(kubernetes: Kubernetes, name: str, inferences: list[Inference], cpus: CPUs) -> str:
    """The demo's results as text."""
    status = kubernetes.get("modelserver", name)["status"]
    rows = [(f"condition {c['type']}", f"{c['status']}  {c.get('reason', '')}") for c in status["conditions"]]
    rows += [(f"tuning {key}", str(value)) for key, value in status.get("tuning", {}).items()]
    rows += [
        (
            f"model {model['name']} version {version['version']}",
            f"{version['state']} on {version.get('device', '?')}",
        )
        for model in status.get("models", [])
        for version in model["versions"]
    ]
    rows.append(("server's CPUs (kernel, Cpus_allowed_list)", cpus.server))
    rows.append(("node's shared pool (kernel, operator's pod)", cpus.shared))
    rows += [(inference.request, _line(inference)) for inference in inferences]
    width = max(len(left) for left, _ in rows)
    ruler = "-" * (width + 60)
    return "\n".join([ruler, *(f"{left:<{width}}  {right}" for left, right in rows), ruler])


def _line(inference: Inference) -> str:
    values = inference.probabilities.ravel()
    return (
        f"{LABELS[int(values.argmax())]} {values.max():.4f}, {inference.milliseconds:.1f} ms"
        f" (bare OpenVINO differs by {inference.difference:.1e})"
    )


def check(inferences: list[Inference], cpus: CPUs) -> None:
    """Raise CheckFailed if a result differs from bare OpenVINO's, or the CPUs are not exclusive."""
    wrong = [inference.request for inference in inferences if inference.difference > TOLERANCE]
    if wrong:
        raise CheckFailed(f"these results differ from bare OpenVINO's: {', '.join(wrong)}")
    if not cpus.are_exclusive:
        raise CheckFailed(
            f"the server's CPUs ({cpus.server}) are not exclusive: the shared pool has {cpus.shared}"
        )
