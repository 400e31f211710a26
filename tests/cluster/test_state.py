"""What is recorded about a cluster, and read by later commands, also of another version."""

import json
from pathlib import Path

import pytest

from devcluster import state
from devcluster.errors import DevclusterError, UnknownCluster
from devcluster.state import Cluster, Options

CLUSTER = Cluster(
    "x",
    Options(nodes=3, no_node=True, extras=("kwok", "scheduler"), cpu_policy="none"),
    Path("/state/x"),
    Path("/bin"),
    engine={"DOCKER_HOST": "unix:///here"},
    node_ports={30080: 41000},
)
DEFAULTS = Cluster("x", Options(), Path("/state/x"), Path("/bin"))


def recorded(cluster: Cluster) -> dict:
    """The record as a later command reads it from its file."""
    return json.loads(json.dumps(state.to_record(cluster)))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MODELSERVER_CACHE", str(tmp_path))
    return tmp_path


def test_a_record_gives_the_cluster_back():
    assert state.from_record(recorded(CLUSTER)) == CLUSTER


@pytest.mark.parametrize("field", ["nodes", "no_node", "extras", "cpu_policy"])
def test_an_option_that_an_older_record_lacks_has_its_default(field):
    record = recorded(CLUSTER)
    del record["options"][field]

    assert getattr(state.from_record(record).options, field) == getattr(Options(), field)


@pytest.mark.parametrize("field", ["options", "engine", "node_ports"])
def test_a_field_that_an_older_record_lacks_has_its_default(field):
    record = recorded(CLUSTER)
    del record[field]

    assert getattr(state.from_record(record), field) == getattr(DEFAULTS, field)


def test_fields_of_a_newer_record_are_ignored():
    record = recorded(CLUSTER) | {"colour": "blue"}
    record["options"]["size"] = 5

    assert state.from_record(record) == CLUSTER


@pytest.mark.parametrize(
    ("options", "want"),
    [
        pytest.param(Options(), "none", id="defaults"),
        pytest.param(Options(nodes=2), "--nodes 2", id="nodes"),
        pytest.param(Options(nodes=2, narrowed=True), "--nodes 2 --narrowed", id="narrowed"),
        pytest.param(Options(cpu_policy="none"), "--cpu-policy none", id="policy"),
        pytest.param(Options(kubernetes="1.37"), "--kubernetes 1.37", id="version"),
        pytest.param(Options(no_node=True, extras=("a", "b")), "--no-node --with a --with b", id="extras"),
    ],
)
def test_options_are_shown_as_flags(options, want):
    assert options.as_flags() == want


def test_a_cluster_is_found_only_after_its_start_is_complete(cache):
    cluster = Cluster("x", Options(), state.directory_of("x"), Path("/bin"))

    state.begin(cluster)
    assert state.find("x") is None
    assert state.find("x", unfinished_too=True) == cluster
    state.complete(cluster)
    assert state.find("x") == cluster
    assert state.names() == ["x"]
    state.remove_directory("x")
    assert state.names() == []


def test_the_directory_of_a_cluster_is_closed_to_other_users(cache):
    state.begin(Cluster("x", Options(), state.directory_of("x"), Path("/bin")))

    assert state.directory_of("x").stat().st_mode & 0o077 == 0


def test_an_unknown_cluster_is_reported_with_those_that_exist(cache):
    cluster = Cluster("x", Options(), state.directory_of("x"), Path("/bin"))
    state.begin(cluster)

    with pytest.raises(UnknownCluster, match=r'no cluster "y" \(existing clusters: x\).*up --name y'):
        state.get("y")


def test_a_node_port_that_is_not_mapped_is_reported_with_those_that_are():
    assert CLUSTER.node_port(30080) == 41000
    with pytest.raises(DevclusterError, match=r"NodePort 31000 .* Mapped are: 30080"):
        CLUSTER.node_port(31000)


@pytest.mark.parametrize("name", ["", "Upper", "-a", "a-", "a/b", "../x", "a" * 41])
def test_a_name_that_cannot_be_a_cluster_is_refused(name):
    with pytest.raises(DevclusterError, match="is not a valid cluster name"):
        state.check_name(name)


@pytest.mark.parametrize("name", ["a", "dev", "a-1", "a" * 40])
def test_a_usual_name_is_accepted(name):
    assert state.check_name(name) == name
