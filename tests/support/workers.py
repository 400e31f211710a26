"""How tests are shared out among the workers of pytest-xdist, and how some of them have the machine alone."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
FIRST = ("kind", "api")
"""What takes longest begins first."""
ALONE = "alone"


def group(item: pytest.Item) -> str:
    """Tests of one group run on one worker, in turn: they share a cluster, or their file's fixtures."""
    if item.get_closest_marker(ALONE):
        return ALONE
    markers = {"kind": ("kind", "docker"), "api": ("api",)}
    for name, marked in markers.items():
        if any(map(item.get_closest_marker, marked)):
            return name
    return str(item.path.relative_to(TESTS))


def order(items: list[pytest.Item]) -> None:
    """Name each item's group, and put the groups into the order in which workers take them."""
    ranks = {name: rank for rank, name in enumerate(FIRST)} | {ALONE: len(FIRST) + 1}
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))
    items.sort(key=lambda item: ranks.get(group(item), len(FIRST)))


@contextmanager
def turn(item: pytest.Item) -> Iterator[None]:
    """Hold the tests' lock: together with others, or, for a test marked `alone`, when no other test runs."""
    descriptor = os.open(TESTS, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if item.get_closest_marker(ALONE) else fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)
