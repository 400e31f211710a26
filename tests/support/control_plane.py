"""Kills and restarts the programs of a control plane that runs as plain processes."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import devcluster
from devcluster.host.process import Runner, owned_by
from tests.support.waiting import until

API_SERVER, ETCD = "kube-apiserver", "etcd"


def restart(
    cluster: devcluster.Cluster, *programs: str, meanwhile: Callable[[], object] = lambda: None
) -> None:
    """Kill these programs of the cluster, do something, start them as they were, the last one first."""
    commands = [(program, _kill(cluster, program)) for program in programs]
    until("it is gone", lambda: not cluster.is_answering(), timeout=20)
    meanwhile()
    for program, command in reversed(commands):
        Runner(cluster.owner).start(command, cluster.directory / f"{program}.log")
    until("it is back", cluster.is_answering, timeout=60)


def _kill(cluster: devcluster.Cluster, program: str) -> list[str]:
    (found,) = [p for p in owned_by(cluster.owner) if Path(p.program).name.startswith(program)]
    command = Path(f"/proc/{found.pid}/cmdline").read_text().rstrip("\0").split("\0")
    os.kill(found.pid, signal.SIGKILL)
    until(
        f"{program} has ended", lambda: found.pid not in {p.pid for p in owned_by(cluster.owner)}, timeout=10
    )
    return command
