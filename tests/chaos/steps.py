"""What people do to an object: each step begins with a settled object, but for `create`."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.world import KINDS, OBJECTS, World
from tests.support.modelservers import model_server
from tests.support.waiting import until

NAME = "server"


def create(world: World) -> None:
    world.api.create(world.path(OBJECTS), model_server(NAME))


def edit(world: World) -> None:
    """Another pod template, another config.json."""
    _patch(world, {"hint": "LATENCY", "pod": {"nodeSelector": {"disk": "fast"}}})


def edit_twice(world: World) -> None:
    edit(world)
    until("the first one is applied", lambda: world.condition("Applied").get("status") == "True", timeout=60)
    _patch(world, {"pod": {"nodeSelector": {"disk": "slow"}}})


def scale(world: World) -> None:
    _patch(world, {"replicas": 2})


def autoscale(world: World) -> None:
    """Two replicas at least, which it has already then: Kubernetes' own controller changes nothing."""
    cpu = {"type": "CPU", "averageUtilization": 80}
    _patch(world, {"replicas": 2, "autoscaling": {"minReplicas": 2, "maxReplicas": 4, "metrics": [cpu]}})


def scale_and_delete(world: World) -> None:
    scale(world)
    until("it is applied", lambda: world.condition("Applied").get("status") == "True", timeout=60)
    delete(world)


def delete(world: World) -> None:
    world.api.delete(world.path(OBJECTS, NAME))


def prune(world: World) -> None:
    """A child more than is wanted, and a template that no longer counts."""
    _patch(world, {"pod": {"serviceAccountName": "default"}})


def replace(world: World) -> None:
    """Another object of the same name, while the children of the first still go."""
    delete(world)
    create(world)


def stay(_: World) -> None:
    """Nothing."""


def drift(world: World) -> None:
    world.api.patch(world.path(KINDS["Deployment"], NAME), {"spec": {"replicas": 3}})


def remove(world: World) -> None:
    world.api.delete(world.path(KINDS["Service"], NAME))


def lose(world: World) -> None:
    """A child leaves the watches: it has to be looked up, because its name is taken."""
    label = "app.kubernetes.io/managed-by"
    world.api.patch(world.path(KINDS["Service"], NAME), {"metadata": {"labels": {label: None}}})


def _patch(world: World, spec: dict) -> None:
    world.api.patch(world.path(OBJECTS, NAME), {"spec": spec})


@dataclass(frozen=True)
class Step:
    act: Callable[[World], None]
    is_first: bool = False

    def prepare(self, world: World) -> None:
        if not self.is_first:
            create(world)


STEPS = {
    "create": Step(create, is_first=True),
    "edit": Step(edit),
    "edit twice": Step(edit_twice),
    "scale": Step(scale),
    "autoscale": Step(autoscale),
    "scale and delete": Step(scale_and_delete),
    "delete": Step(delete),
    "prune": Step(prune),
    "replace": Step(replace),
    "stay": Step(stay),
    "drift": Step(drift),
    "remove": Step(remove),
    "lose": Step(lose),
}
