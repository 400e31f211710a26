"""A control plane of its own, because what these cases leave behind would burden other tests."""

from collections.abc import Iterator

import pytest

import devcluster
from devcluster.kubectl import Kubernetes
from tests.chaos import lanes
from tests.chaos.asked import asked
from tests.chaos.cases import CASES
from tests.chaos.running import Stage, stage

FILE, ENDS = "tests/chaos/test_chaos.py", "test_the_end"


@pytest.fixture(scope="session")
def chaos(run_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    cluster = devcluster.up(f"{run_name}-chaos", no_node=True, extras=("controller-manager",))
    with stage(Kubernetes(cluster.environment()), tmp_path_factory.mktemp("chaos")) as made:
        yield made
    devcluster.down(cluster.name)


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest, chaos: Stage) -> lanes.Outcomes:
    """Of all cases that are to be tested: they run together, because they mostly wait."""
    wanted = [CASES[name] for name in CASES if name in asked(request.session, "case")]
    steps = {case.step for case in wanted} | asked(request.session, "step")
    needed = [case for case in CASES.values() if case.lane == lanes.UNDISTURBED and case.step in steps]
    return lanes.run(chaos, list({case.name: case for case in (*needed, *wanted)}.values()))


def pytest_terminal_summary(terminalreporter) -> None:
    calls = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if report.when == "call" and "[" in report.nodeid
    ]
    cases = [report for report in calls if report.nodeid.startswith(f"{FILE}::{ENDS}")]
    if cases:
        held = sum(report.passed for report in cases)
        terminalreporter.write_line(f"chaos: {held} of {len(cases)} cases hold; the table has {len(CASES)}")
    for report in calls:
        for text in (value for name, value in report.user_properties if name == "caught"):
            terminalreporter.write_line(f"chaos: caught: {text}")
