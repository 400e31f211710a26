"""An upgrade of the operator under load: no pod is replaced, no request fails."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from devcluster import Cluster, load
from devcluster.demo import images, installation
from devcluster.errors import CommandFailed
from devcluster.host.process import Runner
from devcluster.kubectl import Kubernetes, selector
from tests.support.e2e import remove
from tests.support.models import dummy, save
from tests.support.under_load import Load, client
from tests.support.waiting import until

pytestmark = [pytest.mark.kind, pytest.mark.long]
FLOOR = "fd1ee2362b6cfccd84087a54724f956f5f44d535"
"""The commit that brought kept templates and `unknownKeys` into main: from it on upgrades are safe."""
ROOT = Path(__file__).resolve().parents[2]
OBJECT = """
apiVersion: modelserver.dev/v1alpha1
kind: ModelServer
metadata: {name: NAME}
spec:
  image: IMAGE
  models:
  - {name: plus-one, uri: "pvc://models/plus-one"}
  replicas: REPLICAS
  cpuManagerPolicy: none
  resources:
    limits: {cpu: 250m, memory: 512Mi}
  rollout: {drainSeconds: 5}
"""


@dataclass(frozen=True)
class Release:
    """Chart and images of one commit."""

    chart: Path
    operator: str
    server: str

    def install(self, kubernetes: Kubernetes) -> None:
        installation.install_operator(kubernetes, self.operator, self.server, self.chart)


@pytest.fixture
def this(operator_image: images.Image, server_image: images.Image) -> Release:
    return Release(installation.CHART, operator_image.name, server_image.name)


@pytest.fixture
def floor(kind_cluster: Cluster, tmp_path: Path) -> Release:
    """Built from the commit, which a clone without history does not have."""
    archive = tmp_path / "floor.tar"
    try:
        Runner("git").run(["git", "-C", str(ROOT), "archive", "-o", str(archive), FLOOR])
    except CommandFailed as error:
        pytest.skip(
            f"NOT TESTED: an upgrade from {FLOOR[:12]}, because this clone does not have that commit. "
            f"In a shallow clone: git fetch --unshallow. git says: {error}"
        )
    root = tmp_path / "floor"
    root.mkdir()
    Runner("tar").run(["tar", "-xf", str(archive), "-C", str(root)])
    operator, server = (images.build(part, root=root).name for part in ("operator", "server"))
    load(kind_cluster.name, operator, server)
    return Release(root / "charts" / "modelserver-operator", operator, server)


@pytest.fixture
def served(
    kubernetes: Kubernetes, floor: Release, this: Release, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kubernetes]:
    """Two objects by the floor's operator; one names the floor's server image."""
    model = tmp_path_factory.mktemp("model") / "plus-one"
    save(dummy(), model / "1")
    installation.copy_into_volume(kubernetes, model, "plus-one")
    floor.install(kubernetes)
    default = OBJECT.replace("  image: IMAGE\n", "").replace("NAME", "rolling").replace("REPLICAS", "2")
    kubernetes.apply(default)
    pinned = OBJECT.replace("IMAGE", floor.server).replace("NAME", "pinned").replace("REPLICAS", "1")
    kubernetes.apply(pinned)
    with client(kubernetes, this.server):
        for name in ("rolling", "pinned"):
            kubernetes.wait_for(name, timeout=150)
        for name in ("rolling", "pinned"):
            # A Service follows its pods' readiness a moment later.
            until("the Service answers", lambda name=name: answers(kubernetes, name), timeout=30)
        yield kubernetes
    for name in ("rolling", "pinned"):
        remove(kubernetes, name)
    this.install(kubernetes)


def answers(kubernetes: Kubernetes, name: str) -> bool:
    script = f"import urllib.request as u; u.urlopen('http://{name}:8081/v2/health/ready', timeout=5)"
    return kubernetes.succeeds("exec", "pod/load", "--", "/opt/venv/bin/python", "-c", script)


def pods(kubernetes: Kubernetes) -> set[tuple[str, int]]:
    """Each pod of both objects, with the number of its restarts."""
    return {
        (pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"])
        for name in ("rolling", "pinned")
        for pod in kubernetes.items("pods", selector(name))
    }


def status(kubernetes: Kubernetes, name: str) -> dict:
    return kubernetes.get("modelserver", name)["status"]


def test_an_upgrade_replaces_no_pod_and_fails_no_request(
    served: Kubernetes, floor: Release, this: Release, record_property: Callable[[str, object], None]
):
    before = pods(served)
    loads = Load(served, "rolling"), Load(served, "pinned")
    with loads[0], loads[1]:
        this.install(served)
        until(
            "the new operator has seen the object",
            lambda: status(served, "rolling").get("upgradeAvailable") is (floor.server != this.server),
            timeout=60,
        )
        # A later operator's config.json, read by the floor's server.
        for name in ("rolling", "pinned"):
            served.kubectl("patch", "modelserver", name, "--type=merge", "-p", '{"spec":{"hint":"LATENCY"}}')
        for name in ("rolling", "pinned"):
            served.wait_for(name, timeout=120)
            assert status(served, name)["tuning"]["hint"] == "LATENCY"
    record_property(
        f"from {FLOOR[:12]}",
        f"answered {[load.answered for load in loads]}, failed {[len(load.errors) for load in loads]}, "
        f"pods replaced {len(before - pods(served))}",
    )
    assert [load.errors for load in loads] == [[], []]
    assert all(load.answered > 100 for load in loads)
    assert pods(served) == before
