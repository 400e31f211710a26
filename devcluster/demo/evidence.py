"""What the demo shows and insists on: answers next to bare OpenVINO's, and CPUs as the kernel sees them."""

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
from devcluster.kubectl import Kubernetes, selector, until

GRPC, REST = 8080, 8081
OUTPUT = "save_infer_model/scale_0.tmp_1"
AFFINITY = "import re; print(re.search(r'Cpus_allowed_list:\\s*(\\S+)', open('/proc/1/status').read())[1])"
PYTHON = "/opt/venv/bin/python"
TOLERANCE = 1e-3
REPEATS = 5
Call = Callable[[dict[int, int], str, bytes], NDArray[np.float32]]


class NotProven(Exception):
    """The demo ran, and what it set out to show does not hold."""


@dataclass(frozen=True)
class Answer:
    """One request's answer beside bare OpenVINO's; probabilities [1, 2], median milliseconds."""

    how: str
    probabilities: NDArray[np.float32]
    bare: NDArray[np.float32]
    milliseconds: float

    @property
    def difference(self) -> float:
        """The largest difference of a probability."""
        return float(np.abs(self.probabilities - self.bare).max())


@dataclass(frozen=True)
class CPUs:
    """Cpus_allowed_list of the server's process and of one in the node's shared pool."""

    server: str
    shared: str

    @property
    def are_apart(self) -> bool:
        """Whether the server's CPUs are not in the shared pool."""
        return not (expand(self.server) & expand(self.shared))


def expand(cpu_list: str) -> set[int]:
    """Turn the kernel's list notation into numbers: `0-2,5` is {0, 1, 2, 5}."""
    numbers: set[int] = set()
    for part in cpu_list.strip().split(","):
        first, _, last = part.partition("-")
        numbers |= set(range(int(first), int(last or first) + 1))
    return numbers


def ask(kubernetes: Kubernetes, name: str, model: Path) -> list[Answer]:
    """Ask a served orientation model by gRPC (pixels) and REST (JPEG), both ways up."""
    bare = BareOpenVINO(model, {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_NUM_THREADS": 1})
    answers = []
    with kubernetes.port_forward(f"service/{name}", GRPC, REST) as ports:
        for upside_down in (False, True):
            jpeg = picture(upside_down=upside_down)
            expected = bare.answer(pixels(jpeg))
            for how, call in (("gRPC, pixels", _grpc), ("REST, JPEG", _rest)):
                got = call(ports, name, jpeg)
                spent = [_timed(call, ports, name, jpeg) for _ in range(REPEATS)]
                how_asked = f"{how}, {LABELS[upside_down]}"
                answers.append(Answer(how_asked, got, expected, statistics.median(spent)))
    return answers


def _timed(call: Call, ports: dict[int, int], name: str, jpeg: bytes) -> float:
    """Milliseconds of one more request, connecting included."""
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
    """Send the JPEG as one BYTES element of the binary extension; the answer is JSON."""
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
    """Read both affinities from the kernel, as they are now."""
    pod = kubernetes.items("pods", selector(name))[0]["metadata"]["name"]
    system = Kubernetes(kubernetes.environment, SYSTEM_NAMESPACE)
    return CPUs(
        kubernetes.exec(f"pod/{pod}", PYTHON, "-c", AFFINITY).strip(),
        system.exec(f"deployment/{RELEASE}", PYTHON, "-c", AFFINITY).strip(),
    )


def cpus(kubernetes: Kubernetes, name: str) -> CPUs:
    """Read both, and again for a while: the kubelet moves older pods off within ten seconds."""
    try:
        apart: CPUs = until(
            "CPUs apart", lambda: (seen := affinities(kubernetes, name)).are_apart and seen, timeout=30
        )
    except TimeoutError:
        return affinities(kubernetes, name)
    return apart


def table(kubernetes: Kubernetes, name: str, answers: list[Answer], seen: CPUs) -> str:
    """Render the demo's result."""
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
    rows.append(("server's CPUs (kernel, Cpus_allowed_list)", seen.server))
    rows.append(("node's shared pool (kernel, operator's pod)", seen.shared))
    rows += [(answer.how, _line(answer)) for answer in answers]
    width = max(len(left) for left, _ in rows)
    ruler = "-" * (width + 60)
    return "\n".join([ruler, *(f"{left:<{width}}  {right}" for left, right in rows), ruler])


def _line(answer: Answer) -> str:
    values = answer.probabilities.ravel()
    return (
        f"{LABELS[int(values.argmax())]} {values.max():.4f}, {answer.milliseconds:.1f} ms"
        f" (bare OpenVINO differs by {answer.difference:.1e})"
    )


def insist(answers: list[Answer], seen: CPUs) -> None:
    """Raise NotProven when an answer is not bare OpenVINO's, or the CPUs are not exclusive."""
    wrong = [answer.how for answer in answers if answer.difference > TOLERANCE]
    if wrong:
        raise NotProven(f"not bare OpenVINO's answer: {', '.join(wrong)}")
    if not seen.are_apart:
        raise NotProven(f"the server's CPUs {seen.server} are not its own: the shared pool is {seen.shared}")
