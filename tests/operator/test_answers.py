"""Which answers of the servers a status is judged by, and how servers that are behind are nudged."""

import asyncio
import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster.kubectl import Kubernetes
from tests.support.children import SOON, events, patch
from tests.support.kubelet_part import RunningPod, Start, ports, report
from tests.support.reports import report as server_report
from tests.support.server_process import free_port
from tests.support.status_port import status_port, whole
from tests.support.waiting import until

pytestmark = pytest.mark.api


def ready(start: Start, kubernetes: Kubernetes, **spec) -> RunningPod:
    pod = start(cpus="0", **spec)
    pod.become_ready()
    kubernetes.wait_for("server", timeout=15)
    return pod


def revision(kubernetes: Kubernetes) -> str:
    return json.loads(kubernetes.get("configmap", "server-config")["data"]["config.json"])["revision"]


def verdict(kubernetes: Kubernetes, kind: str) -> tuple[str | None, str | None]:
    found = kubernetes.condition("server", kind)
    return found.get("status"), found.get("reason")


def test_a_server_that_is_silent_for_three_seconds_is_still_ready(kubernetes: Kubernetes, start: Start):
    pod = ready(start, kubernetes)
    before = kubernetes.get("modelserver", "server")["status"]
    assert pod.process is not None

    os.kill(pod.process.pid, signal.SIGSTOP)
    end = time.monotonic() + 3
    number = 0
    while time.monotonic() < end:  # each label wakes the object, so that its server is asked
        kubernetes.kubectl(
            "label", "--overwrite", "modelserver", "server", f"wake=up-{(number := number + 1)}"
        )
    os.kill(pod.process.pid, signal.SIGCONT)

    patch(kubernetes, "modelserver/server", {"spec": {"pod": {"annotations": {"a": "b"}}}})
    until("the next generation is judged", lambda: verdict(kubernetes, "Ready")[0] is not None, timeout=SOON)
    assert verdict(kubernetes, "ModelsServed") == ("True", "Served")
    assert events(kubernetes, "PodUnreachable") == []
    after = kubernetes.get("modelserver", "server")["status"]
    assert transition(after, "ModelsServed") == transition(before, "ModelsServed")


def transition(status: dict, kind: str) -> str:
    (found,) = [c["lastTransitionTime"] for c in status["conditions"] if c["type"] == kind]
    return found


def test_a_pod_of_an_earlier_template_is_asked_on_its_own_port(kubernetes: Kubernetes, start: Start):
    ready(start, kubernetes)

    patch(kubernetes, "modelserver/server", {"spec": {"ports": {"status": free_port()}}})

    until("the roll", lambda: verdict(kubernetes, "Ready") == ("False", "RollingOut"), timeout=SOON)
    assert verdict(kubernetes, "ModelsServed") == ("True", "Served")
    kubernetes.kubectl("label", "modelserver", "server", "wake=up")
    patch(kubernetes, "modelserver/server", {"spec": {"hint": "LATENCY"}})
    # Its answer is from this generation: it still serves what was configured before.
    until(
        "the old pod's answer",
        lambda: verdict(kubernetes, "ModelsServed") == ("False", "OldConfiguration"),
        timeout=SOON,
    )
    assert events(kubernetes, "PodUnreachable") == []


def test_a_roll_is_not_ready_before_the_new_pod_has_been_asked(kubernetes: Kubernetes, start: Start):
    """The new pod becomes ready, the old one leaves, and the new server is slow to tell of its error."""
    old = ready(start, kubernetes)
    with slow_server(kubernetes, error="the file is gone") as port:
        change = {"spec": {"ports": {**ports(), "status": port}}}
        patch(kubernetes, "modelserver/server", change)
        new = until("a new pod", lambda: other_pod(kubernetes, old.name), timeout=20)

        report(kubernetes, new, "True")

        until("the old pod is gone", lambda: not has_pod(kubernetes, old.name), timeout=20)
        until(
            "the error is reported",
            lambda: verdict(kubernetes, "Ready") == ("False", "ModelNotServed"),
            timeout=20,
        )
    # One for the first generation, none for this one.
    assert len(events(kubernetes, "Ready")) == 1


def other_pod(kubernetes: Kubernetes, name: str) -> str | None:
    names = [pod["metadata"]["name"] for pod in kubernetes.items("pods")]
    return next((one for one in names if one != name), None)


def has_pod(kubernetes: Kubernetes, name: str) -> bool:
    return name in [pod["metadata"]["name"] for pod in kubernetes.items("pods")]


@contextlib.contextmanager
def slow_server(kubernetes: Kubernetes, **model) -> Iterator[int]:
    """Answers after 1.5 s, for the revision of the object's ConfigMap."""
    document = server_report(revision(kubernetes), **model)
    document["models"][0]["name"] = "dummy"
    body = json.dumps(document).encode()

    async def respond(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1.5)
        await whole(body)(writer)

    started, ended = threading.Event(), asyncio.Event()
    found: list[int] = []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with status_port(respond) as port:
            found.append(port)
            started.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    try:
        assert started.wait(5)
        yield found[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
        loop.close()


def test_a_server_that_is_behind_is_nudged_again_although_its_pod_has_the_right_annotation(
    kubernetes: Kubernetes, start: Start, tmp_path: Path
):
    """The configuration changed and changed back before the kubelet had brought the first change."""
    pod = ready(start, kubernetes)
    wanted = revision(kubernetes)
    kubernetes.kubectl("annotate", "pod", pod.name, f"modelserver.dev/revision={wanted}")
    content = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "late.json").write_text(json.dumps({**content, "revision": "in-between"}))
    (tmp_path / "late.json").rename(tmp_path / "config.json")
    until("the server has it", lambda: json.loads(pod.status())["revision"] == "in-between", timeout=SOON)
    before = kubernetes.get("pod", pod.name)["metadata"]["resourceVersion"]

    kubernetes.kubectl("label", "modelserver", "server", "wake=up")

    def nudged() -> bool:
        metadata = kubernetes.get("pod", pod.name)["metadata"]
        is_right = metadata["annotations"].get("modelserver.dev/revision") == wanted
        return is_right and metadata["resourceVersion"] != before

    until("the kubelet is nudged", nudged, timeout=30)
    pod.bring_configuration()
    until("it is ready", lambda: verdict(kubernetes, "Ready") == ("True", "Ready"), timeout=30)


def test_a_restart_of_the_operator_withdraws_no_verdict(kubernetes: Kubernetes, start: Start, operator):
    ready(start, kubernetes)
    until("nothing moves any more", lambda: version(kubernetes) == version(kubernetes, after=1), timeout=20)
    before = version(kubernetes)

    assert operator.stop() == 0
    operator.start("--cpu-image=modelserver:test")
    kubernetes.kubectl("scale", "modelserver/server", "--replicas=0")

    until("it is carried out", lambda: verdict(kubernetes, "Ready") == ("True", "ScaledToZero"), timeout=SOON)
    assert len(events(kubernetes, "Ready")) == 1
    assert int(version(kubernetes)) > int(before)


def version(kubernetes: Kubernetes, after: float = 0) -> str:
    time.sleep(after)
    return kubernetes.get("modelserver", "server")["metadata"]["resourceVersion"]
