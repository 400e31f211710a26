"""What a walk through the code is made of: calls in their order, and the files they stay in.

Pure; what records the calls is bench/traced.py.
"""

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

Episode = tuple[tuple[str, str, bool], ...]
"""File, function and whether it was a call: what one callback of an event loop, or one thread, ran."""


@dataclass(frozen=True, slots=True)
class Step:
    """A Python function of the package was called, or a coroutine was resumed."""

    thread: int
    is_first: bool
    """Whether nothing of the package was below it on the stack: the event loop or a thread called it."""
    is_call: bool
    """False for the resumption of a coroutine, and for comprehensions."""
    file: str
    function: str


@dataclass(frozen=True)
class Walk:
    """The calls of one way through the code."""

    name: str
    calls: tuple[tuple[str, str], ...]
    """File and function."""

    @property
    def stays(self) -> list[str]:
        """The files in their order, each once for calls that follow one another."""
        return [file for file, _ in groupby(file for file, _ in self.calls)]

    @property
    def files(self) -> int:
        return len(set(self.stays))

    @property
    def returns(self) -> int:
        """How often a file was entered that had been left before."""
        return len(self.stays) - self.files

    def as_json(self) -> dict[str, Any]:
        """Figures, files in their order, and every call."""
        return {
            "walk": self.name, "calls": len(self.calls), "stays": len(self.stays), "files": self.files,
            "returns": self.returns, "path": self.stays, "functions": [list(call) for call in self.calls],
        }  # fmt: skip


def episodes(steps: Sequence[Step]) -> list[list[int]]:
    """The places of each one's steps."""
    open_: dict[int, list[int]] = {}
    found: list[list[int]] = []
    for place, step in enumerate(steps):
        if step.is_first or step.thread not in open_:
            found.append([])
            open_[step.thread] = found[-1]
        open_[step.thread].append(place)
    return found


def background(steps: Sequence[Step]) -> set[Episode]:
    """What also runs while the program is idle."""
    return {_episode(steps, places) for places in episodes(steps)}


def without(steps: Sequence[Step], idle: Container[Episode]) -> list[Step]:
    """The steps but those of episodes that run anyway."""
    passed_over = {place for places in episodes(steps) if _episode(steps, places) in idle for place in places}
    return [step for place, step in enumerate(steps) if place not in passed_over]


def walk(name: str, steps: Sequence[Step], idle: Container[Episode]) -> Walk:
    """The calls of what was recorded, without the episodes that run anyway."""
    kept = [step for step in without(steps, idle) if step.is_call]
    return Walk(name, tuple((step.file, step.function) for step in kept))


def one_pass(steps: Sequence[Step]) -> list[Step]:
    """From an event to the end of the work it causes, of a program whose loop takes work from a queue.

    The episodes up to the first resumption handle the event (their own first may be one: of what watches);
    the resumed loop looks for work and does it. Later episodes that begin like those handle other events and
    are left out. The end is where the loop looks again.
    """
    found = episodes(steps)
    firsts = [steps[places[0]] for places in found]
    is_loop = [not step.is_call and _name(step) != _name(firsts[0]) for step in firsts]
    resumed = is_loop.index(True) if True in is_loop else len(found)
    starts = {_name(step) for step in firsts[:resumed]}
    later = {place for places in found[resumed:] if _name(steps[places[0]]) in starts for place in places}
    kept = [place for place in range(len(steps)) if place not in later]
    loop = found[resumed] if resumed < len(found) else []
    looks = [_name(steps[place]) for place in loop if steps[place].is_call][:1]
    again = [place for place in kept if steps[place].is_call and [_name(steps[place])] == looks][1:]
    return [steps[place] for place in kept if not again or place < again[0]]


def _name(step: Step) -> tuple[str, str]:
    return step.file, step.function


def _episode(steps: Sequence[Step], places: Iterable[int]) -> Episode:
    return tuple((steps[place].file, steps[place].function, steps[place].is_call) for place in places)


def commonest(walks: Sequence[Walk]) -> Walk:
    """Of several recordings of the same walk the one that came most often; of equals the shortest."""
    counted = Counter(one.calls for one in walks)
    return max(walks, key=lambda one: (counted[one.calls], -len(one.calls)))


def table(walks: Iterable[Walk]) -> str:
    """One line per walk."""
    lines = [f"{'walk':44} {'calls':>5} {'stays':>5} {'files':>5} {'returns':>7}"]
    lines += [
        f"{one.name:44} {len(one.calls):5} {len(one.stays):5} {one.files:5} {one.returns:7}" for one in walks
    ]
    return "\n".join(lines)
