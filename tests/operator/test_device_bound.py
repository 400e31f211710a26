"""DeviceBound: never silently on another device than the object names."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserver_operator.api import Status, parse
from modelserver_operator.conditions import judge
from modelserver_operator.conditions.devices import device_bound
from modelserver_operator.conditions.verdict import Verdict
from modelserver_operator.observed.facts import Facts
from modelserver_operator.observed.pod import read_pod
from modelserver_operator.observed.report import read_reply
from tests.support.modelservers import model_server
from tests.support.reports import report

XE = "gpu.intel.com/xe"
NEVER = Status()
FILE = {"path": "/dev/dri/renderD128", "group": 109, "usable": False}


def facts(
    device: str = "GPU",
    runs_on: tuple[str, ...] = ("GPU.0",),
    *,
    holds: str = XE,
    ready: bool = True,
    files: tuple[dict[str, Any], ...] = (),
    groups: tuple[int, ...] = (),
    **more: Any,
) -> Facts:
    limits = {"cpu": "1", **({holds: "1"} if holds else {})}
    container = {
        "name": "modelserver", "resources": {"limits": limits, "requests": limits},
        "ports": [{"name": "status", "containerPort": 8082}],
    }  # fmt: skip
    body = {
        "metadata": {"name": "p", "namespace": "n", "uid": "u", "resourceVersion": "1"},
        "spec": {"containers": [container], "securityContext": {"supplementalGroups": list(groups)}},
        "status": {
            "phase": "Running", "podIP": "10.0.0.1",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }  # fmt: skip
    document = report()
    document["models"][0] |= {"device": device, "executionDevices": list(runs_on)}
    document["devices"] = {"available": ["CPU"], "files": list(files)}
    return Facts(None, (read_pod(body),), {"u": read_reply(json.dumps(document).encode())}, **more)


def judged(found: Facts, device: str = "GPU", **spec: Any) -> Verdict:
    return device_bound(parse(model_server(device=device, **spec)), found)


CASES: dict[str, tuple[Verdict, str, str, tuple[str, ...]]] = {
    "on the GPU": (judged(facts()), "True", "Bound", ("GPU.0",)),
    "on the second GPU": (
        judged(facts("GPU.1", ("GPU.1",)), "GPU.1"), "True", "Bound", (),
    ),
    "on another GPU": (
        judged(facts("GPU.1", ("GPU.0",)), "GPU.1"), "False", "OtherDevice", ("GPU.0 instead",),
    ),
    "the only GPU, which has no number": (judged(facts("GPU.0", ("GPU",)), "GPU.0"), "True", "Bound", ()),
    "on the CPU": (judged(facts(runs_on=("CPU",))), "False", "OtherDevice", ("CPU instead of GPU",)),
    "AUTO chose the GPU": (
        judged(facts("AUTO:GPU,CPU", ("GPU.0",)), "AUTO:GPU,CPU"), "True", "Automatic", ("GPU.0",),
    ),
    "AUTO chose the CPU although a GPU is reserved": (
        judged(facts("AUTO:GPU,CPU", ("CPU",)), "AUTO:GPU,CPU"), "False", "OtherDevice",
        ("run on CPU", "on no GPU", XE),
    ),
    "AUTO began on the CPU": (
        judged(facts("AUTO:GPU,CPU", ("(CPU)",)), "AUTO:GPU,CPU"), "False", "OtherDevice", ("run on CPU",),
    ),
    "AUTO on the CPU without a GPU of its own": (
        judged(facts("AUTO", ("CPU",), holds=""), "AUTO"), "True", "Automatic", ("CPU",),
    ),
    "AUTO on the CPU, from before resources were chosen": (
        judged(facts("AUTO:GPU,CPU", ("CPU",), holds=""), "AUTO:GPU,CPU"), "True", "Automatic", (),
    ),
    "AUTO on what it excludes": (
        judged(facts("AUTO:-GPU", ("GPU.0",), holds=""), "AUTO:-GPU"), "False", "OtherDevice", ("GPU.0",),
    ),
    "a batch on the GPU": (
        judged(facts("BATCH:GPU(4)", ("GPU.0",)), "BATCH:GPU(4)"), "True", "Bound", (),
    ),
    "a device file that it may not open": (
        judged(facts(ready=False, files=(FILE,))), "False", "DeviceNotPermitted",
        ("/dev/dri/renderD128", "group 109", "accelerator.renderGroup"),
    ),
    "a device file that it may not open although it has its group": (
        judged(facts(ready=False, files=(FILE,), groups=(109,))), "False", "DeviceNotPermitted",
        ("in its group 109", "mode is 660"),
    ),
    "a device file of root": (
        judged(facts(ready=False, files=({**FILE, "group": 0},))), "False", "DeviceNotPermitted",
        ("group 0",),
    ),
    "a device file of somebody else": (
        judged(facts("CPU", ("CPU",), holds="", files=(FILE,)), "CPU"), "True", "Bound", (),
    ),
    "no node advertises one": (
        judged(facts(ready=False, unadvertised=(XE,))), "False", "ResourceNotAdvertised",
        ("no node advertises gpu.intel.com/xe", "gpu.intel.com/i915", "accelerator.resourceName"),
    ),
    "nodes may not be listed": (
        judged(facts(ready=False, unadvertised=(XE,), may_list_nodes=False)), "False",
        "ResourceNotAdvertised", ("may not list nodes",),
    ),
    "it runs although no node advertises one any more": (
        judged(facts(unadvertised=(XE,))), "True", "Bound", (),
    ),
    "what runs has none, and no node advertises one": (
        judged(facts("CPU", ("CPU",), holds="", unadvertised=(XE,))), "False", "ResourceNotAdvertised", (),
    ),
    "not ready yet": (judged(facts(ready=False)), "Unknown", "NoPodReady", ()),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_device_gets_the_verdict_it_deserves(case: str):
    verdict, status, reason, words = CASES[case]

    assert (verdict.status, verdict.reason) == (status, reason), verdict.message
    assert [word for word in words if word not in verdict.message] == []


def test_an_object_on_another_device_is_not_ready():
    found = facts(runs_on=("CPU",))
    status = judge(parse(model_server(device="GPU")), found, "r1", NEVER, "2026-01-01T00:00:00Z")

    ready = next(condition for condition in status.conditions if condition.type == "Ready")
    assert (ready.status, ready.reason) == ("False", "OtherDevice")


DEVICES = st.sampled_from(["CPU", "GPU", "GPU.0", "GPU.1", "NPU"])


@given(DEVICES, st.lists(DEVICES, min_size=1, max_size=3, unique=True))
def test_a_named_device_is_bound_only_where_it_runs(device: str, runs_on: list[str]):
    verdict = judged(facts(device, tuple(runs_on), holds=""), device)

    if verdict.status == "True":
        family = device.partition(".")[0]
        assert {name.partition(".")[0] for name in runs_on} == {family}
