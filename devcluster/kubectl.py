"""kubectl and helm for one cluster: the one way in which they are run here."""

import contextlib
import re
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devcluster.errors import CommandFailed
from devcluster.host.process import Runner, stop
from devcluster.host.waiting import wait_until
from devcluster.reading import reader

FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) -> (\d+)")


@dataclass(frozen=True)
class Kubernetes:
    """One cluster, reached through the environment that holds its KUBECONFIG and PATH."""

    environment: dict[str, str]
    namespace: str = "default"
    owner: str = "kubectl"

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Run kubectl in the namespace and return what it prints.

        Raises:
            CommandFailed: kubectl ended with an error, or not within `timeout` seconds.
        """
        return self._runner.run(self._kubectl(*arguments), stdin=stdin, timeout=timeout)

    def succeeds(self, *arguments: str, timeout: float = 60) -> bool:
        """Whether kubectl with these arguments ends without an error."""
        return self._runner.succeeds(self._kubectl(*arguments), timeout=timeout)

    def helm(self, *arguments: str, timeout: float = 300) -> str:
        """Run helm and return what it prints; raises CommandFailed."""
        return self._runner.run(["helm", *arguments], timeout=timeout)

    def apply(self, manifest: str | Path) -> str:
        """Apply a manifest, given as text or as a path."""
        text = manifest.read_text() if isinstance(manifest, Path) else manifest
        return self.kubectl("apply", "--validate=strict", "-f", "-", stdin=text)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """Return one object."""
        return reader(self.environment["KUBECONFIG"]).get(kind, self.namespace, name)

    def items(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """Return the objects of a kind, or of kinds with commas between them, in the namespace."""
        return reader(self.environment["KUBECONFIG"]).items(kind, self.namespace, selector)

    def exec(self, target: str, *command: str) -> str:
        """Run a command in a pod's first container."""
        return self.kubectl("exec", target, "--", *command)

    def condition(self, name: str, kind: str) -> dict[str, Any]:
        """Return one condition of a ModelServer; an empty one until it speaks of the present generation."""
        return current_condition(self.get("modelserver", name), kind)

    def wait_for(self, name: str, condition: str = "Ready", timeout: float = 120) -> None:
        """Wait until a ModelServer's condition is True; the error shows its conditions and pods."""
        if not wait_until(lambda: self.condition(name, condition).get("status") == "True", timeout):
            what = f"{condition} of modelserver/{name}: not within {timeout:.0f} s"
            raise CommandFailed(f"{what}\n{self.describe(name)}")

    def describe(self, name: str) -> str:
        """Say what there is to say about a ModelServer that is not as it should be."""
        label = selector(name)
        wanted = (
            ("get", "modelserver", name, "-o", "jsonpath={.status}"),
            ("get", "all", "-l", label, "-o", "wide"),
            ("logs", "-l", label, "--tail=20", "--all-containers"),
            ("get", "events", "--sort-by=.lastTimestamp"),
        )
        said = []
        for arguments in wanted:
            with contextlib.suppress(CommandFailed):
                said.append(self.kubectl(*arguments)[-3000:])
        return "\n".join(said)

    @contextlib.contextmanager
    def port_forward(self, target: str, *ports: int) -> Iterator[dict[int, int]]:
        """Forward free ports of loopback to ports of a pod or Service: {port there: port here}."""
        command = self._kubectl("port-forward", target, *(f":{port}" for port in ports))
        with subprocess.Popen(
            command, env=self._runner.variables(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            drain = threading.Thread(target=lambda: process.stdout and process.stdout.read())
            try:
                forwarded = _forwarded(process, set(ports))
                drain.start()  # kubectl prints a line for every connection and would block on a full pipe
                yield forwarded
            finally:
                stop(process)
                if drain.ident is not None:
                    drain.join(10)

    @property
    def _runner(self) -> Runner:
        return Runner(self.owner, self.environment)

    def _kubectl(self, *arguments: str) -> list[str]:
        namespace = ["--namespace", self.namespace] if self.namespace else []
        return ["kubectl", *namespace, *arguments]


def _forwarded(process: subprocess.Popen[str], ports: set[int]) -> dict[int, int]:
    """Read which ports kubectl chose."""
    forwarded: dict[int, int] = {}
    output = ""
    guard = threading.Timer(30, process.kill)
    guard.start()
    assert process.stdout is not None  # noqa: S101 - Popen was given a pipe
    for line in process.stdout:
        output += line
        if match := FORWARDING.search(line):
            forwarded[int(match[2])] = int(match[1])
        if ports <= set(forwarded):
            break
    guard.cancel()
    if not ports <= set(forwarded):
        raise CommandFailed(f"kubectl port-forward: {output.strip() or 'it ended without any output'}")
    return forwarded


def current_condition(found: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return an object's condition if it was judged for the generation the object has now, else nothing.

    For a moment after a change the object still carries the status of the previous generation, Ready=True
    included. Both `observedGeneration` fields have to match: that of the status and that of the condition.
    """
    generation, status = found["metadata"]["generation"], found.get("status") or {}
    if status.get("observedGeneration") != generation:
        return {}
    conditions = (c for c in status.get("conditions") or [] if c.get("observedGeneration") == generation)
    return next((c for c in conditions if c["type"] == kind), {})


def selector(name: str) -> str:
    """Select the children and pods of a ModelServer."""
    return f"app.kubernetes.io/instance={name}"
