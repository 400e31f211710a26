"""Calls become walks: stays, files and returns are counted, and what runs anyway is left out."""

from bench.tracing import Step, Walk, background, commonest, one_pass, table, walk


def steps(*places: str, thread: int = 1, first: str = "") -> list[Step]:
    """`file:function`; the event loop calls the names in `first`, `~` marks a resumed coroutine."""
    found = []
    for place in places:
        file, _, function = place.removeprefix("~").partition(":")
        found.append(Step(thread, function in first.split(), not place.startswith("~"), file, function))
    return found


def test_stays_files_and_returns_are_counted():
    found = Walk("w", (("a", "1"), ("a", "2"), ("b", "3"), ("a", "4"), ("c", "5"), ("b", "6")))

    assert found.stays == ["a", "b", "a", "c", "b"]
    assert (found.files, found.returns) == (3, 2)


def test_a_walk_without_calls_has_nothing_to_count():
    found = Walk("w", ())

    assert (found.stays, found.files, found.returns) == ([], 0, 0)


def test_resumed_coroutines_do_not_count():
    assert walk("w", steps("a:f", "b:g", "~a:f", "b:h"), ()).calls == (("a", "f"), ("b", "g"), ("b", "h"))


def test_what_also_runs_while_idle_is_left_out():
    idle = background(steps("clock:beat", "metrics:set", first="beat"))
    recorded = steps("a:f", "clock:beat", "metrics:set", "b:g", first="f beat g")

    assert walk("w", recorded, idle).calls == (("a", "f"), ("b", "g"))


def test_what_starts_like_the_background_and_goes_further_stays():
    idle = background(steps("watch:tick", first="tick"))
    recorded = steps("watch:tick", "config:read", first="tick")

    assert walk("w", recorded, idle).calls == (("watch", "tick"), ("config", "read"))


def test_threads_that_interleave_are_separated():
    idle = background(steps("watch:tick", "watch:look", first="tick"))
    tick, look = steps("watch:tick", "watch:look", first="tick")
    load, swap = steps("loader:load", "loader:swap", thread=2, first="load")

    assert walk("w", [load, tick, swap, look], idle).calls == (("loader", "load"), ("loader", "swap"))


EVENT = ("watch:read", "watch:seen", "store:put")
PASS = ("~queue:loop", "queue:look", "apply:child", "write:status")


def one(*places: str) -> tuple[tuple[str, str], ...]:
    return walk("w", one_pass(steps(*places, first="read seen loop")), ()).calls


def test_other_events_during_a_pass_are_left_out():
    *before, last = PASS
    assert one(*EVENT, *before, *EVENT, "~queue:loop", last, *EVENT) == one(*EVENT, *PASS)
    assert len(one(*EVENT, *PASS)) == 6


def test_a_pass_ends_where_its_loop_looks_for_more_work():
    more = ("queue:look", "apply:child", "write:status")
    assert one(*EVENT, *PASS, *more) == one(*EVENT, *PASS)


def test_where_no_loop_takes_up_work_everything_is_the_pass():
    assert one(*EVENT, *EVENT) == one(*EVENT) * 2
    assert one() == ()


def test_the_commonest_of_several_recordings_counts_and_of_equals_the_shortest():
    usual, long = Walk("w", (("a", "f"),)), Walk("w", (("a", "f"), ("b", "g")))

    assert commonest([long, usual, usual]) == usual
    assert commonest([long, usual]) == usual


def test_the_table_has_a_line_per_walk():
    lines = table([Walk("REST", (("a", "f"), ("b", "g"), ("a", "h")))]).splitlines()

    assert lines[0].split() == ["walk", "calls", "stays", "files", "returns"]
    assert lines[1].split() == ["REST", "3", "3", "2", "1"]


def test_an_event_may_be_handled_by_a_coroutine_that_goes_on():
    event = ("~watch:follow", "watch:take", "store:put")
    recorded = steps(*event, *PASS, *event, "~queue:loop", "queue:look", first="follow loop")

    calls = walk("w", one_pass(recorded), ()).calls

    assert [function for _, function in calls] == ["take", "put", "look", "child", "status"]
