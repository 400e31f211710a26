"""Objects that an autoscaler scales on a kind cluster, clients that load them, and what became of them."""

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import yaml

from devcluster.demo import installation
from devcluster.errors import CommandFailed
from devcluster.kubectl import Kubernetes
from tests.support.e2e import remove
from tests.support.waiting import until

Document = dict[str, Any]
Record = Callable[[str, object], None]
CLIENTS = Path(__file__).with_name("clients_inside.py").read_text()
POD = "clients"
MODEL = "text-orientation"
SMALL = {
    "cpuManagerPolicy": "none",
    "resources": {"limits": {"cpu": "200m", "memory": "512Mi"}},
    "rollout": {"drainSeconds": 5},
}
"""Several replicas beside everything else on two CPUs."""
MEASURED = {"requests": {"cpu": "60m"}, "limits": {"cpu": "400m", "memory": "512Mi"}}
"""Of who is scaled by CPU: where others use the machine, too, a pod may get little more than its request."""
HALF = {"type": "CPU", "averageUtilization": 50}
QUICK = {
    "scaleDown": {
        "stabilizationWindowSeconds": 0,
        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
    }
}
"""Down as soon as the load goes, so that a test need not wait for five minutes."""
QUICK_TEXT = json.dumps(QUICK)
HEAVY = {"number": 6, "pause": 0.0}
LIGHT = {"number": 1, "pause": 0.25}
POD_MANIFEST = """
apiVersion: v1
kind: Pod
metadata: {name: POD}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
  - name: clients
    image: IMAGE
    command: [/opt/venv/bin/python, -c, "import time; time.sleep(36000)"]
    resources: {requests: {cpu: 10m}, limits: {cpu: 600m}}
"""


def example(directory: str) -> Document:
    """The object of an example, as it is."""
    text = (installation.EXAMPLES / directory / "modelserver.yaml").read_text()
    found: Document = yaml.safe_load(text)
    return found


def scaled(name: str, autoscaling: Document | None, **spec: object) -> Document:
    """The model of the first example with one stream of its own, so that requests wait in a queue."""
    made = example("03-autoscaled")
    (model,) = made["spec"]["models"]
    wish = {} if autoscaling is None else {"autoscaling": {"behavior": QUICK, **autoscaling}}
    made["metadata"]["name"] = name
    made["spec"] = {"models": [model], "streams": 1, **SMALL, **wish, **spec}
    return made


def apply(kubernetes: Kubernetes, document: Document) -> None:
    kubernetes.apply(json.dumps(document))


def patch(kubernetes: Kubernetes, name: str, spec: Document) -> None:
    kubernetes.kubectl("patch", "modelserver", name, "--type=merge", "-p", json.dumps({"spec": spec}))


@contextlib.contextmanager
def running(kubernetes: Kubernetes, document: Document) -> Iterator[str]:
    """The object while it is used, Ready; gives its name. Nothing of it stays, whatever goes wrong."""
    name: str = document["metadata"]["name"]
    try:
        apply(kubernetes, document)
        kubernetes.wait_for(name, timeout=240)
        yield name
    finally:
        remove(kubernetes, name)


@contextlib.contextmanager
def client_pod(kubernetes: Kubernetes, image: str) -> Iterator[str]:
    """The pod that the clients run in."""
    kubernetes.apply(POD_MANIFEST.replace("IMAGE", image).replace("POD", POD))
    try:
        kubernetes.kubectl("wait", f"pod/{POD}", "--for=condition=Ready", "--timeout=60s")
        yield POD
    finally:
        kubernetes.kubectl("delete", "pod", POD, "--ignore-not-found", "--wait=true")


class Clients:
    """Clients of one object until the end of the `with`; afterwards what they got."""

    def __init__(self, kubernetes: Kubernetes, name: str, number: int, pause: float) -> None:
        self._kubernetes = kubernetes
        self._arguments = [name, "8081", MODEL, str(number), str(pause)]
        self.answered = 0
        self.errors: list[str] = []

    def __enter__(self) -> Self:
        command = ["kubectl", "exec", "-i", f"pod/{POD}", "--", "/opt/venv/bin/python", "-c", CLIENTS]
        self._process = subprocess.Popen(
            [*command, *self._arguments],
            env=self._kubernetes.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        is_over = self._process.poll() is not None
        output, _ = self._process.communicate(timeout=60)
        if kind is None:
            assert not is_over, f"the clients ended too early: {output}"
            result = json.loads(output)
            self.answered, self.errors = result["answered"], result["errors"]


class Course:
    """How the number of replicas of an object changes, with the time of each step."""

    def __init__(self, kubernetes: Kubernetes, name: str, record: Record) -> None:
        self._kubernetes = kubernetes
        self._name = name
        self._record = record
        self._begun = time.monotonic()
        self.wished: list[int] = []
        """Every number of replicas that was seen, each as often as it changed."""

    def begin(self) -> None:
        """Count the time of the next step from now on."""
        self._begun = time.monotonic()

    def seconds(self) -> int:
        """Since then."""
        return round(time.monotonic() - self._begun)

    def look(self) -> tuple[int, int]:
        """The replicas that are wanted, and those that are ready."""
        found = self._kubernetes.get("modelserver", self._name)
        wanted = found["spec"]["replicas"]
        if self.wished[-1:] != [wanted]:
            self.wished.append(wanted)
        return wanted, (found.get("status") or {}).get("readyReplicas") or 0

    def reaches(self, replicas: int, what: str, timeout: float = 400) -> None:
        """Wait until so many replicas are wanted and ready, and record how long it took."""
        end = time.monotonic() + timeout
        while self.look() != (replicas, replicas):
            if time.monotonic() > end:
                seen = f"{replicas} replicas not within {timeout:.0f} s, but {self.look()}: {self.wished}"
                raise AssertionError(f"{seen}\n{self._explain()}")
            time.sleep(0.5)
        self._record(f"seconds {what}", self.seconds())
        self._record("replicas seen", self.wished)

    def stays(self, replicas: int, while_not: Callable[[], bool], timeout: float) -> None:
        """Nothing else is ever wanted until something holds."""
        end = time.monotonic() + timeout
        while not while_not():
            assert self.look()[0] == replicas, f"{self.wished}\n{self._explain()}"
            assert time.monotonic() < end, f"not within {timeout:.0f} s\n{self._explain()}"
            time.sleep(0.5)
        assert self.look()[0] == replicas, f"{self.wished}\n{self._explain()}"

    def _explain(self) -> str:
        said = [self._kubernetes.describe(self._name)]
        for kind in ("hpa", "scaledobject"):
            with contextlib.suppress(CommandFailed):
                said.append(self._kubernetes.kubectl("get", kind, "-o", "yaml")[-6000:])
        return "\n".join(said)


def autoscaled(kubernetes: Kubernetes, name: str) -> Document:
    """The condition, of whichever generation: each scale step is a new one."""
    conditions = (kubernetes.get("modelserver", name).get("status") or {}).get("conditions") or []
    return next((item for item in conditions if item["type"] == "Autoscaled"), {})


def says(kubernetes: Kubernetes, name: str, reason: str, timeout: float = 120) -> Document:
    """Wait until Autoscaled has this reason."""

    def found() -> Document | None:
        condition = autoscaled(kubernetes, name)
        return condition if condition.get("reason") == reason else None

    try:
        condition: Document = until(f"Autoscaled says {reason}", found, timeout=timeout)
    except AssertionError as late:
        raise AssertionError(f"{late}; it says {autoscaled(kubernetes, name)}") from None
    return condition


def hpa(kubernetes: Kubernetes, name: str) -> Document:
    """The HorizontalPodAutoscaler of an object: ours, or the one that KEDA made."""
    found = kubernetes.items("hpa")
    (one,) = [item for item in found if item["spec"]["scaleTargetRef"]["name"] == name]
    return one


def looks(kubernetes: Kubernetes, name: str) -> Document:
    """What the HorizontalPodAutoscaler reports, by the type of the condition."""
    conditions = (hpa(kubernetes, name).get("status") or {}).get("conditions") or []
    return {item["type"]: item for item in conditions}
