"""Which CPUs and how much memory the kernel gives this process, read when asked."""

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

from modelserver.tuning import cgroup
from modelserver.tuning.cgroup import CGROUP
from modelserver.tuning.cpuset import Cpuset, read_cpuset
from modelserver.tuning.topology import Topology, read_topology


@dataclass(frozen=True)
class Machine:
    """The CPUs as the kernel shows them now."""

    affinity: tuple[int, ...]
    online: int
    quota: float | None
    topology: Topology = field(default_factory=Topology)
    cpuset: Cpuset = field(default_factory=Cpuset)

    @property
    def threads(self) -> int:
        """CPUs worth planning with."""
        limit = len(self.affinity)
        return limit if self.quota is None else max(1, min(limit, math.ceil(self.quota)))

    @property
    def numa_nodes(self) -> int:
        """NUMA nodes that hold at least one of these CPUs; one where the kernel does not say."""
        return max(1, len(self.topology.numa_nodes))


def read_machine(root: Path = CGROUP) -> Machine:
    """Look now: a cpuset shrinks while we run when a neighbour on the node goes exclusive."""
    affinity = tuple(sorted(os.sched_getaffinity(0)))
    return Machine(
        affinity, os.cpu_count() or 1, read_quota(root), read_topology(affinity), read_cpuset(root)
    )


def read_quota(root: Path = CGROUP, membership: str | None = None) -> float | None:
    """CPUs the cgroup and all above it may use; None without a limit."""
    found = (_quota_of(directory) for directory in cgroup.directories(root, "cpu", membership))
    return min((quota for quota in found if quota is not None), default=None)


def _quota_of(directory: Path) -> float | None:
    """As version 2 writes it, or version 1."""
    if (v2 := cgroup.read(directory / "cpu.max")) is not None:
        return parse_cpu_max(v2)
    quota, period = cgroup.read(directory / "cpu.cfs_quota_us"), cgroup.read(directory / "cpu.cfs_period_us")
    return None if quota is None or period is None else parse_cpu_max(f"{quota} {period}")


def parse_cpu_max(text: str) -> float | None:
    """`200000 100000` is 2.0; `max 100000` and v1's -1 mean no limit."""
    quota, _, period = text.strip().partition(" ")
    if quota in ("max", "-1", ""):
        return None
    return int(quota) / int(period or 100000)


def free_memory(root: Path = CGROUP, membership: str | None = None) -> int | None:
    """Bytes the cgroup and all above it still allow, page cache counted as free; None without a limit."""
    found = (_free_in(directory) for directory in cgroup.directories(root, "memory", membership))
    return min((free for free in found if free is not None), default=None)


def _free_in(directory: Path) -> int | None:
    for limit_file, usage_file, cache_key in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit, usage = cgroup.read(directory / limit_file), cgroup.read(directory / usage_file)
        if limit is None or usage is None or limit == "max" or int(limit) >= 1 << 60:
            continue
        return int(limit) - int(usage) + _stat(directory / "memory.stat", cache_key)
    return None


def _stat(path: Path, key: str) -> int:
    for line in (cgroup.read(path) or "").splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return int(value)
    return 0
