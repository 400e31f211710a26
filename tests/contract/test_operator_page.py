"""docs/operator.md names everything that a user can set, see or meet in the operator, and nothing else."""

import argparse
import ast
import re
from collections.abc import Iterator
from typing import Any

import yaml

from modelserver_operator import naming
from modelserver_operator.api import GROUP, UPGRADE_ANNOTATION
from modelserver_operator.api.status import ConditionType, Reason
from modelserver_operator.settings import ENVIRONMENT, add_options
from tests.support.operator_process import CHART, ROOT

PAGE = (ROOT / "docs" / "operator.md").read_text()
CODE = ROOT / "operator" / "modelserver_operator"
QUOTED = re.compile(r"`([^`]+)`")
AS_IN_A_POD = {"resources"}
"""A value of the chart that is handed on as it is."""


def table(heading: str) -> list[list[str]]:
    """The cells of the tables below a heading, up to the next one of its level, without their heads."""
    level = heading.partition(" ")[0]
    text = PAGE.split(f"\n{heading}\n", 1)[1]
    text = re.split(rf"^#{{1,{len(level)}}} ", text, maxsplit=1, flags=re.MULTILINE)[0]
    lines = re.findall(r"^\|(?:[^\n]*\|\n)", text, re.MULTILINE)
    rows = [[cell.strip() for cell in line.strip().strip("|").split(" | ")] for line in lines]
    return [row for number, row in enumerate(rows) if not is_head(rows, number)]


def is_head(rows: list[list[str]], number: int) -> bool:
    """A line of dashes, or the line before one."""
    return any(set("".join(row)) <= set("-| ") for row in rows[number : number + 2] if "-" in "".join(row))


def quoted(heading: str, column: int) -> set[str]:
    """What stands in backticks in one column."""
    return {name for row in table(heading) for name in QUOTED.findall(row[column])}


def leaves(values: dict[str, Any], place: str = "") -> Iterator[str]:
    for name, value in values.items():
        path = f"{place}{name}"
        if isinstance(value, dict) and value and path not in AS_IN_A_POD:
            yield from leaves(value, f"{path}.")
        else:
            yield path


def test_every_condition_and_every_reason_is_in_the_table():
    others = table("### Events") + table("### Cold starts")
    rows = [row for row in table("## Conditions") if row not in others]

    assert {row[0] for row in rows} - {""} == set(ConditionType)
    assert {name for row in rows for name in QUOTED.findall(row[1])} == set(Reason)


def test_every_value_of_the_chart_is_in_the_table():
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    assert quoted("## Settings", 0) == set(leaves(values))


def test_every_flag_and_every_variable_is_in_the_table():
    parser = argparse.ArgumentParser(add_help=False)
    add_options(parser)
    flags = {flag for action in parser._actions for flag in action.option_strings}

    assert quoted("## Settings", 1) == flags | set(ENVIRONMENT.values())


def test_every_label_and_every_annotation_is_in_the_table():
    named = {value for value in vars(naming).values() if isinstance(value, str)}
    keys = {value for value in named if re.fullmatch(rf"({GROUP}|app\.kubernetes\.io)/[a-z-]+", value)}

    assert quoted("## Labels and annotations", 0) == keys | {UPGRADE_ANNOTATION}


def test_nothing_of_the_operators_domain_is_written_outside_of_the_list_of_names():
    """Otherwise the test above would not see it."""
    pattern = re.compile(rf"{re.escape(GROUP)}/(?!v1alpha1)[a-z-]+")
    found = {
        (path.name, name)
        for path in CODE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value
        for name in pattern.findall(node.value)
    }

    known = quoted("## Labels and annotations", 0)
    assert {pair for pair in found if pair[1] not in known} == set()


def test_every_event_is_in_the_table():
    """Those of transitions have the reasons of conditions."""
    reasons = {
        str(node.args[0].value)
        for path in CODE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Event"
        if node.args and isinstance(node.args[0], ast.Constant)
    }

    assert quoted("### Events", 0) == reasons


def test_whatever_else_the_page_names_in_the_operators_domain_exists():
    keys = set(re.findall(rf"`({re.escape(GROUP)}/[a-z-]+)[`=]", PAGE)) - {f"{GROUP}/v1alpha1"}

    assert keys <= quoted("## Labels and annotations", 0)
