"""Runs the cases of a lane with one operator, and says what became of each."""

import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.harms import Case, set_clock
from tests.chaos.running import Scene, Stage

END_SECONDS = 120.0
LANES = 6
"""At the same time: each has a process that takes two seconds of CPU to start."""
UNDISTURBED = "undisturbed"
Outcomes = dict[str, str]
"""By the name of a case; empty when it held."""


def run(stage: Stage, cases: Iterable[Case], seconds: float = END_SECONDS) -> Outcomes:
    """All of these cases; the undisturbed ones come first because the others wait for them."""
    lanes: dict[str, list[Case]] = {}
    for case in cases:
        lanes.setdefault(case.lane, []).append(case)
    for step in {case.step for lane in lanes.values() for case in lane}:
        stage.baselines.setdefault(step, Future())
    outcomes: Outcomes = {}
    with ThreadPoolExecutor(LANES) as pool:
        for found in pool.map(lambda lane: run_lane(stage, lane, seconds), sorted(lanes.values(), key=_rank)):
            outcomes |= found
    return outcomes


def _rank(lane: list[Case]) -> int:
    """What others wait for, then what takes longest."""
    name = lane[0].lane
    return 0 if name == UNDISTURBED else 1 if "never" in name or lane[0].is_kill() else 2


def need(stage: Stage, steps: Iterable[str], cases: Iterable[Case]) -> None:
    """Run what these steps are compared with, unless it has been."""
    absent = {step for step in steps if step not in stage.baselines}
    run(stage, [case for case in cases if case.lane == UNDISTURBED and case.step in absent])


def run_lane(stage: Stage, cases: list[Case], seconds: float, source: Path | None = None) -> Outcomes:
    """Cases of one lane, together or, where they kill, one after the other."""
    try:
        return _run_lane(stage, cases, seconds, source)
    except Exception:  # noqa: BLE001 - whatever it is, it belongs to these cases
        text = traceback.format_exc()
        return {case.name: f"{case.name}: the operator did not start\n{text}" for case in cases}
    finally:
        for case in cases:
            if case.lane == UNDISTURBED and not stage.baselines[case.step].done():
                stage.baselines[case.step].set_exception(AssertionError(f"no undisturbed {case.step}"))
        stage.api.close()


def _run_lane(stage: Stage, cases: list[Case], seconds: float, source: Path | None) -> Outcomes:
    worlds = [stage.world() for _ in cases]
    options: dict[str, Any] = {**cases[0].options, **({"source": source} if source else {})}
    clock = None
    if (offset := options.pop("clock", None)) is not None:
        clock = stage.directory / f"clock-{worlds[0].namespace}"
        set_clock(clock, offset)
        options["environment"] = {"LD_PRELOAD": str(stage.clock()), "CLOCK_OFFSET": str(clock)}
    with stage.container(worlds, worlds[0].namespace, **options) as container:
        container.await_start()
        scenes = [
            Scene(world, stage.proxy, container, case.step, seconds, stage.baselines, clock=clock)
            for world, case in zip(worlds, cases, strict=True)
        ]
        lane = _Lane(stage, [_Run(case, scene) for case, scene in zip(cases, scenes, strict=True)])
        return lane.run()


@dataclass
class _Run:
    case: Case
    scene: Scene
    outcome: str = ""


@dataclass
class _Lane:
    stage: Stage
    runs: list[_Run]
    pool: ThreadPoolExecutor = field(init=False)

    def run(self) -> Outcomes:
        with ThreadPoolExecutor(len(self.runs)) as pool:
            list(pool.map(lambda run: self._attempt(run, run.scene.prepare), self.runs))
            if all(run.case.is_kill() for run in self.runs):
                list(pool.map(lambda pair: self._rest(*pair), self._in_turn()))
            else:
                list(pool.map(lambda run: self._rest(run, self._play(run)), self.runs))
        return {run.case.name: run.outcome for run in self.runs}

    def _in_turn(self) -> Iterable[tuple[_Run, float | None]]:
        for run in self.runs:
            yield run, self._play(run)

    def _play(self, run: _Run) -> float | None:
        return self._attempt(run, lambda: run.case.play(run.scene))

    def _rest(self, run: _Run, end: float | None) -> None:
        if end is not None:
            self._attempt(run, lambda: run.scene.await_rest(end))

    def _attempt(self, run: _Run, work: Callable[[], float | None]) -> float | None:
        """Do it unless something went wrong before."""
        if run.outcome:
            return None
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - the outcome of this case
            run.outcome = _report(run, error)
            return None
        finally:
            self.stage.api.close()


def _report(run: _Run, error: BaseException) -> str:
    """What went wrong, the requests that led to it, and what the operator said about it."""
    scene = run.scene
    traffic = [
        f"{item.asked.at - scene.begun:7.2f} {item.asked} -> {item.status}"
        f"{'' if item.is_carried_out else ' (not carried out)'}"
        for item in scene.proxy.seen(scene.namespace)
        if item.asked.verb not in {"list", "watch"} and item.asked.resource != "leases"
    ]
    log = [line[:400] for line in scene.container.log.read_text().splitlines() if scene.namespace in line]
    parts = (
        f"{run.case.name}: {type(error).__name__}: {error}",
        f"requests in {scene.namespace}:",
        *traffic[-40:],
        "log:",
        *log[-12:],
    )
    return "\n".join(parts)
