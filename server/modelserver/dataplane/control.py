"""Changes asked for from outside: reload, load and unload; in turn with the watcher's own passes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from modelserver.errors import Forbidden
from modelserver.models.model import UNLOADED, Model, Version
from modelserver.models.registry import Registry
from modelserver.models.watcher import Watcher


@dataclass(frozen=True)
class Entry:
    """One version in the index of the repository."""

    name: str
    version: str
    state: str
    """READY, UNAVAILABLE, LOADING or UNLOADING."""
    reason: str = ""


class Control:
    """What the management APIs may do."""

    def __init__(self, registry: Registry, watcher: Watcher, mode: str) -> None:
        """`mode` is model_control_mode: with `none` nobody loads or unloads."""
        self._registry = registry
        self._watcher = watcher
        self._mode = mode

    async def reload(self) -> bool:
        """Look at config.json and all files now; True when anything was to be done."""
        return await self._watcher.reload()

    async def load(self, name: str) -> None:
        """Serve a configured model, again or as its files are now."""
        await self._in_turn(self._registry.load, name)

    async def unload(self, name: str) -> None:
        """Serve a model no longer, until it is loaded or configured anew."""
        await self._in_turn(self._registry.unload, name)

    def index(self, *, ready: bool = False) -> list[Entry]:
        """Every version of every model, or those that answer."""
        entries = [entry for name, model in self._registry.models.items() for entry in _entries(name, model)]
        return [entry for entry in entries if entry.state == "READY" or not ready]

    async def _in_turn(self, work: Callable[[str], Awaitable[None]], name: str) -> None:
        if self._mode == "none":
            raise Forbidden("Models are not loaded or unloaded by request: model_control_mode is none")
        await self._watcher.in_turn(lambda: work(name))


def _entries(name: str, model: Model) -> list[Entry]:
    if not model.versions:
        return [Entry(name, "", "UNAVAILABLE", model.error or "")]
    return [_entry(model, version) for _, version in sorted(model.versions.items())]


def _entry(model: Model, version: Version) -> Entry:
    if version.loaded is not None:
        state, reason = "READY", version.error or ""
    elif version.state == "END":
        state, reason = "UNAVAILABLE", UNLOADED if model.is_unloaded else "retired"
    elif version.error is not None:
        state, reason = "UNAVAILABLE", version.error
    else:
        state, reason = ("UNLOADING" if version.state == "UNLOADING" else "LOADING"), ""
    return Entry(version.model, str(version.number), state, reason)
