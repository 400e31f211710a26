"""What `make test-long` saw: bench/results/<date>-test-long.json and its table in docs/performance.md."""

import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from bench import machine, render

RESULTS = Path(__file__).with_name("results")


def outcomes(report: Path) -> list[dict[str, Any]]:
    """Of each test in a JUnit report: its name, seconds, outcome, and the figures that it recorded."""
    return [
        {
            "name": f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}",
            "seconds": float(case.get("time", 0)),
            "outcome": _outcome(case),
            "figures": {item.get("name"): item.get("value") for item in case.iter("property")},
        }
        for case in ET.parse(report).iter("testcase")  # noqa: S314 - pytest has just written it
    ]


def _outcome(case: ET.Element) -> str:
    kinds = ("failure", "error", "skipped")
    return next((kind for kind in kinds if case.find(kind) is not None), "passed")


def main() -> None:
    facts = machine.facts()
    document = {"machine": facts, "tests": outcomes(Path(sys.argv[1]))}
    file = RESULTS / f"{facts['time'][:10]}-test-long.json"
    file.write_text(json.dumps(document, indent=1) + "\n")
    render.write(document, "test-long", file)
    print(render.long_tests(document))


if __name__ == "__main__":
    main()
