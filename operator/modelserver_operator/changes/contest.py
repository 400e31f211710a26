"""Children that somebody else keeps changing back: the operator slows down and says so. Pure.

The first corrections follow immediately. Where the same state has to be restored again and again, the pauses
between corrections double. A child that is left alone for twice its pause starts again.
"""

from dataclasses import dataclass

Key = tuple[str, str, str]
"""Namespace, kind and name of a child: one that is deleted again and again has another uid each time."""
FREE = 5
"""Corrections of the same state without a pause."""
WINDOW_SECONDS = 60.0
"""What happens less often does not count."""
_FIRST_PAUSE, _LONGEST_PAUSE = 10.0, 600.0
_REMEMBERED = 10_000


@dataclass
class _Round:
    hash: str
    """Of the desired state: with another one a contest is over."""
    last: float
    """When it was written."""
    count: int = 0
    """How often it had to be written again since."""
    editor: str = ""

    def pause(self) -> float:
        """The seconds between the last write and the next."""
        if self.count < FREE:
            return 0.0
        return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (self.count - FREE))

    def ends(self) -> float:
        return self.last + max(WINDOW_SECONDS, 2 * self.pause())


class Contest:
    """The writes to every child. Times are seconds of any clock that only goes forward."""

    def __init__(self) -> None:
        self._rounds: dict[Key, _Round] = {}

    def wait(self, key: Key, desired: str, now: float) -> float:
        """The seconds for which the child must be left as it is before this state is written to it."""
        found = self._current(key, now)
        if found is None or found.hash != desired:
            return 0.0
        return max(0.0, found.last + found.pause() - now)

    def wrote(self, key: Key, desired: str, editor: str, now: float) -> None:
        """That state was written; `editor` had changed it ("": unknown)."""
        found = self._rounds.pop(key, None)
        if found is None or found.hash != desired or now > found.ends():
            found = _Round(desired, now)
        else:
            found.count, found.last = found.count + 1, now
        found.editor = editor or found.editor
        self._rounds[key] = found  # the newest stands last
        while len(self._rounds) > _REMEMBERED:
            del self._rounds[next(iter(self._rounds))]

    def contested(self, key: Key, now: float) -> str:
        """What is to be said about the child; empty while nobody fights over it."""
        found = self._current(key, now)
        if found is None or found.count < FREE:
            return ""
        who = found.editor or "an unknown client"
        return (
            f"{key[1]} {key[2]} keeps being changed by {who}: the operator has restored it {found.count} "
            f"times and now waits {found.pause():.0f} s between attempts. Stop one of the two."
        )

    def _current(self, key: Key, now: float) -> _Round | None:
        found = self._rounds.get(key)
        return None if found is None or now > found.ends() else found
