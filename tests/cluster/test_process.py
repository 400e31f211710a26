"""Programs are found and ended by the owner in their environment."""

import subprocess
import sys
import time
import uuid

import pytest

from devcluster.errors import CommandFailed
from devcluster.host.process import Runner, owned_by, stop_all
from tests.support.waiting import until

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("on", flush=True)
time.sleep(60)
"""


@pytest.fixture
def owner():
    name = f"test:{uuid.uuid4()}"
    yield name
    stop_all(name)


def test_a_started_program_is_found_and_ended_with_its_children(owner, tmp_path):
    Runner(owner).start(["sh", "-c", "sleep 60 & sleep 61"], tmp_path / "log")
    until("both sleeps", lambda: [process.program for process in owned_by(owner)].count("sleep") == 2)
    assert stop_all(owner)
    assert owned_by(owner) == []


def test_a_program_that_ignores_sigterm_is_killed(owner, tmp_path):
    log = tmp_path / "log"
    Runner(owner).start([sys.executable, "-c", STUBBORN], log)
    until("its first line", lambda: "on" in log.read_text())
    begun = time.monotonic()
    stop_all(owner, grace=0.5)
    assert owned_by(owner) == []
    assert time.monotonic() - begun < 30


def test_programs_of_others_are_left_alone(owner):
    other = subprocess.Popen(["sleep", "60"])
    try:
        assert stop_all(owner) == []
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_failure_shows_the_command_and_the_end_of_its_output():
    with pytest.raises(CommandFailed, match=r"ls /nonexistent\n.*No such file"):
        Runner("test").run(["ls", "/nonexistent"])


def test_a_missing_program_is_reported_by_name():
    with pytest.raises(CommandFailed, match="no-such-program is not installed"):
        Runner("test").run(["no-such-program"])


def test_a_program_that_hangs_is_ended(owner):
    with pytest.raises(CommandFailed, match="did not end within"):
        Runner(owner).run(["sleep", "60"], timeout=0.3)
    assert owned_by(owner) == []


def test_a_program_that_becomes_another_is_found_at_every_moment(owner, tmp_path):
    script = tmp_path / "again"
    script.write_text('exec sh "$0"\n')
    Runner(owner).start(["sh", str(script)], tmp_path / "log")
    assert [n for n in range(100) if len(owned_by(owner)) != 1] == []
