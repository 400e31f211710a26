"""What a pass costs when nothing is to be done, and what it looks at."""

from types import SimpleNamespace

import pytest

from modelserver.models.loader import Loading
from modelserver.models.model import Model
from modelserver.models.planner import Planner
from modelserver.settings.config_file import ModelSettings
from modelserver.tuning.machine import Machine
from modelserver.tuning.wish import Wish
from tests.support import models
from tests.support.parts import Parts

MODELS = 64
"""As many as a ModelServer may have."""


class Counted:
    """A machine that counts how often it is read."""

    def __init__(self):
        self.readings = 0
        self.cpus = 2

    def __call__(self):
        self.readings += 1
        return Machine(tuple(range(self.cpus)), 8, None)


class Stub:
    """Loads nothing."""

    def __init__(self):
        self.recipes = []

    async def load(self, recipe, *, beside_others):  # noqa: ARG002 - the loader's
        self.recipes.append(recipe)
        effect = SimpleNamespace(
            execution_devices=("CPU",), streams=1, nireq=1, threads=1, hint=None, pinning=False
        )
        return Loading(Loaded(effect), 0.1)

    async def close(self, model):
        """Nothing to give back."""


class Loaded:
    inline = True
    active = in_flight = waiting = 0

    def __init__(self, effect):
        self.effect = effect

    async def drained(self):
        """Nobody is inside."""


@pytest.fixture
def machine():
    return Counted()


@pytest.fixture
def loader():
    return Stub()


@pytest.fixture
def parts(machine, loader):
    with Parts(machine=machine, loader=loader) as parts:
        yield parts


@pytest.fixture
def many(tmp_path):
    models.save(models.dummy(), tmp_path / "dummy" / "1")
    return [ModelSettings(f"m{number}", str(tmp_path / "dummy")) for number in range(MODELS)]


async def test_a_settled_pass_of_64_models_reads_the_machine_once(parts, machine, loader, many):
    await parts.converger.apply(many, "r1")
    assert len(loader.recipes) == MODELS
    machine.readings = 0
    await parts.converger.converge("r1")
    assert machine.readings == 1
    assert len(loader.recipes) == MODELS
    assert {model.revision for model in parts.catalogue.models.values()} == {"r1"}


async def test_a_machine_that_has_changed_is_planned_for_in_the_next_pass(parts, machine, loader, many):
    await parts.converger.apply(many[:2], "r1")
    machine.cpus = 8
    await parts.converger.converge("r1")
    assert [recipe.plan.properties["INFERENCE_NUM_THREADS"] for recipe in loader.recipes] == [1, 1, 4, 4]


def test_a_plan_is_made_again_only_when_something_it_depends_on_is_new(machine):
    planner = Planner(machine, None)

    def plan(name, wish):
        settings = ModelSettings(name, "/nowhere", wish=wish)
        return planner.plan(settings, planner.survey([Model(settings)]))

    first = plan("m", Wish())
    assert plan("m", Wish()) is first
    assert plan("m", Wish(hint="LATENCY")) != first
    machine.cpus = 8
    assert plan("m", Wish()) != first
