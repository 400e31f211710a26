"""Not worse: the median of the ratios is at most 1.03, or the noise's upper quartile if that is more."""

import pytest

from bench.ratios import Row, quartiles, rows, table, verdicts


def row(tree: list[float], again: list[float] | None = None) -> Row:
    base = (100.0,) * len(tree)
    return Row("gRPC raw", base, tuple(again or base), tuple(tree))


def test_three_percent_more_is_not_worse_on_a_quiet_machine():
    assert row([103.0] * 10).is_not_worse
    assert not row([103.1] * 10).is_not_worse


def test_what_two_copies_of_the_base_differ_by_is_allowed():
    noise = [90.0, 95.0, 100.0, 105.0, 110.0]

    assert row([105.0] * 5, noise).limit == pytest.approx(1.05)
    assert row([105.0] * 5, noise).is_not_worse
    assert not row([106.0] * 5, noise).is_not_worse


def test_a_quiet_second_copy_does_not_lower_the_limit():
    assert row([100.0] * 4, [90.0] * 4).limit == 1.03


def test_ratios_are_taken_within_a_round():
    busy = Row("gRPC raw", (100.0, 300.0), (100.0, 300.0), (101.0, 303.0))

    assert busy.ratios == pytest.approx((1.01, 1.01))


def test_one_bad_round_decides_nothing():
    assert row([100.0, 100.0, 100.0, 500.0, 100.0]).is_not_worse


@pytest.mark.parametrize(
    ("values", "expected"),
    [((5.0,), (5.0, 5.0, 5.0)), ((1.0, 2.0), (1.25, 1.5, 1.75)), ((1, 2, 3, 4, 5), (2, 3, 4))],
)
def test_quartiles_are_those_of_the_values_themselves(values, expected):
    assert quartiles(values) == expected


def test_rounds_become_rows():
    found = rows(
        [
            {"REST JSON": {"tree": 2.0, "base": 1.0, "base again": 3.0}},
            {"REST JSON": {"base": 4.0, "base again": 6.0, "tree": 5.0}},
        ]
    )

    assert found == [Row("REST JSON", base=(1.0, 4.0), again=(3.0, 6.0), tree=(2.0, 5.0))]


def test_the_table_and_the_file_say_which_row_is_worse():
    found = [row([120.0] * 3), row([90.0] * 3)]

    assert [line.split("|")[-2].strip() for line in table(found).splitlines()[2:]] == [
        "**worse**",
        "not worse",
    ]
    assert [one["not_worse"] for one in verdicts(found)] == [False, True]
