"""Whatever happens between the operator and the API server, the end is as if nothing had happened.

One case: an object in a namespace of its own, one step, one fault. When the fault is over, the object, its
status and its children are those of an undisturbed run, and while every kind is listed twice more nothing is
written. cases.py has the table.
"""

import pytest

from tests.chaos.cases import CASES, KILLS, STATUS
from tests.chaos.lanes import Outcomes
from tests.chaos.running import Stage

pytestmark = [pytest.mark.api, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("case", [name for name, case in CASES.items() if case.is_sampled])
def test_the_end_is_that_of_an_undisturbed_run(outcomes: Outcomes, case: str):
    """A sample over all kinds of fault."""
    assert not outcomes[case], outcomes[case]


@pytest.mark.long
@pytest.mark.parametrize("case", CASES)
def test_the_end_of_every_case_is_that_of_an_undisturbed_run(outcomes: Outcomes, case: str):
    assert not outcomes[case], outcomes[case]


@pytest.mark.parametrize("step", KILLS)
def test_the_operator_is_killed_at_every_write(outcomes: Outcomes, chaos: Stage, step: str):
    """Before and after each that an undisturbed step makes, as far as its number is certain."""
    written = [(item.asked.verb, item.asked.resource) for item in chaos.baselines[step].result(0).writes]
    listed = [(verb, resource) for verb, resource, _ in KILLS[step]]
    for pair in {*written, *listed}:
        if pair[1] not in {STATUS, "events"}:
            assert written.count(pair) == listed.count(pair), f"{pair} of {written}"
    assert {pair for pair in written if pair[1] not in {STATUS, "events"}} <= set(listed)
