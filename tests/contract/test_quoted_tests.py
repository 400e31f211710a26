"""Documents quote tests as FILE::NAME or by their path, and every one of them exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
)
PATH = re.compile(r"(?<![\w/])((?:\w+/)*test_\w+\.py)(?:::(test_\w+))?")
NAME = re.compile(r"(?<![\w/:])(test_\w+)(?![\w.*-])")


@cache
def names_in(path: Path) -> frozenset[str]:
    found = ast.walk(ast.parse(path.read_text()))
    functions = (node for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


def files(quoted: str) -> list[Path]:
    """Below tests/, where one name stands for one file; a file without a directory is one of the server's."""
    directory, _, name = quoted.removeprefix("tests/").rpartition("/")
    return list((TESTS / (directory or "server")).rglob(name))


def missing(text: str) -> list[str]:
    """What is quoted and does not exist."""
    every = frozenset().union(*(names_in(path) for path in TESTS.rglob("test_*.py")))
    quoted = set(PATH.findall(text))
    wrong = [f"{file}::{name}" for file, name in quoted if not is_there(file, name)]
    return sorted(wrong + [name for name in set(NAME.findall(text)) if name not in every])


def is_there(quoted: str, name: str) -> bool:
    found = files(quoted)
    return len(found) == 1 and (not name or name in names_in(found[0]))


@pytest.mark.parametrize("page", PAGES)
def test_every_quoted_test_exists(page: str):
    assert missing((ROOT / page).read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        "test_cors.py::test_nobody_wrote_this",
        "server/test_nowhere.py::test_by_default_every_page_may_infer",
        "e2e/test_cors.py",
        "`tests/server/test_nowhere.py` shows it",
        "as `test_nobody_wrote_this` shows",
    ],
)
def test_a_quoted_test_that_does_not_exist_is_found(text: str):
    assert len(missing(text)) == 1


def test_quotes_are_read_in_every_way_they_are_written():
    text = (
        "| K01 | test_cors.py::test_by_default_every_page_may_infer · operator/test_crd.py | `tests/server/`"
    )
    assert PATH.findall(text) == [
        ("test_cors.py", "test_by_default_every_page_may_infer"), ("operator/test_crd.py", ""),
    ]  # fmt: skip
    assert missing(text) == []
    assert sum(len(PATH.findall((ROOT / page).read_text())) for page in PAGES) > 200
