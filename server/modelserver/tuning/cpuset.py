"""Which CPUs the kernel's cpuset gives this process, and whether somebody chose them for its container."""

from dataclasses import dataclass
from pathlib import Path

from modelserver.tuning import cgroup
from modelserver.tuning.topology import parse_cpu_list

_FILES = ((2, "cpuset.cpus", "cpuset.cpus.effective"), (1, "cpuset.cpus", "cpuset.effective_cpus"))


@dataclass(frozen=True)
class Cpuset:
    """The cpuset of the process's own control group."""

    version: int | None = None
    """Of the hierarchy that holds it; None where none was found."""
    cpus: tuple[int, ...] | None = None
    """In effect."""
    own: tuple[int, ...] | None = None
    """As written into this group: a CPU manager did that. None where nothing was, and always in version 1,
    where a new group begins with a copy of the one above it."""

    def document(self) -> dict[str, object]:
        """Its part of GET /status."""
        return {
            "cgroup": self.version,
            "cpuset": None if self.cpus is None else list(self.cpus),
            "ownCpuset": None if self.own is None else list(self.own),
        }


def read_cpuset(root: Path = cgroup.CGROUP, membership: str | None = None) -> Cpuset:
    """Of the nearest group that has one, looking upwards from the process's own."""
    for directory in cgroup.directories(root, "cpuset", membership):
        for version, written, effective in _FILES:
            if (text := cgroup.read(directory / effective)) is None:
                continue
            own = cgroup.read(directory / written) if version == 2 else None
            return Cpuset(version, _sorted(text), _sorted(own) if own else None)
    return Cpuset()


def _sorted(text: str) -> tuple[int, ...]:
    return tuple(sorted(parse_cpu_list(text)))
