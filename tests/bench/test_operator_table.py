"""The table of the operator's figures shows what was taken, and marks what is more than it may be."""

from typing import Any

from bench.render import operator_table


def document(**rows: Any) -> dict[str, Any]:
    return {"revision": "abc", "rows": rows}


def test_a_figure_is_shown_with_its_limit():
    text = operator_table(document(delete={"cpu_seconds": 9.5}))

    assert text.splitlines()[-1] == "| 1000 deleted: CPU, s | 9.5 | 10 |"


def test_a_figure_above_its_limit_is_marked():
    text = operator_table(document(restart={"writes": {"children": 3}, "cpu_seconds": 5}))

    assert [line for line in text.splitlines() if "restart" in line] == [
        "| restart with 1000: writes of children | 3 (missed) | 0 |",
        "| restart with 1000: CPU until then, s | 5 | 5 |",
    ]
