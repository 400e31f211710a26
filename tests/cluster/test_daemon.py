"""What a daemon that was killed leaves behind does not keep the next one from starting."""

import os
from pathlib import Path

from devcluster.engine import daemon


def test_a_pid_file_is_forgotten_when_its_number_belongs_to_another_program(tmp_path):
    file = tmp_path / "docker.pid"
    file.write_text(str(os.getpid()))

    daemon.forget_stale(file, "dockerd")

    assert not file.exists()


def test_a_pid_file_is_forgotten_when_nobody_has_its_number(tmp_path):
    file = tmp_path / "docker.pid"
    file.write_text("999999999")

    daemon.forget_stale(file, "dockerd")

    assert not file.exists()


def test_the_pid_file_of_a_running_program_stays(tmp_path):
    file = tmp_path / "this.pid"
    file.write_text(f"{os.getpid()}\n")

    daemon.forget_stale(file, Path("/proc/self/comm").read_text().strip())

    assert file.exists()
