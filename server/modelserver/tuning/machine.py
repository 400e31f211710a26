"""Which CPUs and how much memory the kernel gives this process, read when asked."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
NODES = Path("/sys/devices/system/node")


@dataclass(frozen=True)
class Machine:
    """The CPUs as the kernel shows them now."""

    affinity: tuple[int, ...]
    online: int
    quota: float | None
    numa_nodes: int = 1

    @property
    def threads(self) -> int:
        """CPUs worth planning with."""
        limit = len(self.affinity)
        return limit if self.quota is None else max(1, min(limit, math.ceil(self.quota)))


def read_machine(cgroup: Path = CGROUP) -> Machine:
    """Look now: a cpuset shrinks while we run when a neighbour on the node goes exclusive."""
    affinity = tuple(sorted(os.sched_getaffinity(0)))
    return Machine(affinity, os.cpu_count() or 1, read_quota(cgroup), count_numa_nodes(affinity))


def read_quota(cgroup: Path = CGROUP, membership: str | None = None) -> float | None:
    """CPUs the cgroup and all above it may use; None without a limit."""
    found = (_quota_of(directory) for directory in cgroup_directories(cgroup, "cpu", membership))
    return min((quota for quota in found if quota is not None), default=None)


def _quota_of(directory: Path) -> float | None:
    """As version 2 writes it, or version 1."""
    if (v2 := _read(directory / "cpu.max")) is not None:
        return parse_cpu_max(v2)
    quota, period = _read(directory / "cpu.cfs_quota_us"), _read(directory / "cpu.cfs_period_us")
    return None if quota is None or period is None else parse_cpu_max(f"{quota} {period}")


def parse_cpu_max(text: str) -> float | None:
    """`200000 100000` is 2.0; `max 100000` and v1's -1 mean no limit."""
    quota, _, period = text.strip().partition(" ")
    if quota in ("max", "-1", ""):
        return None
    return int(quota) / int(period or 100000)


def cgroup_directories(cgroup: Path, controller: str, membership: str | None = None) -> list[Path]:
    """Where this process's limits may stand: its own group, those above it, the mount's root.

    In a container with a private cgroup namespace the root *is* the own group; with a shared one
    (cgroup v1 in docker) /proc/self/cgroup names it, but the mount shows it at the root again.
    """
    text = membership if membership is not None else _read(Path("/proc/self/cgroup")) or ""
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


def count_numa_nodes(affinity: tuple[int, ...], nodes: Path = NODES) -> int:
    """NUMA nodes that hold at least one of these CPUs."""
    lists = (_read(path) for path in nodes.glob("node[0-9]*/cpulist"))
    return max(1, sum(bool(parse_cpu_list(text) & set(affinity)) for text in lists if text))


def parse_cpu_list(text: str) -> set[int]:
    """The kernel's list format: `0-2,7` is {0, 1, 2, 7}."""
    cpus: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first:
            cpus.update(range(int(first), int(last or first) + 1))
    return cpus


def free_memory(cgroup: Path = CGROUP, membership: str | None = None) -> int | None:
    """Bytes the cgroup and all above it still allow, page cache counted as free; None without a limit."""
    found = (_free_in(directory) for directory in cgroup_directories(cgroup, "memory", membership))
    return min((free for free in found if free is not None), default=None)


def _free_in(directory: Path) -> int | None:
    for limit_file, usage_file, cache_key in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit, usage = _read(directory / limit_file), _read(directory / usage_file)
        if limit is None or usage is None or limit == "max" or int(limit) >= 1 << 60:
            continue
        return int(limit) - int(usage) + _stat(directory / "memory.stat", cache_key)
    return None


def _stat(path: Path, key: str) -> int:
    for line in (_read(path) or "").splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return int(value)
    return 0


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return None
