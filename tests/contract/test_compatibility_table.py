"""The acceptance table in docs/compatibility.md is complete, and every test it names exists."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "compatibility.md").read_text()
NAMED = re.compile(r"(?:([\w/]+)/)?(test_\w+\.py)::(test_\w+)")
CHECKLIST = {"K": 43, "I": 7, "T": 8, "V": 10, "R": 5, "M": 4, "S": 7}


def test_every_test_that_the_table_names_exists():
    named = set(NAMED.findall(TEXT))
    assert len(named) > 100
    missing = [
        f"{file}::{name}"
        for directory, file, name in sorted(named)
        if not re.search(rf"^(?:async )?def {name}\(", source(directory or "server", file), re.MULTILINE)
    ]
    assert missing == []


def source(directory, file):
    """The file is looked for in all folders of the directory: a name stands for one file."""
    found = list((ROOT / "tests" / directory).rglob(file))
    return found[0].read_text() if len(found) == 1 else ""


def test_every_row_of_the_checklist_is_there_once():
    rows = re.findall(r"^\| ([A-Z]\d\d) \|", TEXT, re.MULTILINE)
    assert rows == [
        f"{letter}{number:02}" for letter, count in CHECKLIST.items() for number in range(1, count + 1)
    ]
