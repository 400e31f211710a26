"""The last accepted form of each object: what goes on while the object as it is cannot be accepted. Pure.

It is kept in memory only. An operator that starts while an object is not accepted does not know what was
accepted before, and leaves what runs as it is.
"""

from collections.abc import Callable

from modelserver_operator.api import ModelServer, parse
from modelserver_operator.errors import Invalid
from modelserver_operator.observed.child import Raw
from modelserver_operator.observed.facts import Rejection
from modelserver_operator.observed.store import Key

_LIVE = ("replicas", "paused")
"""Fields that are followed all the same: an autoscaler writes the one, and the other stops every change."""


class Accepted:
    """Metadata and spec, by key; the dictionaries are those of the store."""

    def __init__(self, check: Callable[[ModelServer], object] = lambda _: None) -> None:
        """`check` raises Invalid for what only shows when the object is rendered."""
        self._check = check
        self._last: dict[Key, Raw] = {}

    def read(self, key: Key, body: Raw) -> tuple[ModelServer, Rejection | None]:
        """The object, or its last accepted form and why the present one is not; Invalid if none is known."""
        try:
            server = parse(body)
            self._check(server)
        except Invalid as error:
            return self._before(key, body, error), Rejection(error, body["metadata"].get("generation", 0))
        self._last[key] = {"metadata": body["metadata"], "spec": body.get("spec") or {}}
        return server, None

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._last.pop(key, None)

    def _before(self, key: Key, body: Raw, error: Invalid) -> ModelServer:
        last = self._last.get(key)
        if last is None or last["metadata"]["uid"] != body["metadata"]["uid"]:
            raise error
        live = {name: body["spec"][name] for name in _LIVE if name in (body.get("spec") or {})}
        try:
            return parse({**last, "spec": {**last["spec"], **live}})
        except Invalid:
            return parse(last)
