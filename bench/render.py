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
    text = tables(document) if mark == "quick" else endurance(document)
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


def main() -> None:
    """Render the newest (or the named) quick result again."""
    results = sorted((ROOT / "bench" / "results").glob("*-quick.json"))
    file = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else results[-1]
    write(json.loads(file.read_text()), "quick", file)


if __name__ == "__main__":
    main()
