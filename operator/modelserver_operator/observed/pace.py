"""When an object is looked at again although nothing reports a change."""

from modelserver_operator.observed.facts import Outcome
from modelserver_operator.observed.store import Key

_QUICK, _SLOW, _QUICK_TRIES = 5.0, 120.0, 24


class Pace:
    """Slower from try to try while something that was begun does not end."""

    def __init__(self) -> None:
        self._tries: dict[Key, int] = {}

    def forget(self, key: Key) -> None:
        """Something has changed, or the object is gone."""
        self._tries.pop(key, None)

    def after(self, key: Key, outcome: Outcome, settled: float | None) -> float:
        """Seconds; `settled`: for an object with which nothing is in progress, None where something is."""
        is_failed = not (outcome.is_complete() or outcome.held_back)
        if settled is not None and not is_failed:
            self.forget(key)
            return settled
        tries = self._tries[key] = self._tries.get(key, 0) + 1
        if is_failed:
            return min(60.0, 2.0 ** min(tries, 6))
        return min(_QUICK, 2.0 ** (tries - 1)) if tries < _QUICK_TRIES else _SLOW
