"""A build whose command was killed: the next `down` ends it and removes its files."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from devcluster.build import base_image, programs
from devcluster.host import paths, process
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of its own, so that other builds are not affected."""
    monkeypatch.setenv("MODELSERVER_CACHE", str(tmp_path))
    yield tmp_path
    process.stop_all(programs.OWNER)
    process.stop_all(base_image.OWNER)


def kill_during(code, running):
    """Kill it while its programs run; one of them may end by itself, since nobody reads what it writes."""
    started = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until("the build has begun", running, timeout=30)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()


def down():
    command = [sys.executable, "-m", "devcluster", "down", "--name", "none"]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60, capture_output=True)


def test_go_builds_end_and_leave_no_half_built_program(cache):
    begun = lambda: process.owned_by(programs.OWNER) and list(cache.glob("bin/*/.building-*"))  # noqa: E731
    kill_during("import devcluster; devcluster.binaries()", begun)
    down()
    assert process.owned_by(programs.OWNER) == []
    assert list(cache.glob("bin/*/.building-*")) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="debootstrap needs root")
def test_debootstrap_ends_and_leaves_no_mount(cache):
    code = "from devcluster.build import base_image as b; from devcluster.host.progress import Progress as P"
    code += "; b.bootstrap(P(0))"
    started = lambda: list(cache.glob("base/.building-*/root"))  # noqa: E731
    begun = lambda: process.owned_by(base_image.OWNER) and started()  # noqa: E731
    kill_during(code, begun)
    down()
    assert process.owned_by(base_image.OWNER) == []
    assert list(cache.glob("base/.building-*")) == []
    assert str(paths.cache()) not in Path("/proc/self/mountinfo").read_text()
