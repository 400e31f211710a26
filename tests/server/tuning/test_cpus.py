"""What the kernel says, parsed."""

import pytest

from modelserver.tuning import cgroup, cpuset, machine, topology


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("200000 100000", 2.0),
        ("150000 100000", 1.5),
        ("max 100000", None),
        ("-1 100000", None),
        ("50000", 0.5),
    ],
)
def test_a_quota_is_read_in_cpus(text, want):
    assert machine.parse_cpu_max(text) == want


@pytest.mark.parametrize(("text", "want"), [("0-2,7", {0, 1, 2, 7}), ("3", {3}), ("", set())])
def test_a_cpu_list_is_a_set(text, want):
    assert topology.parse_cpu_list(text) == want


def test_both_cgroup_versions_give_the_quota(tmp_path):
    (tmp_path / "cpu.max").write_text("300000 100000\n")
    assert machine.read_quota(tmp_path) == 3.0
    old = tmp_path / "v1"
    (old / "cpu").mkdir(parents=True)
    (old / "cpu" / "cpu.cfs_quota_us").write_text("250000")
    (old / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert machine.read_quota(old) == 2.5
    assert machine.read_quota(tmp_path / "nothing") is None


def test_the_own_group_comes_before_the_mounts_root(tmp_path):
    told = "4:cpu,cpuacct:/kubepods/pod1\n0::/kubepods/pod1\n"
    found = cgroup.directories(tmp_path, "cpu", told)
    assert found == [
        tmp_path / "cpu" / "kubepods" / "pod1",
        tmp_path / "cpu" / "kubepods",
        tmp_path / "kubepods" / "pod1",
        tmp_path / "kubepods",
        tmp_path / "cpu",
        tmp_path,
    ]


def test_the_tightest_limit_on_the_way_up_counts(tmp_path):
    own = tmp_path / "slice" / "service"
    own.mkdir(parents=True)
    (own / "cpu.max").write_text("max 100000")
    (own.parent / "cpu.max").write_text("150000 100000")
    (own / "memory.max").write_text("1000")
    (own / "memory.current").write_text("100")
    (own.parent / "memory.max").write_text("500")
    (own.parent / "memory.current").write_text("300")
    assert machine.read_quota(tmp_path, "0::/slice/service\n") == 1.5
    assert machine.free_memory(tmp_path, "0::/slice/service\n") == 200


def test_free_memory_counts_the_page_cache_as_free(tmp_path):
    (tmp_path / "memory.max").write_text("1000")
    (tmp_path / "memory.current").write_text("900")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 300\n")
    assert machine.free_memory(tmp_path) == 400
    (tmp_path / "memory.max").write_text("max")
    assert machine.free_memory(tmp_path) is None


@pytest.mark.parametrize(("quota", "want"), [(None, 4), (2.0, 2), (1.2, 2), (0.1, 1), (64.0, 4)])
def test_threads_are_the_smaller_of_affinity_and_quota(quota, want):
    assert machine.Machine((0, 1, 2, 3), 8, quota).threads == want


def written(root, files: dict[str, str]):
    """Files as the kernel shows them."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")
    return root


def test_numa_nodes_are_those_with_a_cpu_of_ours(tmp_path):
    """Documentation/ABI/stable/sysfs-devices-node: cpulist."""
    nodes = written(tmp_path, {"node0/cpulist": "0-3", "node1/cpulist": "4-7", "node10/cpulist": ""})

    def numbers(*affinity: int) -> list[int]:
        return [number for number, _ in topology.read_topology(affinity, tmp_path, nodes).numa_nodes]

    assert numbers(1, 2) == [0]
    assert numbers(1, 5) == [0, 1]
    assert topology.read_topology((5,), tmp_path, nodes).numa_nodes == ((1, (4, 5, 6, 7)),)
    assert topology.read_topology((1,), tmp_path, tmp_path / "missing") == topology.Topology()
    assert machine.Machine((1,), 8, None).numa_nodes == 1


def test_the_hardware_threads_of_each_core_are_named_once(tmp_path):
    """Documentation/ABI/stable/sysfs-devices-system-cpu: thread_siblings_list."""
    cpus = {f"cpu{n}/topology/thread_siblings_list": f"{n % 4},{n % 4 + 4}" for n in range(8)}
    root = written(tmp_path, cpus)

    assert topology.read_topology((0, 1, 4), root, tmp_path).siblings == ((0, 4), (1, 5))
    assert topology.read_topology((9,), root, tmp_path).siblings == ()


V2 = {"cpuset.cpus": "", "cpuset.cpus.effective": "0-3"}


@pytest.mark.parametrize(
    ("files", "membership", "want"),
    [
        pytest.param(V2, "0::/", (2, (0, 1, 2, 3), None), id="version 2, nothing written"),
        pytest.param(
            V2 | {"cpuset.cpus": "2-3", "cpuset.cpus.effective": "2-3"}, "0::/", (2, (2, 3), (2, 3)),
            id="version 2, a CPU manager wrote",
        ),
        pytest.param(
            {f"kubepods.slice/pod1/{name}": text for name, text in V2.items()},
            "0::/kubepods.slice/pod1", (2, (0, 1, 2, 3), None),
            id="version 2, the host's namespace",
        ),
        pytest.param(
            {"cpuset.cpus.effective": "0-7"}, "0::/", (2, tuple(range(8)), None),
            id="version 2, the root, which has no cpuset.cpus",
        ),
        pytest.param(
            {"cpuset/cpuset.cpus": "1", "cpuset/cpuset.effective_cpus": "1"}, "4:cpuset:/docker/a\n0::/",
            (1, (1,), None),
            id="version 1, whose groups always show CPUs",
        ),
        pytest.param({}, "0::/", (None, None, None), id="no cpuset"),
    ],
)  # fmt: skip
def test_who_chose_the_cpus_is_read_from_the_own_group(tmp_path, files, membership, want):
    """Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/cpusets.rst."""
    found = cpuset.read_cpuset(written(tmp_path, files), membership)

    assert (found.version, found.cpus, found.own) == want
