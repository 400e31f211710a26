"""What measurements taken in turns say of each other: ratios within a round, and the verdict. Pure.

The machine is shared, so only figures of the same round are compared, and a second copy of the base shows how
far two copies of the same code differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

LIMIT = 1.03
"""A ratio up to here is never worse, however quiet the machine."""
BASE, AGAIN, TREE = "base", "base again", "tree"


@dataclass(frozen=True)
class Row:
    """One case: CPU time per request of all three, by round."""

    case: str
    base: tuple[float, ...]
    again: tuple[float, ...]
    tree: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """The working tree to the base."""
        return tuple(tree / base for tree, base in zip(self.tree, self.base, strict=True))

    @property
    def noise(self) -> tuple[float, ...]:
        """The base's second copy to its first."""
        return tuple(again / base for again, base in zip(self.again, self.base, strict=True))

    @property
    def limit(self) -> float:
        """Up to where the median of the ratios is not worse."""
        return max(LIMIT, quartiles(self.noise)[2])

    @property
    def is_not_worse(self) -> bool:
        return median(self.ratios) <= self.limit


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return low, middle, high


def rows(rounds: Sequence[Mapping[str, Mapping[str, float]]]) -> list[Row]:
    """From rounds of figures by case and by who it is."""
    return [
        Row(case, *(tuple(one[case][who] for one in rounds) for who in (BASE, AGAIN, TREE)))
        for case in rounds[0]
    ]


def table(found: Sequence[Row]) -> str:
    """Markdown, one line per row."""
    lines = [
        "| case | base, µs | tree, µs | tree ÷ base (quartiles) | base again ÷ base | limit | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join(lines + [_line(row) for row in found])


def _line(row: Row) -> str:
    verdict = "not worse" if row.is_not_worse else "**worse**"
    return (
        f"| {row.case} | {median(row.base):.1f} | {median(row.tree):.1f} | {_spread(row.ratios)}"
        f" | {_spread(row.noise)} | {row.limit:.3f} | {verdict} |"
    )


def _spread(values: Sequence[float]) -> str:
    low, middle, high = quartiles(values)
    return f"**{middle:.3f}** ({low:.3f} to {high:.3f})"


def verdicts(found: Sequence[Row]) -> list[dict[str, Any]]:
    """The same for a file."""
    return [
        {
            "case": row.case, "ratio": median(row.ratios), "quartiles": quartiles(row.ratios),
            "noise_quartiles": quartiles(row.noise), "limit": row.limit, "not_worse": row.is_not_worse,
        }
        for row in found
    ]  # fmt: skip
