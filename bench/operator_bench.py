"""`make bench-operator`: how fast the operator is, and what it costs, with one object and with a thousand.

Beside it on the same cores are etcd, the API server, the controller manager, and the client that creates the
objects. There is no node: pods stay Pending, until the benchmark reports 1000 of them as ready, behind whose
address one real server answers. CPU and memory are those of the operator's process alone.

Writes bench/results/<date>-operator.json and its table in docs/performance.md. `--long` adds 5000 objects.
"""

import argparse
import contextlib
import json
import queue
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine, models, peers, render, revision
from bench.apiserver import CHILDREN, OBJECTS, PODS, ApiServer, Raw, Seen
from bench.operator_program import Program, beside_an_api_server, children, until
from bench.operator_scale import endpoint
from devcluster.host.ports import free

RESULTS = Path(__file__).with_name("results")
SINGLE = 20
MANY, LONG = 1000, 5000
EACH = 6
"""Children of an object: two Services, and the template that is kept."""
MODEL = "model"
TIME = "2026-01-01T00:00:00Z"
LIMIT = 900
REST_LIMIT = 3600
"""Pods and the status of their Deployments follow slowly for 5000 objects, and each changes a status."""
CORE = 0


@dataclass(frozen=True)
class Bench:
    """What one run uses."""

    program: Program
    api: ApiServer
    directory: Path
    ports: dict[str, int]
    seconds: int
    """How long a state at rest is looked at."""

    def body(self, name: str, **spec: Any) -> Raw:
        model = {"name": MODEL, "uri": (self.directory / MODEL).as_uri()}
        return {
            "apiVersion": "modelserver.dev/v1alpha1", "kind": "ModelServer", "metadata": {"name": name},
            "spec": {"models": [model], "ports": self.ports, **spec},
        }  # fmt: skip

    def create(self, name: str, **spec: Any) -> None:
        self.api.ask("POST", OBJECTS, self.body(name, **spec))

    def change(self, name: str, **spec: Any) -> Raw:
        changed: Raw = self.api.patch(f"{OBJECTS}/{name}", {"spec": spec})
        return changed


def one(bench: Bench) -> dict[str, Any]:
    """Milliseconds, each `SINGLE` times, one after the other; the first object waits for the Lease."""
    found: dict[str, list[float]] = {"children": [], "applied": [], "back": []}
    with bench.api.watched() as seen:
        bench.create("first")
        _applied(seen, "first", 1)
        for number in range(SINGLE):
            name = f"one-{number}"
            began = time.monotonic()
            bench.create(name)
            found["children"].append(_all_children(seen, name) - began)
            _applied(seen, name, 1)
            began = time.monotonic()
            generation = bench.change(name, pollIntervalSeconds=7)["metadata"]["generation"]
            found["applied"].append(_applied(seen, name, generation) - began)
            found["back"].append(_back(bench.api, seen, name))
    bench.api.ask("DELETE", OBJECTS)
    until("they are gone", lambda: not children(bench.api), LIMIT)
    return {
        name: {"p50": _percentile(times, 0.5), "p95": _percentile(times, 0.95), "all": _ms(times)}
        for name, times in found.items()
    }


def _all_children(seen: "queue.Queue[Seen]", name: str) -> float:
    """When the last of them was reported."""
    return max(
        _next(seen, lambda event: event.change == "ADDED" and event.kind in CHILDREN and _is_of(event, name))
        for _ in range(EACH)
    )


def _applied(seen: "queue.Queue[Seen]", name: str, generation: int) -> float:
    def holds(event: Seen) -> bool:
        said: list[Raw] = (event.body.get("status") or {}).get("conditions") or []
        applied: Raw = next((item for item in said if item["type"] == "Applied"), {})
        is_said = (applied.get("status"), applied.get("observedGeneration")) == ("True", generation)
        return event.kind == "ModelServer" and event.name == name and is_said

    return _next(seen, holds)


def _back(api: ApiServer, seen: "queue.Queue[Seen]", name: str) -> float:
    """The seconds for which a Service is missing."""
    began = time.monotonic()
    api.ask("DELETE", f"{CHILDREN['Service']}/{name}")
    is_back = ("Service", "ADDED", name)
    return _next(seen, lambda event: (event.kind, event.change, event.name) == is_back) - began


def _next(seen: "queue.Queue[Seen]", holds: Callable[[Seen], bool]) -> float:
    while True:
        event = seen.get(timeout=60)
        if holds(event):
            return event.at


def _is_of(event: Seen, name: str) -> bool:
    return bool(event.body["metadata"]["labels"]["app.kubernetes.io/instance"] == name)


def together(bench: Bench, count: int) -> dict[str, Any]:
    """All together: until each has its children and its first status, and until nothing more is written."""
    program, api = bench.program, bench.api
    before, cpu = program.writes(), program.cpu()
    with api.watched() as seen:
        began = time.monotonic()
        api.together(bench.create, [f"many-{number}" for number in range(count)])
        created = time.monotonic() - began
        have_children, have_status = _complete(seen, count)
    spent = program.cpu() - cpu
    program.rest(REST_LIMIT)
    writes = {name: round((n - before[name]) / count, 2) for name, n in program.writes().items()}
    return {
        "objects": count, "seconds_to_create": round(created, 1),
        "seconds_to_children": round(have_children - began, 1),
        "seconds_to_status": round(have_status - began, 1),
        "cpu_seconds": round(spent, 2), "cpu_seconds_until_rest": round(program.cpu() - cpu, 2),
        "seconds_until_rest": round(time.monotonic() - began, 1),
        "writes_each": writes, "peak_mib": program.peak_mib(),
    }  # fmt: skip


def _complete(seen: "queue.Queue[Seen]", count: int) -> tuple[float, float]:
    """When the last of their children was reported, and when the last of them had a status.

    By watches: to list 30,000 children again and again costs the API server more than the operator does.
    """
    found: dict[bool, set[tuple[str, str]]] = {True: set(), False: set()}
    at = {True: 0.0, False: 0.0}
    while len(found[True]) < EACH * count or len(found[False]) < count:
        event = seen.get(timeout=60)
        is_child, key = event.kind in CHILDREN, (event.kind, event.name)
        if key not in found[is_child] and (is_child or _has_status(event.body)):
            found[is_child].add(key)
            at[is_child] = event.at
    return at[True], at[False]


def _has_status(body: Raw) -> bool:
    return bool((body.get("status") or {}).get("conditions"))


def _is_ready(body: Raw) -> bool:
    """Ready for what it asks now."""
    status = body.get("status") or {}
    said = {item["type"]: item["status"] for item in status.get("conditions") or []}
    is_about_now = status.get("observedGeneration") == body["metadata"]["generation"]
    return bool(is_about_now and said["Ready"] == "True")


def at_rest(bench: Bench) -> dict[str, Any]:
    """What is spent while nothing changes."""
    program = bench.program
    program.rest(LIMIT)
    before, cpu, passes, began = program.writes(), program.cpu(), program.passes(), time.monotonic()
    time.sleep(bench.seconds)
    spent, seconds = program.cpu() - cpu, time.monotonic() - began
    return {
        "seconds": round(seconds, 1), "cpu_percent": round(100 * spent / seconds, 2),
        "writes": sum(program.writes().values()) - sum(before.values()), "passes": program.passes() - passes,
    }  # fmt: skip


@contextlib.contextmanager
def _ready(bench: Bench, name: str) -> Iterator[int]:
    """Every pod is reported as ready, and its server answers: one real server for all of them.

    With the configuration of the object of this name, which is that of all; gives the number of pods.
    """
    api, config = bench.api, bench.directory / "config.json"
    config_map = api.ask("GET", f"{CHILDREN['ConfigMap']}/{name}-config")
    config.write_text(config_map["data"]["config.json"])
    options = ("--status_port", str(bench.ports["status"]))
    with peers.ours(bench.directory / MODEL, bench.directory, *options, core=CORE, config=config):
        pods = [item["metadata"]["name"] for item in api.ask("GET", f"{PODS}?{_OWN_PODS}")["items"]]
        api.together(lambda name: api.patch(f"{PODS}/{name}/status", {"status": _RUNNING}), pods)
        until("all are ready", lambda: all(map(_is_ready, api.objects())), LIMIT)
        yield len(pods)


def answering(bench: Bench) -> dict[str, Any]:
    """What is spent while all servers answer and nothing changes."""
    api = bench.api
    with _ready(bench, "many-0") as pods:
        found = at_rest(bench)
        api.together(lambda body: bench.change(body["metadata"]["name"], replicas=0), api.objects())
        until("no pod", lambda: not api.ask("GET", f"{PODS}?limit=1&{_OWN_PODS}")["items"], LIMIT)
    return {"pods": pods, **found}


def scale(bench: Bench) -> dict[str, Any]:
    """What KEDA's questions cost; the objects are deleted afterwards."""
    found = endpoint(bench.program, bench.api, bench.create, lambda: _ready(bench, "scaled-0"), bench.seconds)
    delete(bench)
    return found


_OWN_PODS = "labelSelector=app.kubernetes.io/name%3Dmodelserver"
_RUNNING: Raw = {
    "phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}],
    "conditions": [
        {"type": kind, "status": "True", "lastTransitionTime": TIME} for kind in ("Ready", "ContainersReady")
    ],
}  # fmt: skip


def restart(bench: Bench, count: int) -> dict[str, Any]:
    """From the start of the process until each object had its pass and nothing more is due."""
    program = bench.program
    program.stop()
    program.start()
    until("a pass for each", lambda: program.passes() >= count, LIMIT)
    settled, cpu = time.monotonic() - program.began, program.cpu()
    program.rest(LIMIT)
    return {
        "seconds": round(settled, 1), "cpu_seconds": round(cpu, 2), "writes": program.writes(),
        "cpu_seconds_until_rest": round(program.cpu(), 2), "passes": program.passes(),
        "peak_mib": program.peak_mib(),
    }  # fmt: skip


def delete(bench: Bench) -> dict[str, Any]:
    """Until the garbage collector has taken the last child."""
    program, began, cpu = bench.program, time.monotonic(), bench.program.cpu()
    while bench.api.objects():
        with contextlib.suppress(RuntimeError):  # thousands take longer than the 60 s that a request may take
            bench.api.ask("DELETE", OBJECTS)
    gone = until("all are gone", lambda: not children(bench.api), LIMIT)
    return {"seconds": round(gone - began, 1), "cpu_seconds": round(program.cpu() - cpu, 2)}


def _ms(times: list[float]) -> list[float]:
    return [round(1000 * seconds, 1) for seconds in times]


def _percentile(times: list[float], share: float) -> float:
    ordered = _ms(sorted(times))
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure(bench: Bench, rows: dict[str, Any], count: int, *, is_long: bool) -> None:
    """Adds all rows, one after the other."""

    def note(name: str, work: Callable[[], dict[str, Any]]) -> None:
        rows[name] = work()
        shown = {key: value for key, value in rows[name].items() if key != "all"}
        print(f"{name:10} {json.dumps(shown)}", flush=True)

    note("one", lambda: one(bench))
    note("together", lambda: together(bench, count))
    note("answering", lambda: answering(bench))
    note("settled", lambda: at_rest(bench))
    note("restart", lambda: restart(bench, count))
    note("delete", lambda: delete(bench))
    note("scale", lambda: scale(bench))
    if is_long:
        note("long", lambda: together(bench, LONG))
        note("long_restart", lambda: restart(bench, LONG))
        note("long_delete", lambda: delete(bench))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=MANY)
    parser.add_argument("--seconds", type=int, default=120, help="how long a state at rest is looked at")
    parser.add_argument("--long", action="store_true", help=f"also {LONG} objects")
    parser.add_argument("--save", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    document: dict[str, Any] = {"machine": machine.facts(), "revision": revision.of_measured(), "rows": {}}
    try:
        _run(options, document["rows"])
    finally:  # a row that fails costs none of those before it
        if options.save:
            file = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-operator.json"
            file.write_text(json.dumps(document, indent=1) + "\n")
            render.write(document, "operator", file)


def _run(options: argparse.Namespace, rows: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-operator-") as name:
        directory = Path(name)
        models.save(models.dummy(), directory / MODEL)
        ports = dict(zip(("grpc", "rest", "status"), free(3), strict=True))
        with beside_an_api_server(directory) as (program, api):
            bench = Bench(program, api, directory, ports, options.seconds)
            measure(bench, rows, options.objects, is_long=options.long)


if __name__ == "__main__":
    main()
