"""Where this process's limits stand in the kernel's control groups, version 1 and 2."""

from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def directories(cgroup: Path, controller: str, membership: str | None = None) -> list[Path]:
    """Where this process's limits may stand: its own group, those above it, the mount's root.

    In a container with a private cgroup namespace the root *is* the own group; with a shared one
    (cgroup v1 in docker) /proc/self/cgroup names it, but the mount shows it at the root again.
    """
    text = membership if membership is not None else read(Path("/proc/self/cgroup")) or ""
    found = []
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            found += _upwards(cgroup, path)
        elif controller in controllers.split(","):
            found += _upwards(cgroup / controller, path)
    return [*found, cgroup / controller, cgroup]


def _upwards(root: Path, path: str) -> list[Path]:
    parts = path.strip("/").split("/")
    return [root.joinpath(*parts[:depth]) for depth in range(len(parts), 0, -1)]


def read(path: Path) -> str | None:
    """A file's text without the white space around it; None where there is none to be read."""
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return None
