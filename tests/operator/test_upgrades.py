"""An operator of another version, or with other settings, comes: what runs is kept until somebody asks.

Another default image stands for everything that another operator would make differently.
"""

import json
from collections.abc import Callable, Iterator

import pytest

from devcluster.kubectl import Kubernetes
from tests.support.children import OURS, SOON, created, deployment, patch, submit
from tests.support.kept import (
    CURRENT,
    LAST_GOOD,
    NEW,
    OLD,
    UPGRADE,
    ask_for_upgrade,
    change,
    config,
    generation,
    image,
    revisions,
    roles,
    status,
)
from tests.support.kubelet_part import Start
from tests.support.modelservers import model_server
from tests.support.operator_process import OperatorProcess
from tests.support.waiting import until

pytestmark = pytest.mark.api
Restart = Callable[[str], None]


@pytest.fixture
def restart(operator: OperatorProcess) -> Iterator[Restart]:
    """Start the operator again with another default image."""

    def with_image(image: str) -> None:
        assert operator.stop() == 0
        operator.start(f"--cpu-image={image}")

    yield with_image
    with_image(OLD)


def test_the_template_and_its_configuration_are_kept_with_the_object(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes, workers=1, hint="LATENCY")

    (kept,) = revisions(kubernetes)
    (owner,) = kept["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("ModelServer", "server", True)
    assert roles(kubernetes) == [(1, {CURRENT})]
    assert kept["data"]["config"] == kubernetes.get("configmap", "server-config")["data"]["config.json"]
    (container,) = kept["data"]["template"]["spec"]["containers"]
    assert container["image"] == OLD
    assert kept["data"]["inputs"]["config"] == {
        "models": [{"name": "m", "uri": "pvc://models/m"}],
        "hint": "LATENCY",
    }
    # A default of the schema is no input, whoever wrote it.
    assert kept["data"]["inputs"]["template"] == {"models": [{"name": "m", "uri": "pvc://models/m"}]}
    assert status(kubernetes)["upgradeAvailable"] is False


def test_another_default_image_replaces_no_pod_until_the_object_asks_for_it(
    kubernetes: Kubernetes, operator: OperatorProcess, restart: Restart
):
    created(kubernetes)
    before = generation(kubernetes), config(kubernetes), revisions(kubernetes)

    restart(NEW)

    until("it says so", lambda: status(kubernetes)["upgradeAvailable"], timeout=SOON)
    submit(kubernetes, model_server("second"))
    until("new objects get it", lambda: _image_of(kubernetes, "second") == NEW, timeout=SOON)
    assert (generation(kubernetes), config(kubernetes), revisions(kubernetes)) == before

    ask_for_upgrade(kubernetes, "1")

    until("the new image", lambda: image(kubernetes) == NEW, timeout=SOON)
    until("nothing left", lambda: status(kubernetes)["upgradeAvailable"] is False, timeout=SOON)
    assert roles(kubernetes) == [(2, {CURRENT})]


def _image_of(kubernetes: Kubernetes, name: str) -> str:
    return kubernetes.kubectl(
        "get", "deployments", "-l", f"app.kubernetes.io/instance={name}", "-o",
        "jsonpath={.items[*].spec.template.spec.containers[0].image}",
    )  # fmt: skip


def test_the_same_upgrade_is_followed_once(
    kubernetes: Kubernetes, operator: OperatorProcess, restart: Restart
):
    created(kubernetes)
    ask_for_upgrade(kubernetes, "1")
    until("it is noted", lambda: roles(kubernetes) == [(2, {CURRENT})], timeout=SOON)

    restart(NEW)
    until("it says so", lambda: status(kubernetes)["upgradeAvailable"], timeout=SOON)
    kubernetes.kubectl("annotate", "modelserver/server", f"{UPGRADE}-")
    ask_for_upgrade(kubernetes, "1")
    change(kubernetes, replicas=2)
    assert image(kubernetes) == OLD

    ask_for_upgrade(kubernetes, "2")
    until("the new image", lambda: image(kubernetes) == NEW, timeout=SOON)


def test_only_a_change_of_its_own_inputs_gives_a_new_template(
    kubernetes: Kubernetes, operator: OperatorProcess, restart: Restart
):
    created(kubernetes)
    restart(NEW)
    until("it says so", lambda: status(kubernetes)["upgradeAvailable"], timeout=SOON)
    template, revision = deployment(kubernetes)["spec"]["template"], config(kubernetes)["revision"]

    change(kubernetes, replicas=3)
    change(kubernetes, service={"annotations": {"a": "b"}})
    change(kubernetes, rollout={"maxSurge": 2})
    change(kubernetes, drain=None, server={"logLevel": "INFO"}, imagePullPolicy="IfNotPresent")
    assert config(kubernetes)["revision"] == revision
    assert len(revisions(kubernetes)) == 1

    change(kubernetes, hint="LATENCY", pollIntervalSeconds=9, server={"queueSize": 5})
    change(kubernetes, device="AUTO:CPU", models=[{"name": "m", "uri": "pvc://models/other"}])
    assert config(kubernetes)["model_config_list"][0]["config"]["hint"] == "LATENCY"
    assert deployment(kubernetes)["spec"]["template"] == template

    change(kubernetes, resources={"limits": {"memory": "3Gi"}})
    assert image(kubernetes) == NEW


def test_kubectl_rollout_restart_is_no_new_template(
    kubernetes: Kubernetes, operator: OperatorProcess, restart: Restart
):
    created(kubernetes)
    restart(NEW)
    until("it says so", lambda: status(kubernetes)["upgradeAvailable"], timeout=SOON)

    kubernetes.kubectl("rollout", "restart", "deployment/server")
    change(kubernetes, replicas=2)

    assert image(kubernetes) == OLD
    assert len(revisions(kubernetes)) == 1


def test_an_image_that_is_named_is_taken_even_if_it_is_the_operators_default(
    kubernetes: Kubernetes, operator: OperatorProcess, restart: Restart
):
    created(kubernetes)
    restart(NEW)
    until("it says so", lambda: status(kubernetes)["upgradeAvailable"], timeout=SOON)

    change(kubernetes, image=NEW)

    assert image(kubernetes) == NEW


def test_a_paused_object_keeps_its_template_whatever_it_asks_for(
    kubernetes: Kubernetes, operator: OperatorProcess, restart: Restart
):
    created(kubernetes)
    before = generation(kubernetes), config(kubernetes), revisions(kubernetes)
    patch(kubernetes, "modelserver/server", {"spec": {"paused": True, "workers": 1, "hint": "LATENCY"}})
    ask_for_upgrade(kubernetes, "1")
    restart(NEW)

    def held_back() -> str:
        return kubernetes.condition("server", "Applied").get("message", "")

    until("it is held back", lambda: "Deployment server" in held_back(), timeout=SOON)
    assert "ControllerRevision" not in held_back()
    assert (generation(kubernetes), config(kubernetes), revisions(kubernetes)) == before

    patch(kubernetes, "modelserver/server", {"spec": {"paused": False}})

    until("the new image", lambda: image(kubernetes) == NEW, timeout=SOON)
    assert config(kubernetes)["model_config_list"][0]["config"]["hint"] == "LATENCY"


def test_the_last_template_that_was_ready_is_kept_and_taken_back_to(
    kubernetes: Kubernetes, operator: OperatorProcess, restart: Restart, start: Start
):
    start(cpus="0").become_ready()
    until("the last good one", lambda: roles(kubernetes) == [(1, {CURRENT, LAST_GOOD})], timeout=20)
    template, (first,) = deployment(kubernetes)["spec"]["template"], revisions(kubernetes)

    change(kubernetes, image="modelserver:broken")
    change(kubernetes, image="modelserver:broken-too")
    assert roles(kubernetes) == [(1, {LAST_GOOD}), (3, {CURRENT})]

    restart(NEW)
    patch(kubernetes, "modelserver/server", {"spec": {"image": None}})

    until("the first again", lambda: deployment(kubernetes)["spec"]["template"] == template, timeout=SOON)
    until("one is left", lambda: roles(kubernetes) == [(4, {CURRENT, LAST_GOOD})], timeout=SOON)
    (now,) = revisions(kubernetes)
    assert now["metadata"]["uid"] == first["metadata"]["uid"]


def test_what_is_kept_goes_with_its_object(kubernetes: Kubernetes, operator: OperatorProcess):
    created(kubernetes)

    kubernetes.kubectl("delete", "modelserver", "server", "--wait=true")

    # The garbage collector looks for new kinds every 30 s, and the CRD may be younger.
    until("nothing is kept", lambda: revisions(kubernetes) == [], timeout=75)


def test_deleted_revisions_are_made_from_what_runs(
    kubernetes: Kubernetes, operator: OperatorProcess, restart: Restart
):
    created(kubernetes)
    restart(NEW)
    until("it says so", lambda: status(kubernetes)["upgradeAvailable"], timeout=SOON)
    before, (kept,) = generation(kubernetes), revisions(kubernetes)

    kubernetes.kubectl("delete", "controllerrevisions", "-l", OURS)

    until("it is kept again", lambda: len(revisions(kubernetes)) == 1, timeout=SOON)
    (again,) = revisions(kubernetes)
    assert again["data"] == kept["data"]
    assert (generation(kubernetes), image(kubernetes)) == (before, OLD)


def test_a_config_json_that_is_too_large_to_be_kept_is_not_accepted(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    created(kubernetes)
    before = config(kubernetes)

    properties = {f"P{number}": "x" * 4000 for number in range(2)}
    names = ["m", *(f"m{number}" for number in range(1, 64))]
    models = [{"name": name, "uri": "pvc://models/m", "pluginConfig": properties} for name in names]
    large = json.dumps(model_server(models=models))
    kubernetes.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=large)

    def message() -> str:
        return kubernetes.condition("server", "Accepted").get("message", "")

    until("it is not accepted", lambda: "at most 400000 are possible" in message(), timeout=SOON)
    assert config(kubernetes) == before
