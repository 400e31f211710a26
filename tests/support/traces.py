"""What a cluster may leave on this machine, read from /proc and from the engine."""

from pathlib import Path

from devcluster import engine, state
from devcluster.host import process


def of(name: str) -> dict[str, list[str]]:
    """All traces of a cluster by kind; empty when nothing is left."""
    directory = str(state.directory_of(name))
    found = {
        "processes": [one.program for one in process.owned_by(state.owner_of(name))],
        "command lines": [line for line in _command_lines() if directory in line],
        "mounts": [
            line for line in Path("/proc/self/mountinfo").read_text().splitlines() if directory in line
        ],
        "files": [directory] if Path(directory).exists() else [],
        "containers": _containers(name),
    }
    return {kind: traces for kind, traces in found.items() if traces}


def _command_lines() -> list[str]:
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # it has ended
            continue
    return lines


def _containers(name: str) -> list[str]:
    running = engine.find()
    if running is None:
        return []
    label = f"label=io.x-k8s.kind.cluster={name}"
    return running.run("ps", "--all", "--filter", label, "--format", "{{.Names}}").split()
