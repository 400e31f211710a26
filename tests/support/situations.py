"""Objects that cannot be served, each for one reason, and what docs/troubleshooting.md says about them."""

import re
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from devcluster.kubectl import Kubernetes

PAGE = Path(__file__).resolve().parents[2] / "docs" / "troubleshooting.md"
SMALL = {"requests": {"cpu": "10m"}, "limits": {"cpu": "500m", "memory": "256Mi"}}
OF_THE_MOMENT = re.compile(r" +(Last Transition Time|Observed Generation|Time):")
Raw = dict[str, Any]


@dataclass(frozen=True)
class Situation:
    """What is wrong, under the heading that the page has for it."""

    heading: str
    name: str
    spec: Raw = field(default_factory=dict)
    """On top of a small object with one model."""
    first: tuple[Raw, ...] = ()
    """What exists before the object."""
    may_be_there: str = ""
    """The field of the last failure that is shown only if the kubelet saw how the container ended."""

    def manifest(self) -> Raw:
        return {
            "apiVersion": "modelserver.dev/v1alpha1",
            "kind": "ModelServer",
            "metadata": {"name": self.name},
            "spec": {**model("pvc://models/text-orientation"), **SMALL_SHARED, **self.spec},
        }


def model(uri: str, **fields: Any) -> Raw:
    return {"models": [{"name": "orientation", "uri": uri, **fields}]}


SMALL_SHARED: Raw = {"cpuManagerPolicy": "none", "resources": SMALL, "rollout": {"drainSeconds": 0}}
MOUNT = {"volumes": [{"name": "labels", "configMap": {"name": "labels"}}],
         "volumeMounts": [{"name": "labels", "mountPath": "/labels"}]}  # fmt: skip
SERVICE = {
    "apiVersion": "v1", "kind": "Service", "metadata": {"name": "taken"}, "spec": {"ports": [{"port": 80}]},
}  # fmt: skip
TOKEN = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "token"}}}
SITUATIONS = (
    Situation("The image cannot be pulled", "image", {"image": "registry.invalid/modelserver:9"}),
    Situation("The claim does not exist", "claim", model("pvc://modles/text-orientation")),
    Situation(
        "No node has enough CPUs",
        "cpus",
        {"cpuManagerPolicy": "static", "resources": {"limits": {"cpu": 512, "memory": "256Mi"}}},
    ),
    Situation("A volume refers to something that does not exist", "volume", {"pod": MOUNT}),
    Situation("A variable refers to something that does not exist", "variable", {"pod": {"env": [TOKEN]}}),
    Situation("The directory of a model does not exist", "path", model("pvc://models/orientation")),
    Situation(
        "A version that the policy names does not exist",
        "version",
        model("pvc://models/text-orientation", versionPolicy={"versions": [1, 7]}),
    ),
    Situation(
        "OpenVINO refuses a setting", "setting", {"pluginConfig": {"INFERENCE_PRECISION_HINT": "f8"}}
    ),
    Situation(
        "The memory limit is too small",
        "memory",
        {"resources": {"requests": {"cpu": "10m"}, "limits": {"cpu": "500m", "memory": "48Mi"}}},
    ),
    Situation(
        "No node has the device",
        "device",
        {"device": "GPU", "accelerator": {"resourceName": "gpu.intel.com/xe"}},
    ),
    Situation("A Service of that name belongs to somebody else", "taken", first=(SERVICE,)),
    Situation("The location of a model is not supported", "location", model("s3://bucket/orientation")),
)  # fmt: skip
QUOTA = Situation("The namespace's quota is used up", "quota")
BROKEN = Situation("A new version cannot be loaded", "broken", model("pvc://models/broken"))
CUT_OFF = Situation("The operator cannot reach the pods", "cut-off")
EVICTED = Situation(
    "A pod was evicted",
    "evicted",
    {"resources": {"requests": {"cpu": "10m"}, "limits": {**SMALL["limits"], "ephemeral-storage": "4Mi"}}},
    may_be_there="Exit Code",
)


def quoted(heading: str) -> str:
    """What `kubectl describe` shows, as the page quotes it below a heading; … stands for what varies."""
    sections = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    found = next((text for text in sections if text.startswith(f"{heading}\n")), "``````")
    return found.split("```")[1].partition("\n")[2]


def is_quoted(text: str, situation: Situation) -> bool:
    """Whether the page quotes exactly this; how wide the columns are depends on other fields."""
    if situation.may_be_there:
        text = re.sub(rf"^ +{situation.may_be_there}:.*\n", "", text, flags=re.MULTILINE)
    parts = (re.escape(part) for part in _narrow(quoted(situation.heading)).split("…"))
    return re.fullmatch("[^\n]*".join(parts), _narrow(text)) is not None


def _narrow(text: str) -> str:
    return re.sub(r": {2,}", ": ", text)


def described(kubernetes: Kubernetes, name: str) -> str:
    """The lines of `kubectl describe` about Ready and the last failure, without times and generations."""
    lines = kubernetes.kubectl("describe", "modelserver", name).splitlines()
    ready = next((n for n, line in enumerate(lines) if re.fullmatch(r" +Type: +Ready", line)), 0)
    failure = next((n for n, line in enumerate(lines) if line == "  Last Failure:"), len(lines))
    inside = takewhile(lambda line: line.startswith("    "), lines[failure + 1 :])
    kept = [*lines[max(ready - 5, 0) : ready + 1], *lines[failure : failure + 1], *inside]
    return "".join(f"{line.rstrip()}\n" for line in kept if not OF_THE_MOMENT.match(line))
