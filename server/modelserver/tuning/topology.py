"""How the machine's CPUs belong together: hardware threads of a core, NUMA nodes."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from modelserver.tuning import cgroup

CPUS = Path("/sys/devices/system/cpu")
NODES = Path("/sys/devices/system/node")


@dataclass(frozen=True)
class Topology:
    """Around the CPUs of an affinity."""

    siblings: tuple[tuple[int, ...], ...] = ()
    """Of each core with one of these CPUs all hardware threads; empty where the kernel does not say."""
    numa_nodes: tuple[tuple[int, tuple[int, ...]], ...] = ()
    """Each NUMA node with one of these CPUs: its number and all its CPUs."""

    def document(self) -> dict[str, object]:
        """Its part of GET /status."""
        return {
            "siblings": [list(threads) for threads in self.siblings],
            "numaNodes": [{"node": number, "cpus": list(cpus)} for number, cpus in self.numa_nodes],
        }


@lru_cache(maxsize=8)
def read_topology(affinity: tuple[int, ...], cpus: Path = CPUS, nodes: Path = NODES) -> Topology:
    """Read once for each affinity: hardware does not change, and a CPU that goes offline leaves the mask."""
    return Topology(_siblings(affinity, cpus), _numa_nodes(affinity, nodes))


def _siblings(affinity: tuple[int, ...], cpus: Path) -> tuple[tuple[int, ...], ...]:
    files = (cpus / f"cpu{number}" / "topology" / "thread_siblings_list" for number in affinity)
    found = {tuple(sorted(parse_cpu_list(text))) for file in files if (text := cgroup.read(file))}
    return tuple(sorted(found))


def _numa_nodes(affinity: tuple[int, ...], nodes: Path) -> tuple[tuple[int, tuple[int, ...]], ...]:
    found = []
    for directory in nodes.glob("node[0-9]*"):
        cpus = parse_cpu_list(cgroup.read(directory / "cpulist") or "")
        if cpus & set(affinity):
            found.append((int(directory.name.removeprefix("node")), tuple(sorted(cpus))))
    return tuple(sorted(found))


def parse_cpu_list(text: str) -> set[int]:
    """The kernel's list format: `0-2,7` is {0, 1, 2, 7}."""
    cpus: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first:
            cpus.update(range(int(first), int(last or first) + 1))
    return cpus
