"""When an object is looked at again although nothing reports a change."""

from modelserver_operator.api import Status
from modelserver_operator.conditions import awaits_scaling, is_settled
from modelserver_operator.observed.facts import Outcome

_QUICK, _SLOW, _QUICK_TRIES = 5.0, 120.0, 24
_UNSCALED = 60.0
"""Nothing reports that KEDA was installed."""
Key = tuple[str, str]


class Pace:
    """Slower from try to try while something that was begun does not end."""

    def __init__(self) -> None:
        self._tries: dict[Key, int] = {}

    def forget(self, key: Key) -> None:
        """Something has changed, or the object is gone."""
        self._tries.pop(key, None)

    def after(self, key: Key, status: Status, outcome: Outcome, resync: float) -> float:
        """Seconds; `resync` for an object with which nothing is in progress."""
        is_failed = not (outcome.is_complete() or outcome.held_back)
        if is_settled(status) and not is_failed:
            self.forget(key)
            return min(resync, _UNSCALED) if awaits_scaling(status) else resync
        tries = self._tries[key] = self._tries.get(key, 0) + 1
        if is_failed:
            return min(60.0, 2.0 ** min(tries, 6))
        return min(_QUICK, 2.0 ** (tries - 1)) if tries < _QUICK_TRIES else _SLOW
