"""Changes asked for from outside: reload, load and unload; in turn with the watcher's own passes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from modelserver.errors import Forbidden
from modelserver.models.catalogue import Catalogue
from modelserver.models.converger import Converger
from modelserver.models.model import UNLOADED, Model, State, Version
from modelserver.models.watcher import Watcher
from modelserver.settings.process import ControlMode


class EntryState(StrEnum):
    """Of a version in the index, by Triton's names."""

    READY = "READY"
    UNAVAILABLE = "UNAVAILABLE"
    LOADING = "LOADING"
    UNLOADING = "UNLOADING"


@dataclass(frozen=True)
class Entry:
    """One version in the index of the repository."""

    name: str
    version: str
    state: EntryState
    reason: str = ""


class Control:
    """What the management APIs may do."""

    def __init__(
        self, catalogue: Catalogue, converger: Converger, watcher: Watcher, mode: ControlMode
    ) -> None:
        self._catalogue = catalogue
        self._converger = converger
        self._watcher = watcher
        self._mode = mode

    async def reload(self) -> bool:
        """Look at config.json and all files now; True when anything was to be done."""
        return await self._watcher.reload()

    async def load(self, name: str) -> None:
        """Serve a configured model, again or as its files are now."""
        await self._in_turn(self._converger.load, name)

    async def unload(self, name: str) -> None:
        """Serve a model no longer, until it is loaded or configured again."""
        await self._in_turn(self._converger.unload, name)

    def index(self, *, ready: bool = False) -> list[Entry]:
        """Every version of every model, or those that answer."""
        entries = [entry for name, model in self._catalogue.models.items() for entry in _entries(name, model)]
        return [entry for entry in entries if entry.state is EntryState.READY or not ready]

    async def _in_turn(self, work: Callable[[str], Awaitable[None]], name: str) -> None:
        if self._mode is ControlMode.NONE:
            raise Forbidden("Models are not loaded or unloaded by request: model_control_mode is none")
        await self._watcher.in_turn(lambda: work(name))


def _entries(name: str, model: Model) -> list[Entry]:
    if not model.versions:
        return [Entry(name, "", EntryState.UNAVAILABLE, model.error or "")]
    return [_entry(model, version) for _, version in sorted(model.versions.items())]


def _entry(model: Model, version: Version) -> Entry:
    state, reason = _state(model, version)
    return Entry(version.model, str(version.number), state, reason)


def _state(model: Model, version: Version) -> tuple[EntryState, str]:
    """With the reason why it is not ready, or not as it is wanted."""
    if version.loaded is not None:
        return EntryState.READY, version.trouble or ""
    if version.state is State.END:
        return EntryState.UNAVAILABLE, UNLOADED if model.is_unloaded else "retired"
    if version.error is not None:
        return EntryState.UNAVAILABLE, version.error
    return EntryState.UNLOADING if version.state is State.UNLOADING else EntryState.LOADING, ""
