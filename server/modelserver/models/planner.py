"""How each model is to be compiled, from what the machine and the other models are in one pass."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from modelserver.errors import ConfigError
from modelserver.models.model import Model, Refusal
from modelserver.settings.config_file import ModelSettings
from modelserver.tuning.machine import Machine
from modelserver.tuning.plan import Neighbours, Plan, count_neighbours, plan


@dataclass(frozen=True)
class Surroundings:
    """What plans depend on besides a model's own settings; the same for all models of a pass."""

    machine: Machine
    neighbours: Neighbours


@dataclass(frozen=True)
class _Planned:
    settings: ModelSettings
    surroundings: Surroundings
    outcome: Plan | Refusal


class Planner:
    """Reads the machine once per pass, and makes a plan again only where something it depends on is new."""

    def __init__(self, machine: Callable[[], Machine], exclusive_cpus: int | None) -> None:
        self._machine = machine
        self._exclusive_cpus = exclusive_cpus
        self._planned: dict[str, _Planned] = {}

    def survey(self, models: Collection[Model]) -> Surroundings:
        """The machine now, and everything that will be loaded when this pass is through."""
        names = {model.settings.name for model in models}
        self._planned = {name: planned for name, planned in self._planned.items() if name in names}
        loads = [(model.settings.wish, len(model.select(model.files))) for model in models]
        return Surroundings(self._machine(), count_neighbours(loads, self._exclusive_cpus))

    def plan(self, settings: ModelSettings, surroundings: Surroundings) -> Plan | Refusal:
        """What to compile with, or why nobody can."""
        planned = self._planned.get(settings.name)
        if planned is None or (planned.settings, planned.surroundings) != (settings, surroundings):
            planned = _Planned(settings, surroundings, _plan(settings, surroundings))
            self._planned[settings.name] = planned
        return planned.outcome


def _plan(settings: ModelSettings, surroundings: Surroundings) -> Plan | Refusal:
    try:
        settings.shaping.check()
        return plan(settings.wish, surroundings.machine, surroundings.neighbours)
    except (ConfigError, TypeError, ValueError) as error:
        return Refusal(str(error))
