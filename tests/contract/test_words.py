"""Plain words: names, messages and documents are written as a platform engineer would write them."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = [
    path
    for folder in ("server", "operator", "devcluster", "bench", "examples")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "_pb2" not in path.name
]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *(path for path in sorted((ROOT / "charts").rglob("*")) if path.is_file()),
    *sorted((ROOT / "crds").glob("*.yaml")),
    *sorted((ROOT / "examples").rglob("*.y*ml")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
NAMES = {"told", "apart", "heart", "journey", "patience", "cold"}
"""No identifier has one of these as a word of its own; `heartbeat` is the field's."""

PHRASES = {
    r"nobody foresaw": "an unexpected error",
    r"(is|was|are) served on\b": "keeps serving, keeping the previous configuration",
    r"the one before is in effect": "the previous one is still in effect",
    r"cut off after": "aborted",
    r"(stuck and|bytes are) left behind\b": "did not stop, unexpected bytes",
    r"ended badly": "crashed",
    r"the operator ends\b": "operator stopped",
    r"nobody could be asked": "the device is unknown",
    r"last words": "termination message, last log lines",
    r"has its way\b": "the operator leaves them",
    r"go(es)? on listening": "keep accepting requests",
    r"may say now\b": "supported fields",
    r"costs? one model its change": "only the affected model ignores the change",
    r"own looking": "polling",
    r"serves? on\b(?! (port|the|a|all|every|https?|\d|`|loopback))": "keeps serving",
    r"the twins? of\b|has the twins": "the matching",
    r"\b(?<!there )(is|are|was|were) no (?!longer\b|more\b)": "is not a",
    r"\bso (long|much|many)\b(?! as\b)": "this long, that many",
    r"\banew\b": "again",
    r"\bbe it\b": "whether",
    r"\bat once\b": "immediately",
    r"\bbeside each other\b": "in parallel, next to each other",
    r"\bby itself\b": "on its own, unexpectedly",
    r"\bwhoever\b": "anyone who",
    r"\b(is|are|was|were|be|been|being) told\b": "is reported",
}
FORBIDDEN = re.compile("|".join(f"(?:{phrase})" for phrase in PHRASES), re.IGNORECASE)
QUOTED: dict[str, str] = {}
"""What others wrote and we quote, with whose it is."""


def phrases(text: str) -> list[str]:
    for quote in QUOTED:
        text = text.replace(quote, "")
    text = re.sub(r"\s+", " ", text)
    return [text[max(found.start() - 30, 0) : found.end() + 20] for found in FORBIDDEN.finditer(text)]


def identifiers(path: Path) -> Iterator[str]:
    yield path.stem
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.NAME:
            yield token.string


def words(identifier: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", identifier)}


def strings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def without(found: dict[Path, list[str]]) -> None:
    lines = [f"{path.relative_to(ROOT)}: {text}" for path, texts in found.items() for text in texts]
    assert not lines, "\n".join(lines)


def test_names_in_the_code_are_the_fields():
    without({path: sorted({n for n in identifiers(path) if words(n) & NAMES}) for path in CODE})


def test_messages_and_docstrings_are_plain():
    without({path: [found for text in strings(path) for found in phrases(text)] for path in CODE})


def test_documents_chart_and_crd_are_plain():
    without({path: phrases(path.read_text()) for path in PAGES})
