"""`make bench-compare BASE=COMMIT`: the server of the working tree next to that of a commit.

CPU time per request of the 1x10 model over REST and gRPC, and in a loop without sockets; interleaved, with
new processes in every round, and with a second copy of the commit that shows the noise. Exits with 1 if a row
is worse. Writes bench/results/<date>-compare-<commit>.json.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench import answers, checkouts, machine, models, payloads, ratios, revision, tools
from bench.checkouts import Checkout
from bench.load import Caller, Point
from bench.peers import Peer

RESULTS = Path(__file__).with_name("results")
LOOP = Path(__file__).with_name("loop.py")
CALLERS = 8
WARM_UP_SECONDS = 1
MARGIN_SECONDS = 90
ARRAY = np.arange(10, dtype=np.float32).reshape(1, 10)
Figures = dict[str, dict[str, float]]
"""Microseconds by case and by who it is."""


@dataclass(frozen=True)
class Run:
    """Where one run works, and with what."""

    directory: Path
    model: Path
    requests: answers.Requests
    caller: Callable[[int], Caller]
    """For this many seconds."""

    def cases(self, peer: Peer, seconds: int) -> Mapping[str, Callable[[], Point]]:
        """Every way to load this server."""
        caller, requests = self.caller(seconds), self.requests
        return {
            "REST JSON": lambda: caller.rest(peer.pid, peer.infer_url, requests.text),
            "REST binary": lambda: caller.rest(peer.pid, peer.infer_url, requests.binary),
            "gRPC raw": lambda: caller.grpc(peer.pid, peer.address, requests.message),
        }


def measure(run: Run, whose: Mapping[str, Checkout], seconds: int) -> Figures:
    """One round. `whose` is in the order in which they take their turns."""
    figures: Figures = {}
    with contextlib.ExitStack() as stack:
        peers = {
            who: stack.enter_context(one.serving(run.model, run.directory)) for who, one in whose.items()
        }
        for peer in peers.values():
            answers.check(peer, run.requests, ARRAY + 1)
        for case in run.cases(next(iter(peers.values())), seconds):
            for peer in peers.values():
                run.cases(peer, WARM_UP_SECONDS)[case]()
            figures[case] = {who: _cpu(run.cases(peer, seconds)[case]()) for who, peer in peers.items()}
    for who, one in whose.items():
        for case, microseconds in _loop(run, one, seconds).items():
            figures.setdefault(f"loop, {case}", {})[who] = microseconds
    return figures


def _cpu(point: Point) -> float:
    if point.failed or not point.replies:
        raise RuntimeError(f"{point.failed} failed and {point.replies} good replies")
    return point.cpu_us


def _loop(run: Run, checkout: Checkout, seconds: int) -> dict[str, float]:
    result, log = run.directory / "loop.json", run.directory / "loop.log"
    arguments = [str(run.model), run.model.name, str(run.requests.message.file), str(seconds), str(result)]
    command = [str(checkout.python), "-P", str(LOOP), *arguments]
    result.unlink(missing_ok=True)
    with log.open("w") as output:
        done = subprocess.run(
            command, env=checkout.environment, stdout=output, stderr=subprocess.STDOUT,
            timeout=seconds + MARGIN_SECONDS, check=False,
        )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{checkout.root}: {log.read_text()[-3000:]}")
    found: dict[str, float] = json.loads(result.read_text())
    return found


def rounds(run: Run, whose: Mapping[str, Checkout], count: int, seconds: int) -> list[Figures]:
    """Each round begins with another one, so that no place in the round is anybody's."""
    names, found = list(whose), []
    for number in range(count):
        turn = number % len(names)
        order = names[turn:] + names[:turn]
        figures = measure(run, {who: whose[who] for who in order}, seconds)
        found.append(figures)
        words = [
            f"{case} {one[ratios.TREE] / one[ratios.BASE]:.3f} ({one[ratios.AGAIN] / one[ratios.BASE]:.3f})"
            for case, one in figures.items()
        ]
        print(f"{number + 1:3}  {'; '.join(words)}", flush=True)
    return found


def prepared(directory: Path) -> Run:
    """Model and requests."""
    programs = tools.prepare()
    model = models.save(models.dummy(), directory / "dummy")
    requests = answers.Requests(
        payloads.as_json(directory / "dummy.json", "b", ARRAY),
        payloads.as_binary(directory / "dummy.bin", "b", ARRAY),
        payloads.as_grpc(directory / "dummy.pb", model.name, "b", ARRAY),
    )
    return Run(
        directory, model, requests, lambda seconds: Caller(programs.wrk, programs.ghz, CALLERS, seconds)
    )


def compare(base: str, count: int, seconds: int) -> dict[str, Any]:
    """Everything that was measured, and what it says."""
    facts = machine.facts()
    with tempfile.TemporaryDirectory(prefix="compare-") as name, checkouts.of_commit(base) as old:
        new = checkouts.working_tree()
        for one in (old, new):
            one.require_own()
        whose = {ratios.BASE: old, ratios.TREE: new, ratios.AGAIN: old}
        found = rounds(prepared(Path(name)), whose, count, seconds)
    return {
        "machine": facts, "busy_after": machine.busy_share(2.0), "base": base, "tree": revision.commit(),
        "code": revision.of_measured(), "seconds": seconds, "rounds": found,
        "own_environment": old.python != new.python,
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=revision.commit, help="the commit to compare with")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=3, help="per point")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 1 s: a hint; nothing is written")
    options = parser.parse_args()
    count, seconds = (3, 1) if options.quick else (options.rounds, options.seconds)
    document = compare(options.base, count, seconds)
    found = ratios.rows(document["rounds"])
    document["rows"] = ratios.verdicts(found)
    print(f"\nbase {options.base}, tree {document['tree']}, {count} rounds of {seconds} s;"
          f" others kept {document['machine']['busy_before']:.0%} of the machine busy before the run"
          f" and {document['busy_after']:.0%} after it\n\n{ratios.table(found)}")  # fmt: skip
    if not options.quick:
        file = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-compare-{document['tree']}.json"
        file.write_text(json.dumps(document) + "\n")
        print(f"\n==> {file.relative_to(revision.ROOT)}")
    return 0 if all(row.is_not_worse for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
