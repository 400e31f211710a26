"""The configuration of kind and the kubelets, as data."""

import json
from pathlib import Path

import pytest

from devcluster.kind import config as kind_config
from devcluster.state import Options

DIRECTORY = Path("/state/x")


def patches_of(options: Options, processors: int = 2) -> dict[str, dict]:
    wanted = kind_config.configuration("x", options, DIRECTORY, {}, processors)
    return {patch["kind"]: patch for patch in map(json.loads, wanted["kubeadmConfigPatches"])}


def test_one_node_has_the_static_policy_and_a_cpu_for_the_shared_pool():
    kubelet = patches_of(Options())["KubeletConfiguration"]
    assert kubelet["cpuManagerPolicy"] == "static"
    assert kubelet["kubeReserved"]["cpu"] == "500m"


def test_a_node_without_the_policy_names_none():
    assert "cpuManagerPolicy" not in patches_of(Options(cpu_policy="none"))["KubeletConfiguration"]


def test_node_ports_are_mapped_on_loopback_only():
    wanted = kind_config.configuration("x", Options(), DIRECTORY, {30080: 41000}, 2)
    assert wanted["nodes"][0]["extraPortMappings"] == [
        {"containerPort": 30080, "hostPort": 41000, "listenAddress": "127.0.0.1"}
    ]


@pytest.mark.parametrize(
    ("processors", "worker", "reserved"),
    [
        pytest.param(2, "0", "500m", id="two CPUs"),
        pytest.param(4, "0-1", "1500m", id="four CPUs"),
        pytest.param(64, "0-31", "31500m", id="many CPUs"),
    ],
)
def test_two_nodes_share_no_cpu_that_can_be_exclusive(processors, worker, reserved):
    assert kind_config.cpus_of_worker(processors) == worker
    kubelet = patches_of(Options(nodes=2), processors)["KubeletConfiguration"]
    assert kubelet["kubeReserved"]["cpu"] == reserved


def test_the_kubelet_of_a_narrowed_node_counts_more_cpus_than_it_has():
    options = Options(nodes=2, narrowed=True)
    worker = kind_config.configuration("x", options, DIRECTORY, {}, 64)["nodes"][1]
    assert [mount["containerPath"] for mount in worker["extraMounts"]] == ["/kind/patches"]
    assert "cpus-online" not in kind_config.files(options, 64)


@pytest.mark.parametrize("options", [Options(nodes=2), Options(nodes=2, narrowed=True)])
def test_every_mounted_file_is_written(options):
    wanted = kind_config.configuration("x", options, DIRECTORY, {}, 2)
    written = {DIRECTORY / name for name in kind_config.files(options, 2)}
    for mount in (mount for node in wanted["nodes"] for mount in node["extraMounts"]):
        source = Path(mount["hostPath"])
        assert any(file == source or file.is_relative_to(source) for file in written), source
