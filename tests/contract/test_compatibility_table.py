"""The acceptance table in docs/compatibility.md is complete."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "compatibility.md").read_text()
CHECKLIST = {"K": 43, "I": 7, "T": 8, "V": 15, "R": 5, "M": 4, "S": 7}


def test_every_row_of_the_checklist_is_there_once():
    rows = re.findall(r"^\| ([A-Z]\d\d) \|", TEXT, re.MULTILINE)
    assert rows == [
        f"{letter}{number:02}" for letter, count in CHECKLIST.items() for number in range(1, count + 1)
    ]
