"""Errors that come again and again fill no log."""

import logging
from itertools import pairwise

from modelserver.telemetry.recurring import FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS, RecurringErrors

LOG = logging.getLogger(__name__)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def lines(caplog):
    return [(bool(record.exc_info), record.getMessage()) for record in caplog.records]


def test_an_error_is_logged_whole_once_and_rarer_and_rarer_after_that(caplog):
    errors = RecurringErrors(LOG, "looking", clock := Clock())
    moments = []
    for second in range(4 * 3600):
        clock.now = float(second)
        before = len(caplog.records)
        errors.failed(ValueError("the same"))
        moments += [second] * (len(caplog.records) - before)
    assert moments[:4] == [0, 60, 180, 420]
    pauses = [later - earlier for earlier, later in pairwise(moments)]
    assert pauses[0] == FIRST_PAUSE_SECONDS
    assert pauses == sorted(pauses)
    assert pauses[-1] == MAX_PAUSE_SECONDS
    (is_whole, first), *rest = lines(caplog)
    assert (is_whole, first) == (True, "unexpected error while looking")
    assert not any(is_whole for is_whole, _ in rest)
    assert rest[0][1] == "looking still fails, for the 61. time: ValueError('the same')"


def test_errors_that_take_turns_are_logged_once_each(caplog):
    errors = RecurringErrors(LOG, "looking", Clock())
    for _ in range(50):
        for text in ("one", "two"):
            errors.failed(ValueError(text))
    assert [is_whole for is_whole, _ in lines(caplog)] == [True, True]


def test_after_a_success_the_same_error_is_new(caplog):
    errors = RecurringErrors(LOG, "looking", Clock())
    for _ in range(2):
        errors.failed(ValueError("the same"))
        errors.succeeded()
    assert [is_whole for is_whole, _ in lines(caplog)] == [True, True]
