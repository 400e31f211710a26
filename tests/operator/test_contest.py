"""When the operator yields to a client that keeps changing a child back, and when it starts anew."""

from modelserver_operator.changes.contest import FREE, Contest

KEY = ("default", "Deployment", "server")


def fought(times: int, gap: float = 1.0) -> tuple[Contest, float]:
    """One write and as many corrections, each as soon as it may be and at least `gap` seconds apart."""
    contest, now = Contest(), 1000.0
    contest.wrote(KEY, "a", "", now)
    for _ in range(times):
        now += gap
        now += contest.wait(KEY, "a", now)
        contest.wrote(KEY, "a", "rival", now)
    return contest, now


def test_the_first_corrections_follow_at_once():
    contest, now = fought(FREE - 1)

    assert contest.wait(KEY, "a", now) == 0
    assert contest.contested(KEY, now) == ""


def test_then_the_pauses_double_up_to_ten_minutes_and_the_rival_is_named():
    assert [round(c.wait(KEY, "a", now)) for c, now in map(fought, range(FREE, FREE + 8))] == [
        10, 20, 40, 80, 160, 320, 600, 600,
    ]  # fmt: skip
    contest, now = fought(FREE)
    assert "Deployment server keeps being changed by rival" in contest.contested(KEY, now)


def test_another_desired_state_is_written_at_once():
    contest, now = fought(FREE + 3)

    assert contest.wait(KEY, "b", now) == 0
    contest.wrote(KEY, "b", "", now)
    assert contest.contested(KEY, now) == ""


def test_a_child_left_alone_long_enough_starts_anew():
    contest, now = fought(FREE + 3)

    assert contest.contested(KEY, now + 2 * 80 - 1) != ""
    assert contest.contested(KEY, now + 2 * 80 + 1) == ""
    assert contest.wait(KEY, "a", now + 2 * 80 + 1) == 0


def test_rare_corrections_are_no_contest():
    contest, now = fought(50, gap=61)

    assert contest.contested(KEY, now) == ""
