"""Which Go programs are built, and when they are built again."""

import os

import pytest

from devcluster import cluster as clusters
from devcluster.build import programs
from devcluster.errors import DevclusterError, RequirementMissing
from devcluster.host import paths
from devcluster.state import Options


def test_versions_are_read_from_the_pinned_modules():
    assert programs.module_version("k8s.io/kubernetes").startswith("v1.")
    with pytest.raises(RequirementMissing, match=r"does not require example.com/none"):
        programs.module_version("example.com/none")


def test_the_tag_kubeadm_wants_of_coredns_is_the_version_that_is_built():
    built = programs.build(programs.FOR_USE, programs.Progress(0))
    version = programs.module_version("k8s.io/kubernetes")
    command = [built / "kubeadm", "config", "images", "list", "--kubernetes-version", version]
    images = programs.Runner("test").run(command)
    assert f"/coredns:{programs.module_version('github.com/coredns/coredns')}\n" in images


def test_every_program_is_pinned_by_a_tools_file():
    separate = (programs.KEDA, programs.KARPENTER, *programs.VERSIONS.values())
    for group in (*programs.FOR_USE, *programs.FOR_NODES, *separate):
        pinned = (programs.MODULES / group.module / "tools.go").read_text()
        for package in group.packages.values():
            assert package.startswith("./") or f'"{package}"' in pinned, package
    assert programs.PIN.packages == {"pin": "./pin"}, "a program of our own needs no tools.go"


@pytest.mark.parametrize("minor", programs.VERSIONS)
def test_another_version_replaces_exactly_the_programs_of_kubernetes_and_has_a_directory_of_its_own(
    minor: str,
):
    of_kubernetes = {
        name
        for group in (*programs.FOR_USE, *programs.FOR_NODES)
        for name, package in group.packages.items()
        if package.startswith(programs.KUBERNETES_MODULE)
    }

    assert programs.VERSIONS[minor].packages.keys() == of_kubernetes
    assert programs.kubernetes_version(minor).startswith(f"v{minor}.")
    assert programs.directory(minor) != programs.directory()
    assert programs.directory() == programs.directory("")


def test_a_version_that_is_not_pinned_is_refused_with_those_that_are():
    with pytest.raises(DevclusterError, match=r"1\.20 is not among those that can be built: 1\.36, 1\.37\."):
        clusters.check(Options(kubernetes="1.20"))


def test_a_hash_changes_with_content_and_not_with_order(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1")
    two.write_text("2")
    before = paths.fingerprint([one, two])
    assert paths.fingerprint([two, one]) == before
    two.write_text("3")
    assert paths.fingerprint([one, two]) != before


def test_entries_unused_for_a_week_are_forgotten(tmp_path):
    old, used = tmp_path / "old", tmp_path / "used"
    for directory in (old, used):
        directory.mkdir()
        os.utime(directory, (0, 0))
    paths.remove_unused(tmp_path, used)
    assert not old.exists()
    assert used.exists()


def test_the_sources_of_a_module_are_found_also_before_any_build_has_downloaded_them(tmp_path, monkeypatch):
    monkeypatch.setenv("GOMODCACHE", str(tmp_path))
    monkeypatch.setenv("GOFLAGS", "-modcacherw")

    sources = programs.module_directory("sigs.k8s.io/kind")

    assert sources.is_relative_to(tmp_path)
    assert (sources / "pkg/apis/config/defaults/image.go").is_file()
