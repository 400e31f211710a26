"""Locks between commands: one holder at a time, and none after it has ended."""

import subprocess
import sys
from pathlib import Path

import pytest

from devcluster.host import lock, paths

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys
from devcluster.host.lock import lock
with lock("x"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MODELSERVER_CACHE", str(tmp_path))


@pytest.fixture
def holder():
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_lock_that_nobody_has_taken_is_free():
    assert lock.is_free("x")


def test_a_lock_is_free_again_when_its_holder_is_killed(holder):
    assert not lock.is_free("x")
    holder.kill()
    holder.wait()
    assert lock.is_free("x")


def test_a_waiting_command_says_so_and_goes_on_when_the_holder_ends(holder):
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as second:
        assert second.stderr.readline() == "Waiting for another devcluster command that uses x.\n"
        holder.stdin.close()
        assert second.stdout.read() == "held\n"


def test_a_removed_lock_leaves_no_file():
    with lock.lock("x", remove=True):
        assert (paths.locks() / "x.lock").exists()
    assert not (paths.locks() / "x.lock").exists()
