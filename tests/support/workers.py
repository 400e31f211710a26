"""How tests are shared out among the workers of pytest-xdist, and how some of them have the machine alone."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

TESTS = Path(__file__).resolve().parents[1]
ALONE = "alone"
GROUPS = {
    "kind": r"tests/(e2e/|scale/|cluster/test_(kind|engine)\.py)",
    "chaos": r"tests/(chaos/|operator/test_(convergence|leases))",
    "api a-m": r"tests/operator/test_[a-m]",
    "api n-r": r"tests/operator/test_[n-r]",
    "api s-z": r"tests/(operator/test_[s-z]|cluster/test_(plain|reading)\.py)",
    ALONE: r"tests/server/overload/test_(overload|endurance|refusing_early)\.py",
}
"""Tests that share a cluster, or that measure time and memory; all others are grouped by their file."""


def group(nodeid: str) -> str:
    """Tests of one group run on one worker, in turn."""
    shared = (name for name, paths in GROUPS.items() if re.match(paths, nodeid))
    return next(shared, nodeid.partition("::")[0])


def rank(nodeid: str) -> int:
    """What takes longest begins first, and what is alone comes last."""
    return {"kind": 0, "api a-m": 1, "api n-r": 1, "api s-z": 1, "chaos": 1, ALONE: 3}.get(group(nodeid), 2)


class Scheduling(LoadScopeScheduling):
    """Groups in the order of the collection. xdist's own `loadgroup` does nothing with pytest 9.2."""

    def __init__(self, config: pytest.Config, log: object) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


@contextmanager
def turn(nodeid: str) -> Iterator[None]:
    """Hold the tests' lock: together with other workers, or, for a test of the last group, alone."""
    descriptor = os.open(TESTS, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if group(nodeid) == ALONE else fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)
