"""The table of cases."""

from collections.abc import Iterator

from tests.chaos.harms import (
    HOUR,
    Case,
    killed,
    killed_around,
    lease_lost,
    off,
    refused,
    refused_at_the_start,
    refused_for_ever,
    reported,
    status_refused_for_ever,
    undisturbed,
    upgraded_unseeing,
)
from tests.chaos.lanes import UNDISTURBED
from tests.chaos.steps import STEPS
from tests.chaos.traffic import Fault, Lines

STATUS = "modelservers/status"
REFUSING = (
    Fault.FORBIDDEN, Fault.CONFLICT, Fault.INVALID, Fault.BUSY, Fault.BROKEN,
    Fault.CUT, Fault.LOST, Fault.NEVER,
)  # fmt: skip
CHILDREN = {"controllerrevisions", "serviceaccounts", "configmaps", "services", "deployments"}
VERBS: dict[str, tuple[str, set[str], set[str]]] = {
    "create": ("create", {"patch"}, CHILDREN),
    "change": ("edit", {"patch", "try"}, CHILDREN),
    "scaler": ("autoscale", {"patch"}, {"poddisruptionbudgets", "horizontalpodautoscalers"}),
    "delete": ("prune", {"delete"}, set()),
    "get": ("lose", {"get"}, {"services"}),
    "status": ("scale", {"patch"}, {STATUS}),
    "event": ("drift", {"create", "patch"}, {"events"}),
}
"""By what is refused: the step that needs it, verbs and resources."""
KILLS: dict[str, tuple[tuple[str, str, int], ...]] = {
    "create": (
        ("patch", "controllerrevisions", 0),
        ("patch", "serviceaccounts", 0),
        ("patch", "configmaps", 0),
        ("patch", "services", 0),
        ("patch", "services", 1),
        ("patch", "deployments", 0),
        ("patch", STATUS, 0),
        ("patch", STATUS, 1),
    ),
    "edit": (
        ("patch", "controllerrevisions", 0),
        ("patch", "configmaps", 0),
        ("patch", "deployments", 0),
        ("delete", "controllerrevisions", 0),
        ("patch", STATUS, 0),
        ("create", "events", 0),
    ),
    "scale": (("patch", "deployments", 0), ("patch", "poddisruptionbudgets", 0), ("patch", STATUS, 0)),
    "autoscale": (
        ("patch", "deployments", 0),
        ("patch", "poddisruptionbudgets", 0),
        ("patch", "horizontalpodautoscalers", 0),
    ),
    "prune": (
        ("patch", "controllerrevisions", 0),
        ("patch", "deployments", 0),
        ("delete", "serviceaccounts", 0),
        ("delete", "controllerrevisions", 0),
    ),
    "drift": (("patch", "deployments", 0), ("create", "events", 0)),
    "lose": (("patch", "services", 0), ("patch", "services", 1)),
}
"""Every write of an undisturbed step, but how often a status follows the Deployment's is up to that."""
SAMPLED_VERBS = {
    ("create", Fault.FORBIDDEN), ("create", Fault.LOST), ("change", Fault.INVALID), ("change", Fault.CUT),
    ("delete", Fault.BROKEN), ("get", Fault.BUSY), ("status", Fault.CONFLICT), ("event", Fault.BROKEN),
}  # fmt: skip
SAMPLED_KILLS = {
    ("create", 0, Fault.KILLED_AFTER), ("create", 5, Fault.KILLED_AFTER),
    ("edit", 2, Fault.KILLED_AFTER), ("prune", 2, Fault.KILLED_BEFORE),
}  # fmt: skip
SAMPLED_LINES = {
    (Lines.DROPPED, "edit twice"), (Lines.DOUBLED, "edit twice"), (Lines.LATE, "edit twice"),
    (Lines.REPEATED, "scale and delete"), (Lines.DROPPED, "remove"),
}  # fmt: skip
IN_A_LANE = 8
"""Kills take turns, so this many share an operator."""


def _undisturbed() -> Iterator[Case]:
    for step in STEPS:
        yield Case(f"{step}, undisturbed", step, undisturbed, UNDISTURBED, is_sampled=True)


def _verbs() -> Iterator[Case]:
    for number, (what, (step, verbs, resources)) in enumerate(VERBS.items()):
        for fault in REFUSING:
            play = refused(fault, verbs, resources)
            is_sampled = (what, fault) in SAMPLED_VERBS
            lane = "verbs sampled" if is_sampled else f"verbs {number % 2}"
            lane += " never" * (fault is Fault.NEVER)
            yield Case(f"{step}: {what} {fault}", step, play, lane, is_sampled)


def _leases() -> Iterator[Case]:
    for fault in REFUSING:
        options = {"lease_seconds": 6}
        yield Case(
            f"scale: lease {fault}", "scale", lease_lost(fault), "leases", fault is Fault.BROKEN, options
        )


def _lists() -> Iterator[Case]:
    for fault in REFUSING:
        name = f"edit: list at the start {fault}"
        play = refused_at_the_start(fault)
        yield Case(name, "edit", play, f"list {fault}", fault is Fault.FORBIDDEN)
        name = f"stay: another release while list {fault}"
        play = upgraded_unseeing(fault)
        yield Case(name, "stay", play, f"list upgraded {fault}", fault is Fault.FORBIDDEN)
        name = f"edit: list and watch {fault}"
        yield Case(name, "edit", refused(fault, {"list", "watch"}), f"list and watch {fault}")
    for fault in (*REFUSING, Fault.GONE):
        play = refused(fault, {"watch"})
        yield Case(f"edit: watch {fault}", "edit", play, f"watch {fault}", fault is Fault.BROKEN)


def _lines() -> Iterator[Case]:
    for lines in Lines:
        for step in ("edit twice", "scale and delete", "drift", "replace", "lose", "remove"):
            is_exact = step != "replace"
            name = f"{step}: events {lines}"
            play = reported(lines, is_exact=is_exact)
            yield Case(name, step, play, "events", (lines, step) in SAMPLED_LINES)


def _kills() -> Iterator[Case]:
    sampled = all_others = 0
    for step, points in KILLS.items():
        for place, (verb, resource, after) in enumerate(points):
            for fault in (Fault.KILLED_BEFORE, Fault.KILLED_AFTER):
                is_sampled = (step, place, fault) in SAMPLED_KILLS
                if is_sampled:
                    lane, sampled = f"kills {sampled % 2}", sampled + 1
                else:
                    lane, all_others = f"kills more {all_others // IN_A_LANE}", all_others + 1
                name = f"{step}: {fault} {verb} {resource} {after + 1}"
                yield Case(name, step, killed(fault, verb, resource, after), lane, is_sampled)
    for step in ("delete", "replace"):
        for is_before in (True, False):
            name = f"{step}: killed {'before' if is_before else 'after'} it"
            play = killed_around(is_before=is_before, is_exact=step != "replace")
            yield Case(name, step, play, "kills of deletions", is_before and step == "delete")


def _clocks() -> Iterator[Case]:
    for words, start, then in (
        ("is an hour ahead", HOUR, HOUR),
        ("is an hour behind", -HOUR, -HOUR),
        ("goes an hour ahead", 0, HOUR),
        ("goes an hour back", 0, -HOUR),
    ):
        for step in ("create", "edit twice"):
            is_sampled = (step, start) == ("edit twice", HOUR)
            options = {"clock": start, "lease_seconds": 6}
            yield Case(f"{step}: the clock {words}", step, off(then), f"clock {words}", is_sampled, options)


def _permanent() -> Iterator[Case]:
    for resource in sorted(CHILDREN):
        needed = {"serviceaccounts", "configmaps"} & {resource}
        for fault in (Fault.FORBIDDEN, Fault.INVALID, Fault.BROKEN, Fault.CUT):
            name = f"create: {resource} {fault} for ever"
            untouched = frozenset({"deployments"} if needed else ())
            play = refused_for_ever(fault, "patch", resource, "create", untouched)
            yield Case(
                name, "create", play, "permanent 0", (resource, fault) == ("configmaps", Fault.FORBIDDEN)
            )
    for resource, untouched in (
        ("controllerrevisions", frozenset({"configmaps", "deployments", "delete"})),
        ("configmaps", frozenset({"deployments", "delete"})),
        ("deployments", frozenset({"configmaps", "delete"})),
    ):
        for fault in (Fault.FORBIDDEN, Fault.CUT):
            name = f"edit: {resource} {fault} for ever"
            is_first = (resource, fault) == ("controllerrevisions", Fault.FORBIDDEN)
            word = "create" if resource == "controllerrevisions" else "change"
            play = refused_for_ever(fault, "patch", resource, word, untouched)
            yield Case(name, "edit", play, "permanent 0", is_first)
    for fault in (Fault.FORBIDDEN, Fault.CUT):
        name = f"prune: deployments {fault} for ever"
        play = refused_for_ever(fault, "patch", "deployments", "change", frozenset({"delete"}))
        yield Case(name, "prune", play, "permanent 0", fault is Fault.FORBIDDEN)
        name = f"prune: delete serviceaccounts {fault} for ever"
        yield Case(
            name, "prune", refused_for_ever(fault, "delete", "serviceaccounts", "delete"), "permanent 0"
        )
        name = f"create: {STATUS} {fault} for ever"
        yield Case(name, "create", status_refused_for_ever(fault), "permanent 0")


CASES = {
    case.name: case
    for cases in (_undisturbed, _verbs, _leases, _lists, _lines, _kills, _clocks, _permanent)
    for case in cases()
}
