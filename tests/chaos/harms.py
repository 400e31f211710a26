"""What a case does to the operator while a step is made, and what it claims about the end."""

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.running import Baseline, Scene, count_of_children
from tests.chaos.traffic import REFUSAL, Fault, Lines, Rule
from tests.support.waiting import until

FAULT_SECONDS = 4.0
WINDOW_SECONDS = 20.0
MOST_ATTEMPTS = 15
"""In that window: what fails is tried again after 2, 4, 8, … s, and whenever something else is new."""
HOUR = 3600
_KINDS = {
    "controllerrevisions": ("ControllerRevision", "server-"),
    "serviceaccounts": ("ServiceAccount", "server"),
    "configmaps": ("ConfigMap", "server-config"),
    "services": ("Service", "server"),
    "deployments": ("Deployment", "server"),
    "poddisruptionbudgets": ("PodDisruptionBudget", "server"),
    "horizontalpodautoscalers": ("HorizontalPodAutoscaler", "server"),
}
Play = Callable[[Scene], float | None]
"""Gives the moment from which nothing may be written; None where the case says nothing about that."""


@dataclass(frozen=True)
class Case:
    name: str
    step: str
    play: Play
    lane: str
    """Cases of one lane share an operator; those of a lane of kills take turns."""
    is_sampled: bool = False
    """Whether `make test` runs it too."""
    options: dict[str, Any] = field(default_factory=dict)
    """For the operator."""

    def is_kill(self) -> bool:
        return self.lane.startswith("kill")


def undisturbed(scene: Scene) -> float:
    """What all other cases are compared with."""
    result = scene.baselines[scene.step]
    try:
        scene.act()
        moment, state = scene.await_standstill()
        conditions = state.get("object", {}).get("status", {}).get("conditions", [])
        assert not conditions or "True" in [c["status"] for c in conditions if c["type"] == "Applied"], state
        result.set_result(Baseline(state, tuple(scene.writes())))
    except BaseException as error:
        result.set_exception(error)
        raise
    return moment


def refused(fault: Fault, verbs: set[str], resources: set[str] | None = None) -> Play:
    """Requests of one kind meet a fault for a while."""

    def play(scene: Scene) -> float:
        rule = Rule(fault, scene.namespace, frozenset(verbs), frozenset(resources or ()))
        scene.proxy.rules.append(rule)
        if "watch" in verbs:
            scene.proxy.cut_watches(scene.namespace)
        scene.act()
        _meet(scene, rule)
        return scene.await_end()

    return play


def refused_at_the_start(fault: Fault) -> Play:
    """The operator comes back while it cannot list anything."""

    def play(scene: Scene) -> float:
        rule = Rule(fault, scene.namespace, frozenset({"list"}))
        scene.proxy.rules.append(rule)
        scene.container.kill()
        scene.act()
        _meet(scene, rule)
        return scene.await_end()

    return play


def upgraded_unseeing(fault: Fault) -> Play:
    """The next release comes while it cannot list children: it replaces no pod, for templates are kept."""

    def play(scene: Scene) -> float:
        rule = Rule(fault, scene.namespace, frozenset({"list"}), frozenset(_KINDS))
        scene.proxy.rules.append(rule)
        scene.container.image = "modelserver:next"
        scene.container.kill()
        scene.act()
        _meet(scene, rule)

        def is_judged() -> bool:
            return bool(((scene.world.object() or {}).get("status") or {}).get("upgradeAvailable"))

        until("status.upgradeAvailable", is_judged, timeout=scene.seconds)
        scene.await_quiet()
        assert count_of_children(scene.writes()) == 0, [str(item.asked) for item in scene.writes()]
        return time.monotonic()

    return play


def _meet(scene: Scene, rule: Rule) -> None:
    until(f"a request that is {rule.fault}", lambda: rule.hits, timeout=40)
    time.sleep(FAULT_SECONDS)  # how long the fault lasts
    scene.proxy.rules.remove(rule)


def reported(lines: Lines, *, is_exact: bool = True) -> Play:
    """The events of all watches of the namespace are harmed, `is_exact`: without a write more for it."""

    def play(scene: Scene) -> float:
        scene.proxy.lines[scene.namespace] = lines
        scene.act()
        time.sleep(FAULT_SECONDS)  # how long the fault lasts
        del scene.proxy.lines[scene.namespace]
        end = scene.await_end()
        if is_exact:
            _compare_writes(scene, more=0)
        return end

    return play


def _compare_writes(scene: Scene, more: int) -> None:
    writes = [item for item in scene.writes() if item.is_carried_out]
    usual = scene.baseline().child_writes()
    assert count_of_children(writes) <= usual + more, (
        f"not {usual}: {', '.join(str(w.asked) for w in writes)}"
    )


def killed(fault: Fault, verb: str, resource: str, after: int = 0) -> Play:
    """The operator dies around one write."""

    def play(scene: Scene) -> float:
        rule = Rule(
            fault, scene.namespace, frozenset({verb}), frozenset({resource}), after, scene.container.kill
        )
        scene.proxy.rules.append(rule)
        scene.act()
        until(f"the write at which it is {fault}", lambda: rule.hits, timeout=40)
        scene.proxy.rules.remove(rule)
        end = scene.await_end()
        _compare_writes(scene, more=1)
        return end

    return play


def killed_around(*, is_before: bool, is_exact: bool) -> Play:
    """For a step whose writes, if any, depend on how fast Kubernetes collects what is gone."""

    def play(scene: Scene) -> float:
        if is_before:
            scene.container.kill()
        scene.act()
        if not is_before:
            scene.container.kill()
        end = scene.await_end()
        if is_exact:
            _compare_writes(scene, more=0)
        return end

    return play


def off(seconds: int) -> Play:
    """The clock goes to another time during the step, if it is not there already."""

    def play(scene: Scene) -> float:
        assert scene.clock is not None
        set_clock(scene.clock, seconds)
        scene.act()
        return scene.await_end()

    return play


def set_clock(path: Path, seconds: int) -> None:
    """The file that clock.c reads."""
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.write(struct.pack("q", seconds))
        file.truncate(4096)


def refused_for_ever(
    fault: Fault, verb: str, resource: str, word: str, untouched: frozenset[str] = frozenset()
) -> Play:
    """The condition names what is refused, attempts become rare, and what depends on it waits."""
    kind, name = _KINDS[resource]

    def play(scene: Scene) -> None:
        rule = Rule(fault, scene.namespace, frozenset({verb, "try"}), frozenset({resource}))
        scene.proxy.rules.append(rule)
        scene.act()

        def said() -> str:
            found = scene.world.condition("Applied")
            return found.get("message", "") if found.get("reason") == "Refused" else ""

        message = until("Applied says it", said, timeout=40)
        cause = REFUSAL if fault.value.isdigit() else "no answer from the API server"
        assert f"{word} {kind} {name}" in message, message
        assert cause in message, message
        ready = scene.world.condition("Ready")
        assert (ready["status"], ready["reason"], ready["message"]) == ("False", "Refused", message)
        _watch_attempts(rule)
        touched = [str(item.asked) for item in scene.writes() if item.is_carried_out]
        assert not [one for one in touched if set(one.split()) & untouched], touched

    return play


def status_refused_for_ever(fault: Fault) -> Play:
    """Nobody can be told, but the children are made."""

    def play(scene: Scene) -> None:
        rule = Rule(fault, scene.namespace, frozenset({"patch"}), frozenset({"modelservers/status"}))
        scene.proxy.rules.append(rule)
        scene.act()
        until("it is tried", lambda: rule.hits, timeout=20)
        _watch_attempts(rule)
        state = scene.world.state()
        assert {key for key in state if key != "object"} == {
            key for key in scene.baseline().state if key != "object"
        }

    return play


def lease_lost(fault: Fault) -> Play:
    """The Lease cannot be renewed until it has run out: nothing is written until it can be again."""

    def play(scene: Scene) -> float:
        rule = Rule(fault, scene.namespace, frozenset({"get", "update", "create"}), frozenset({"leases"}))
        scene.proxy.rules.append(rule)
        until("it has run out", lambda: scene.namespace not in scene.container.leads(), timeout=20)
        scene.act()
        time.sleep(FAULT_SECONDS)  # how long the fault lasts
        assert rule.hits
        scene.proxy.rules.remove(rule)
        assert scene.writes() == []
        return scene.await_end()

    return play


def _watch_attempts(rule: Rule) -> None:
    before = len(rule.hits)
    time.sleep(WINDOW_SECONDS)  # the length of the window is what is asserted
    assert len(rule.hits) - before <= MOST_ATTEMPTS, (
        f"{len(rule.hits) - before} attempts in {WINDOW_SECONDS} s"
    )
