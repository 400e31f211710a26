"""Which models there are and which of their versions answer: what everybody but the converger sees."""

from collections.abc import Callable

from modelserver.engine import LoadedModel
from modelserver.errors import NotFound, NotReady
from modelserver.models.model import Model, State, Version


class Catalogue:
    """All models. Only the converger changes it, and everything runs on the event loop."""

    def __init__(self) -> None:
        self.models: dict[str, Model] = {}
        self.revision: str | None = None
        """Of the configuration that was carried out last."""
        self.changes = 0
        """How often a version began or ceased to answer: equal numbers mean that the same ones answer."""
        self.has_converged = False
        """Whether the first pass over all models of the configuration has ended."""
        self.draining: dict[LoadedModel, str] = {}
        """Loaded models that answer no new requests, until those inside are done, with the model's name."""
        self._listeners: list[Callable[[], None]] = []

    def find(self, name: str, number: int | None) -> Version:
        """The version that answers; raises NotFound or NotReady in OVMS's words."""
        model = self.models.get(name) or self.known(name)
        if number is None or model.is_unloaded:
            if (newest := model.newest) is not None:
                return newest
            raise NotReady(f"Model {name} has no version that is served: {model.error or 'still loading'}")
        version = model.versions.get(number)
        if version is None:
            raise NotFound("Model with requested version is not found")
        if version.state is State.END:
            raise NotFound("Model with requested version is retired")
        if version.loaded is None:
            raise NotReady("Model with requested version is not loaded yet")
        return version

    def states(self, name: str, number: int | None) -> list[Version]:
        """All versions of a model, or one, whatever their state; raises NotFound in OVMS's words."""
        model = self.known(name)
        if number is None:
            return [version for _, version in sorted(model.versions.items())]
        if number not in model.versions:
            raise NotFound("Model with requested version is not found")
        return [model.versions[number]]

    def known(self, name: str) -> Model:
        """The model; raises NotFound in OVMS's words."""
        model = self.models.get(name)
        if model is None:
            raise NotFound("Model with requested name is not found")
        return model

    def served(self, name: str) -> list[int]:
        """The versions of a model that answer."""
        return self.models[name].available

    @property
    def serves_anything(self) -> bool:
        """Whether any version of any model answers."""
        return any(model.available for model in self.models.values())

    def progress(self) -> tuple[int, int]:
        """How many of the wanted versions answer, and how many are wanted."""
        every = [version for model in self.models.values() for version in model.versions.values()]
        wanted = [version for version in every if version.is_wanted]
        return sum(version.loaded is not None for version in wanted), len(wanted)

    def failures(self) -> list[str]:
        """What is wanted and cannot be loaded, and why."""
        return [f"model {name} {text}" for name, model in self.models.items() for text in model.failures()]

    def listen(self, listener: Callable[[], None]) -> None:
        """Call this whenever a state, an error or the revision has changed."""
        self._listeners.append(listener)

    def notify(self) -> None:
        """Something has changed."""
        for listener in self._listeners:
            listener()
