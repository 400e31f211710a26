"""The docker daemon that we start: it serves, and stops without a bridge or a firewall rule left.

It runs in namespaces of its own (network, mounts, processes), so that the machine's own daemon and
the clusters on it notice nothing.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(os.geteuid() != 0, reason="starting a daemon needs root"),
]

PREPARE = """
set -e
for directory in /run /var/lib/docker; do mkdir -p $directory; mount -t tmpfs tmpfs $directory; done
ip link set lo up
iptables -A FORWARD -s 198.51.100.7 -j ACCEPT
exec "$0" -c "$1"
"""

LIFE = """
import subprocess
from devcluster import engine
from devcluster.engine import daemon

def rules():
    saved = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    return sorted({line.split(" [")[0] for line in saved.splitlines() if line.startswith(("-A", ":FORWARD"))})

before = rules()
running = engine.ensure()
assert daemon.is_ours()
assert engine.ensure() == running, "the second time it is found, not started"
assert any("docker0" in line for line in rules())
assert running.run("info", "--format", "{{.Containers}}").strip() == "0"
if engine.needs_runtime():
    assert engine.RUNTIME in running.runtimes()
assert engine.stop()
assert engine.find() is None
assert not daemon.is_ours()
assert rules() == before, rules()
links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
assert "docker0" not in links
assert not engine.stop(), "there is none of ours to stop"
print("whole life seen")
"""


def test_a_daemon_that_we_start_serves_and_leaves_nothing(tmp_path):
    namespaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc"]
    result = subprocess.run(
        [*namespaces, "sh", "-c", PREPARE, sys.executable, LIFE],
        cwd=ROOT,
        env={**os.environ, "MODELSERVER_CACHE": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "whole life seen" in result.stdout, result.stdout + result.stderr
