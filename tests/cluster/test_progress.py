"""How the steps of a long command are shown."""

import io

import pytest

from devcluster.host.progress import Progress, duration, note


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("seconds", "want"),
    [
        pytest.param(4.25, "4.2s", id="seconds"),
        pytest.param(59.9, "59.9s", id="nearly a minute"),
        pytest.param(65, "1m05s", id="minutes"),
        pytest.param(3605, "60m05s", id="an hour"),
    ],
)
def test_durations_read_as_people_write_them(seconds, want):
    assert duration(seconds) == want


def test_each_step_is_one_line_that_says_how_many_are_left():
    stream = io.StringIO()
    progress = Progress(2, stream)
    with progress.step("first"):
        pass
    progress.expect(1)
    with progress.step("second"):
        pass
    first, second = stream.getvalue().splitlines()
    assert first.startswith("[1/2] first: done in 0.0s")
    assert "1 left" in first
    assert second.startswith("[2/3] second: done in")


def test_a_failed_step_is_marked_as_failed():
    stream = io.StringIO()
    with pytest.raises(ValueError, match="broken"), Progress(1, stream).step("work"):
        raise ValueError("broken")
    assert "[0/1] work: failed after" in stream.getvalue()


def test_a_note_is_a_line_without_a_count():
    stream = io.StringIO()
    note("Installing a package.", stream)
    assert stream.getvalue() == "Installing a package.\n"


def test_a_note_clears_the_line_of_a_terminal():
    stream = Terminal()
    note("Installing a package.", stream)
    assert stream.getvalue() == "\r\033[KInstalling a package.\n"


def test_on_a_terminal_the_line_of_running_steps_is_cleared():
    stream = Terminal()
    with Progress(1, stream).step("work"):
        pass
    assert stream.getvalue().startswith("\r\033[K[1/1] work")
