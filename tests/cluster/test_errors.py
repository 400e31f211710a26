"""Errors of the command line name what is missing and what to do, without a traceback."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from devcluster import errors
from devcluster.errors import RequirementMissing
from devcluster.host import paths, ports, system

ROOT = Path(__file__).resolve().parents[2]


def devcluster(*arguments, wrapper=(), **environment):
    return subprocess.run(
        [*wrapper, sys.executable, "-m", "devcluster", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def assert_explained(result, code, *texts):
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    for text in texts:
        assert text in result.stderr


def test_without_go_the_version_needed_is_named(tmp_path):
    (tmp_path / "bin").mkdir()
    for program in ("python3", "git"):
        (tmp_path / "bin" / program).symlink_to(f"/usr/bin/{program}")
    result = devcluster("binaries", PATH=str(tmp_path / "bin"), MODELSERVER_CACHE=str(tmp_path / "cache"))
    assert_explained(result, errors.RequirementMissing.exit_code, "Go 1.", "no `go` is on PATH", "go.dev/dl")


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_without_root_and_without_an_engine_the_error_comes_before_any_build(tmp_path):
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        if parent.is_relative_to("/tmp") and parent != Path("/tmp"):  # noqa: S108 (pytest's own directory)
            parent.chmod(0o755)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    result = devcluster("up", "--name", "none", wrapper=nobody, MODELSERVER_CACHE=str(tmp_path / "cache"))
    assert_explained(result, errors.RequirementMissing.exit_code, "needs root", "sudo")


def test_an_engine_chosen_by_the_user_that_does_not_answer_is_not_replaced(tmp_path):
    nowhere = f"unix://{tmp_path}/none.sock"
    search = f"{Path(shutil.which('go')).parent}:/usr/bin:/bin"
    result = devcluster("prepare", DOCKER_HOST=nowhere, MODELSERVER_CACHE=str(tmp_path), PATH=search)
    assert_explained(result, errors.RequirementMissing.exit_code, nowhere, "unset DOCKER_HOST")


def test_too_little_disk_space_is_reported_with_numbers():
    with pytest.raises(RequirementMissing, match=r"(?s)needs about 1000000 GB.*MODELSERVER_CACHE"):
        paths.require_space(1_000_000, "a thing")


def test_a_missing_cluster_is_reported_with_the_command_that_starts_it():
    result = devcluster("env", "--name", "absent")
    assert_explained(result, errors.UnknownCluster.exit_code, '"absent"', "up --name absent")


def test_removing_a_cluster_that_does_not_exist_is_not_an_error():
    assert devcluster("down", "--name", "absent").returncode == 0


def test_extras_are_for_a_cluster_without_a_node():
    assert_explained(devcluster("up", "--with", "kwok"), 1, "--no-node")


def test_three_nodes_are_refused():
    assert_explained(devcluster("up", "--nodes", "3"), 1, "1 or 2 nodes, not 3")


def test_a_taken_port_is_replaced_by_a_free_one():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        chosen = ports.prefer(range(taken, taken + 1))
        assert chosen[taken] != taken
        assert ports.is_free(chosen[taken])


@pytest.mark.parametrize(
    ("bounds", "want"),
    [
        pytest.param("000001fffeffffff", False, id="without CAP_SYS_RESOURCE"),
        pytest.param("000001ffffffffff", True, id="with every capability"),
    ],
)
def test_the_capability_is_read_from_the_kernels_status(bounds, want):
    assert system.may_raise_limits(f"Name:\tx\nCapBnd:\t{bounds}\n") is want
