"""What the kernel says, parsed."""

import pytest

from modelserver.tuning import machine


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
    assert machine.parse_cpu_list(text) == want


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
    found = machine.cgroup_directories(tmp_path, "cpu", told)
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


def test_numa_nodes_are_those_with_a_cpu_of_ours(tmp_path):
    for number, text in enumerate(["0-3", "4-7"]):
        (tmp_path / f"node{number}").mkdir()
        (tmp_path / f"node{number}" / "cpulist").write_text(text)
    assert machine.count_numa_nodes((1, 2), tmp_path) == 1
    assert machine.count_numa_nodes((1, 5), tmp_path) == 2
    assert machine.count_numa_nodes((1,), tmp_path / "missing") == 1
