"""The last accepted form of each object: what goes on while the object as it is cannot be accepted. Pure.

It is kept in memory only. An operator that starts while an object is not accepted does not know what was
accepted before, and leaves what runs as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass

from modelserver_operator.api import ModelServer, parse
from modelserver_operator.errors import Invalid
from modelserver_operator.observed.child import Raw
from modelserver_operator.observed.facts import Rejection
from modelserver_operator.observed.store import Key

_LIVE = ("replicas", "paused")
"""Fields that are followed all the same: an autoscaler writes the one, and the other stops every change."""


@dataclass(frozen=True)
class _Form:
    """An accepted form as it was read, and what it was read from: dictionaries of the store."""

    metadata: Raw
    spec: Raw
    server: ModelServer

    def is_of(self, body: Raw) -> bool:
        """Whether this is the same object, unchanged: its status and labels do not matter."""
        names = ("uid", "generation", "annotations")
        same = all(self.metadata.get(name) == body["metadata"].get(name) for name in names)
        return same and self.spec == (body.get("spec") or {})


class Accepted:
    """By key; an object that has not changed is read once."""

    def __init__(self, check: Callable[[ModelServer], object] = lambda _: None) -> None:
        """`check` raises Invalid for what only shows when the object is rendered."""
        self._check = check
        self._last: dict[Key, _Form] = {}

    def read(self, key: Key, body: Raw) -> tuple[ModelServer, Rejection | None]:
        """The object, or its last accepted form and why the present one is not; Invalid if none is known."""
        last = self._last.get(key)
        try:
            server = last.server if last is not None and last.is_of(body) else self._read(body)
        except Invalid as error:
            return self._before(key, body, error), Rejection(error, body["metadata"].get("generation", 0))
        self._last[key] = _Form(body["metadata"], body.get("spec") or {}, server)
        return server, None

    def _read(self, body: Raw) -> ModelServer:
        server = parse(body)
        self._check(server)
        return server

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._last.pop(key, None)

    def _before(self, key: Key, body: Raw, error: Invalid) -> ModelServer:
        last = self._last.get(key)
        if last is None or last.metadata["uid"] != body["metadata"]["uid"]:
            raise error
        live = {name: body["spec"][name] for name in _LIVE if name in (body.get("spec") or {})}
        try:
            return parse({"metadata": last.metadata, "spec": {**last.spec, **live}})
        except Invalid:
            return last.server
