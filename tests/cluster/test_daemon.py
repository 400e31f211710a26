"""Starting the docker daemon: stale pid files and its configuration."""

import os
from pathlib import Path

from devcluster.engine import daemon


def test_a_pid_file_is_forgotten_when_its_number_belongs_to_another_program(tmp_path):
    file = tmp_path / "docker.pid"
    file.write_text(str(os.getpid()))

    daemon.remove_stale(file, "dockerd")

    assert not file.exists()


def test_a_pid_file_is_forgotten_when_nobody_has_its_number(tmp_path):
    file = tmp_path / "docker.pid"
    file.write_text("999999999")

    daemon.remove_stale(file, "dockerd")

    assert not file.exists()


def test_the_pid_file_of_a_running_program_stays(tmp_path):
    file = tmp_path / "this.pid"
    file.write_text(f"{os.getpid()}\n")

    daemon.remove_stale(file, Path("/proc/self/comm").read_text().strip())

    assert file.exists()


def test_a_runtime_is_added_to_the_daemons_own_settings():
    present = {"log-level": "warn", "runtimes": {"other": {"path": "/other"}}}

    added = daemon.with_runtimes(present, {"ours": Path("/ours")})

    assert added["log-level"] == "warn"
    assert added["runtimes"] == {"other": {"path": "/other"}, "ours": {"path": "/ours"}}


def test_the_configuration_of_a_new_daemon_names_only_our_runtimes():
    assert daemon.with_runtimes({}, {}) == {"runtimes": {}}
