"""The cases see what they are for: a fault in the operator's own code makes at least one of them fail."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.chaos import lanes
from tests.chaos.asked import asked
from tests.chaos.cases import CASES
from tests.chaos.mutations import MUTATIONS, Mutation
from tests.chaos.running import Stage

SECONDS = 45.0
"""How long an end may take here: three times what it takes without a fault."""


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_planted_fault_is_an_edit_of_the_operator_as_it_is(name: str):
    mutation = MUTATIONS[name]
    compile(mutation.text(), mutation.file, "exec")
    assert set(mutation.cases) <= CASES.keys()


@pytest.fixture(scope="session")
def caught(request: pytest.FixtureRequest, chaos: Stage, tmp_path_factory) -> dict[str, lanes.Outcomes]:
    """By mutation, the outcome of its cases."""
    wanted = asked(request.session, "planted")
    planted = {name: mutation for name, mutation in MUTATIONS.items() if name in wanted}
    lanes.need(chaos, {CASES[case].step for one in planted.values() for case in one.cases}, CASES.values())

    def attempt(mutation: Mutation) -> lanes.Outcomes:
        source = mutation.plant(tmp_path_factory.mktemp("mutant"))
        return lanes.run_lane(chaos, [CASES[case] for case in mutation.cases], SECONDS, source)

    with ThreadPoolExecutor(lanes.LANES) as pool:
        return dict(zip(planted, pool.map(attempt, planted.values()), strict=True))


@pytest.mark.long
@pytest.mark.api
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("planted", MUTATIONS)
def test_a_planted_fault_is_caught(caught: dict[str, lanes.Outcomes], planted: str, record_property):
    failed = {case: text.splitlines()[0] for case, text in caught[planted].items() if text}
    assert failed, f"{planted}: {', '.join(caught[planted])} held"
    assert "did not start" not in "".join(failed.values()), failed
    record_property("caught", f"{planted}: {'; '.join(failed.values())[:160]}")
