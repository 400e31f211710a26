"""docs/troubleshooting.md quotes what `kubectl describe` really says in each situation."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster import Cluster
from devcluster import engine as engines
from devcluster.demo import installation
from devcluster.demo.installation import SYSTEM_NAMESPACE
from devcluster.kubectl import Kubernetes
from tests.support.e2e import FILL_THE_LOG, pod_of, remove
from tests.support.models import dummy, save
from tests.support.node import Node
from tests.support.situations import (
    BROKEN,
    CUT_OFF,
    EVICTED,
    QUOTA,
    SITUATIONS,
    Situation,
    described,
    is_quoted,
    quoted,
)
from tests.support.waiting import until

pytestmark = [pytest.mark.kind, pytest.mark.long]
SECONDS = 120


@pytest.fixture(scope="module")
def together(kubernetes: Kubernetes) -> Iterator[Kubernetes]:
    """All of them at the same time, because most of them wait for something."""
    for situation in SITUATIONS:
        for item in (*situation.first, situation.manifest()):
            kubernetes.apply(json.dumps(item))
    yield kubernetes
    for situation in SITUATIONS:
        remove(kubernetes, situation.name)
        for item in situation.first:
            kubernetes.kubectl("delete", item["kind"], item["metadata"]["name"])


@pytest.fixture
def served(kubernetes: Kubernetes, request: pytest.FixtureRequest) -> Iterator[Situation]:
    """An object that is Ready."""
    situation: Situation = request.param
    kubernetes.apply(json.dumps(situation.manifest()))
    kubernetes.wait_for(situation.name)
    yield situation
    remove(kubernetes, situation.name)


def check(kubernetes: Kubernetes, situation: Situation) -> None:
    """Wait until it is as the page quotes it."""
    seen = [""]

    def is_as_quoted() -> bool:
        seen[0] = described(kubernetes, situation.name)
        return is_quoted(seen[0], situation)

    try:
        until("what the page quotes", is_as_quoted, timeout=SECONDS)
    except AssertionError:
        pytest.fail(f"{situation.heading}:\n{seen[0]}\nbut the page quotes:\n{quoted(situation.heading)}")


@pytest.mark.parametrize("situation", [pytest.param(item, id=item.name) for item in SITUATIONS])
def test_the_page_quotes_what_is_said(together: Kubernetes, situation: Situation):
    check(together, situation)


def test_the_page_quotes_what_is_said_where_a_quota_is_used_up(kubernetes: Kubernetes):
    kubernetes.kubectl("create", "namespace", "small")
    small = Kubernetes(kubernetes.environment, "small")
    try:
        small.kubectl("create", "quota", "team", "--hard=limits.cpu=100m")
        small.apply(json.dumps(QUOTA.manifest()))
        check(small, QUOTA)
    finally:
        kubernetes.kubectl("delete", "namespace", "small", "--wait=false")


@pytest.mark.parametrize("served", [pytest.param(CUT_OFF, id="cut-off")], indirect=True)
def test_the_page_quotes_what_is_said_where_the_operator_is_cut_off(
    kubernetes: Kubernetes, kind_cluster: Cluster, served: Situation
):
    (operator,) = Kubernetes(kubernetes.environment, SYSTEM_NAMESPACE).items("pods")
    with Node(kind_cluster, engines.ensure()).cut_off(operator["status"]["podIP"], 8082):
        check(kubernetes, served)


@pytest.fixture
def volume(kubernetes: Kubernetes, tmp_path: Path) -> Path:
    """A model of one version on the volume, and where it comes from."""
    save(dummy(), tmp_path / "broken" / "1")
    installation.copy_into_volume(kubernetes, tmp_path / "broken", "broken")
    return tmp_path / "broken"


@pytest.mark.parametrize("served", [pytest.param(BROKEN, id="broken")], indirect=True)
def test_the_page_quotes_what_is_said_where_a_new_version_is_broken(
    kubernetes: Kubernetes, volume: Path, served: Situation
):
    weights = save(dummy(), volume / "2") / "model.bin"
    weights.write_bytes(weights.read_bytes()[:-2])
    installation.copy_into_volume(kubernetes, volume, "broken")
    check(kubernetes, served)


@pytest.mark.parametrize("served", [pytest.param(EVICTED, id="evicted")], indirect=True)
def test_the_page_quotes_what_is_said_where_a_pod_was_evicted(kubernetes: Kubernetes, served: Situation):
    kubernetes.exec(pod_of(kubernetes, served.name)["metadata"]["name"], "sh", "-c", FILL_THE_LOG)
    check(kubernetes, served)
