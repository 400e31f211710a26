"""A served object under constant load, and everything that a watch saw of it meanwhile."""

import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from devcluster.kubectl import Kubernetes

LOAD = Path(__file__).with_name("load.py").read_text()
_READY = '{range .endpoints[*]}{.conditions.ready} {end}{"\\n"}'
CLIENT = """
apiVersion: v1
kind: Pod
metadata: {name: load}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  nodeName: NODE
  containers:
  - name: load
    image: IMAGE
    command: [/opt/venv/bin/python, -c, "import time; time.sleep(3600)"]
"""


@contextlib.contextmanager
def client(kubernetes: Kubernetes, image: str, node: str = "") -> Iterator[None]:
    """The pod from which requests are sent; it needs no scheduler where the node is given."""
    kubernetes.apply(CLIENT.replace("IMAGE", image).replace("NODE", node))
    kubernetes.kubectl("wait", "pod/load", "--for=condition=Ready", "--timeout=60s")
    try:
        yield
    finally:
        kubernetes.kubectl("delete", "pod", "load", "--ignore-not-found", "--wait=true")


@dataclass
class Load:
    """Requests to one object, until the end of the `with`."""

    kubernetes: Kubernetes
    name: str
    answered: int = 0
    errors: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        command = ["kubectl", "exec", "-i", "pod/load", "--", "/opt/venv/bin/python", "-c", LOAD]
        self._process = subprocess.Popen(
            [*command, self.name, "8081"],
            env=self.kubernetes.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        is_over = self._process.poll() is not None
        output, _ = self._process.communicate(timeout=30)
        assert not is_over, f"everything must happen under load: {output}"
        result = json.loads(output)
        self.answered, self.errors = result["answered"], result["errors"]


class Watch:
    """What `kubectl get --watch` prints, a line for each change, until the end of the `with`."""

    def __init__(self, kubernetes: Kubernetes, *what: str) -> None:
        self.lines: list[str] = []
        self._command = ["kubectl", "--namespace", kubernetes.namespace, "get", *what, "--watch"]
        self._environment = kubernetes.environment

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdout=subprocess.PIPE, text=True
        )
        self._reading = threading.Thread(target=self._read)
        self._reading.start()
        return self

    def __exit__(self, *_: object) -> None:
        is_over = self._process.poll() is not None
        self._process.terminate()
        self._process.wait(10)
        self._reading.join(10)
        assert not is_over, f"the watch broke: {self._command}"

    def _read(self) -> None:
        assert self._process.stdout is not None
        self.lines += (line.strip() for line in self._process.stdout)


class Serving(Watch):
    """How many pods take requests, by the endpoints of the object's Service."""

    def __init__(self, kubernetes: Kubernetes, name: str) -> None:
        label = f"kubernetes.io/service-name={name}"
        super().__init__(kubernetes, "endpointslices", "--selector", label, "-o", f"jsonpath={_READY}")

    def counts(self) -> list[int]:
        return [line.split().count("true") for line in self.lines]


class Wishes(Watch):
    """What the operator has made of the Deployment: replicas and template, each as often as it changed."""

    def __init__(self, kubernetes: Kubernetes, name: str) -> None:
        super().__init__(kubernetes, "deployment", name, "-o", "json", "--output-watch-events")

    def states(self) -> list[dict[str, Any]]:
        decoder, text, states = json.JSONDecoder(), "\n".join(self.lines), []
        while text := text.lstrip():
            event, end = decoder.raw_decode(text)
            text = text[end:]
            spec = event["object"]["spec"]
            state = {"replicas": spec["replicas"], "template": spec["template"]}
            if not states or states[-1] != state:
                states.append(state)
        return states
