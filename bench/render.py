"""Tables of docs/performance.md from raw results: medians of the rounds, ratios within a round."""

import json
import re
import sys
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
BASES = {"1x10, REST JSON": "KServe", "1x10, REST binary": "KServe", "1x10, gRPC raw": "KServe",
         "ResNet-50-shaped": "benchmark_app", "224x224x3 image": "binary extension"}  # fmt: skip
"""What each case is compared with."""
Rows = list[dict[str, Any]]


def write(document: dict[str, Any], mark: str, source: Path) -> None:
    """Put what a document says between its marks in the page."""
    begin, end = f"<!-- {mark} begin -->", f"<!-- {mark} end -->"
    shown = {"quick": tables, "soak": endurance, "operator": operator_table, "test-long": long_tests}
    text = shown[mark](document)
    body = f"{begin}\n{_machine(document['machine'])} Raw: `{source.relative_to(ROOT)}`.\n\n{text}\n{end}"
    page = PAGE.read_text()
    if begin not in page:
        raise ValueError(f"{PAGE} has no place marked {begin}")
    PAGE.write_text(re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: body, page, flags=re.DOTALL))


def _machine(facts: dict[str, Any]) -> str:
    governor = facts["governor"] or "not readable"
    return (
        f"{facts['time'][:10]}: {facts['cores']} cores of {facts['cpu']}, shared with other work"
        f" ({facts['busy_before']:.0%} busy before the run), governor {governor}, OpenVINO"
        f" {facts['versions']['openvino']}."
    )


def tables(document: dict[str, Any]) -> str:
    """One table for all cases."""
    points: Rows = document["points"]
    lines = [
        "| case | who | request bytes | CPU per request, µs | ratio, rounds | requests/s | p50 ms | p99 ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case, who in dict.fromkeys((one["case"], one["who"]) for one in points):
        lines.append(_line(case, who, _of(points, case, who), _of(points, case, BASES[case])))
    failed = sum(one["failed"] for one in points)
    return "\n".join([*lines, "", f"Failed replies in the whole run: {failed}."])


def _of(points: Rows, case: str, who: str) -> Rows:
    return [one for one in points if one["case"] == case and one["who"] == who]


def _line(case: str, who: str, rows: Rows, base: Rows) -> str:
    ratios = [mine["cpu_us"] / theirs["cpu_us"] for mine, theirs in zip(rows, base, strict=True)]
    shown = f"**{median(ratios):.2f}** ({'/'.join(f'{ratio:.2f}' for ratio in ratios)})"
    middle = {key: median(row[key] for row in rows) for key in ("cpu_us", "per_second", "p50_ms", "p99_ms")}
    return (
        f"| {case} | {who} | {rows[0]['request_bytes']} | {middle['cpu_us']:.0f}"
        f" | {shown if rows is not base and rows != base else '1'} | {middle['per_second']:.0f}"
        f" | {middle['p50_ms']:.1f} | {middle['p99_ms'] or ''} |"
    )


def endurance(document: dict[str, Any]) -> str:
    """What the soak says, in one table."""
    memory = document["rss_mib"]
    tenth = max(1, len(memory) // 10)
    rows = {
        "inferences": document["inferences"],
        "failed": document["failed"],
        "reload cycles": len(memory),
        "resident MiB: after the first cycle": memory[0],
        "resident MiB: median of the cycles 10 to 20 %": median(memory[tenth : 2 * tenth]),
        "resident MiB: median of the last 10 %": median(memory[-tenth:]),
        "resident MiB: greatest": max(memory),
        "threads and descriptors: after the first cycle": _words(document["handles"][0]),
        "threads and descriptors: at the end": _words(document["handles"][-1]),
        "cancelled calls": document["cancelled"],
        "gauges afterwards": ", ".join(f"{name} {value:g}" for name, value in document["gauges"].items()),
    }
    return "\n".join(
        ["| what | figure |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    )


def _words(values: list[int]) -> str:
    return " and ".join(map(str, values))


def long_tests(document: dict[str, Any]) -> str:
    """A line for each file of tests, then what the tests recorded."""
    files: dict[str, Rows] = {}
    for test in document["tests"]:
        files.setdefault(test["name"].partition("::")[0], []).append(test)
    lines = ["| tests | passed | seconds |", "|---|---|---|"]
    for file, tests in sorted(files.items()):
        passed = sum(test["outcome"] == "passed" for test in tests)
        lines.append(f"| {file} | {passed} of {len(tests)} | {sum(test['seconds'] for test in tests):.0f} |")
    figures = [
        f"- {test['name'].partition('::')[2]}: {name}: {value}"
        for test in document["tests"]
        for name, value in test["figures"].items()
    ]
    return "\n".join([*lines, "", *figures]).rstrip()


GOALS = (
    ("one object: children, p95, ms", 250, ("one", "children", "p95")),
    ("one object: an edit is applied, p95, ms", 150, ("one", "applied", "p95")),
    ("one object: a deleted child is back, p95, ms", 100, ("one", "back", "p95")),
    ("1000 created together: all children, s", 100, ("together", "seconds_to_children")),
    ("1000 created together: every first status, s", 100, ("together", "seconds_to_status")),
    ("1000 created together: CPU until then, s", 25, ("together", "cpu_seconds")),
    ("writes of children, each", 8, ("together", "writes_each", "children")),
    ("writes of the status, each", 8, ("together", "writes_each", "status")),
    ("Events, each", 3, ("together", "writes_each", "events")),
    ("peak memory with 1000, MiB", 150, ("together", "peak_mib")),
    ("1000 at rest that answer /status: CPU of one core, %", None, ("answering", "cpu_percent")),
    ("1000 at rest that answer /status: writes", 0, ("answering", "writes")),
    ("1000 at rest without pods: CPU of one core, %", 3, ("settled", "cpu_percent")),
    ("1000 at rest without pods: writes", 0, ("settled", "writes")),
    ("restart with 1000: writes of children", 0, ("restart", "writes", "children")),
    ("restart with 1000: each has had its pass, s", 10, ("restart", "seconds")),
    ("restart with 1000: CPU until then, s", 5, ("restart", "cpu_seconds")),
    ("peak memory after a restart with 1000, MiB", 150, ("restart", "peak_mib")),
    ("1000 deleted: CPU, s", 10, ("delete", "cpu_seconds")),
    ("64 objects that KEDA asks for together: CPU of one core, %", None, ("scale", "cpu_percent")),
    ("the same objects while nobody asks: CPU of one core, %", None, ("scale", "cpu_percent_unasked")),
    ("CPU of an answer for an object with two pods, ms", None, ("scale", "cpu_ms_each")),
    ("an answer while all are asked together, p95, ms", 1000, ("scale", "p95_ms")),
    ("5000 created together: every first status, s", 600, ("long", "seconds_to_status")),
    ("5000 created together: CPU until then, s", None, ("long", "cpu_seconds")),
    ("peak memory with 5000, MiB", 400, ("long", "peak_mib")),
    ("peak memory after a restart with 5000, MiB", 400, ("long_restart", "peak_mib")),
)
"""What is shown of the operator, the most that is allowed, and where it is in the figures."""


def operator_table(document: dict[str, Any]) -> str:
    """A line for each figure that was taken."""
    lines = [f"At {document['revision']}.", "", "| what | figure | at most |", "|---|---|---|"]
    for what, most, path in GOALS:
        found: Any = document["rows"]
        for name in path:
            found = found.get(name, {})
        if found != {}:
            mark = "" if most is None or found <= most else " (missed)"
            lines.append(f"| {what} | {found:g}{mark} | {'' if most is None else most} |")
    return "\n".join(lines)


def main() -> None:
    """Render the newest (or the named) quick result again."""
    results = sorted((ROOT / "bench" / "results").glob("*-quick.json"))
    file = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else results[-1]
    write(json.loads(file.read_text()), "quick", file)


if __name__ == "__main__":
    main()
