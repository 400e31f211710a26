"""The tree shows the architecture: its sizes, its layers, and the map that leads into it."""

import ast
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "modelserver": ROOT / "server" / "modelserver",
    "modelserver_operator": ROOT / "operator" / "modelserver_operator",
    "devcluster": ROOT / "devcluster",
}
GENERATED = re.compile(r"_pb2(_grpc)?\.py$")
MODULES = sorted(
    path for package in PACKAGES.values() for path in package.rglob("*.py") if not GENERATED.search(path.name)
)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions() -> Iterator[tuple[str, Function]]:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, Function):
                yield f"{named(path)}:{node.lineno} {node.name}", node


def length(function: Function) -> int:
    """Decorators included."""
    first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
    return (function.end_lineno or first) - first + 1


def test_the_servers_root_holds_at_most_eight_modules():
    root = {path.name for path in PACKAGES["modelserver"].glob("*.py")} - {"__init__.py"}
    assert len(root) <= 8, sorted(root)


def test_no_folder_holds_more_than_twelve_modules():
    folders = Counter(named(path.parent) for path in MODULES if path.name != "__init__.py")
    assert {folder: count for folder, count in folders.items() if count > 12} == {}


def test_no_folder_of_the_servers_tests_holds_more_than_twelve_files():
    folders = Counter(named(path.parent) for path in (ROOT / "tests" / "server").rglob("test_*.py"))
    assert {folder: count for folder, count in folders.items() if count > 12} == {}


def test_no_import_leads_back_to_where_it_started():
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as cycle:
        pytest.fail(" -> ".join(cycle.args[1]))


def test_files_are_short():
    lengths = {named(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {path: lines for path, lines in lengths.items() if lines > 320} == {}
    assert statistics.median(lengths.values()) <= 110


def test_functions_are_short():
    lengths = {name: length(function) for name, function in functions()}
    assert {name: lines for name, lines in lengths.items() if lines > 30} == {}
    assert statistics.quantiles(lengths.values(), n=10)[-1] <= 18


def test_every_argument_and_result_has_a_type():
    assert [name for name, function in functions() if not is_typed(function)] == []


def is_typed(function: Function) -> bool:
    given = function.args
    arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    untyped = [one.arg for one in arguments if one is not None and one.annotation is None]
    return function.returns is not None and untyped in ([], ["self"], ["cls"])


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(str(root / part) for part in ("server", "operator", "."))
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packages and their contracts, to be spoilt."""
    shutil.copy(ROOT / ".importlinter", tmp_path)
    for package in PACKAGES.values():
        ignored = shutil.ignore_patterns("__pycache__", "gotools", "node")
        shutil.copytree(package, tmp_path / package.relative_to(ROOT), ignore=ignored)
    return tmp_path


def test_a_module_without_a_place_fails_the_lint(copy: Path):
    clean = lint_imports(copy)
    assert clean.returncode == 0, clean.stdout
    for name, package in PACKAGES.items():
        probe = copy / package.relative_to(ROOT) / "probe.py"
        probe.write_text('"""A module that nobody has given a place."""\n')
        spoilt = lint_imports(copy)
        probe.unlink()
        assert spoilt.returncode == 1, f"{name} takes any module"
        assert "probe" in spoilt.stdout, spoilt.stdout


TOP = "server|operator|devcluster|bench|tests|docs|charts|crds|examples"
PLACE = re.compile(rf"`((?:{TOP})/[\w./*-]*)`")
TARGET = re.compile(r"`make ([a-z-]+)`")


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
)
def test_what_a_page_points_to_is_there(page: str):
    text = (ROOT / page).read_text()
    assert [place for place in PLACE.findall(text) if not list(ROOT.glob(place.rstrip("/")))] == []
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(TARGET.findall(text)) <= targets


def test_the_table_of_places_in_contributing_leads_somewhere():
    section = (ROOT / "CONTRIBUTING.md").read_text().partition("## Where things are")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (?!you want|-)(.*) \|$", section, re.MULTILINE)
    assert len(rows) >= 6
    assert [row for row in rows if not PLACE.search(row)] == []
