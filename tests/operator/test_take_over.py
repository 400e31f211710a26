"""An installation by an operator from before the templates were kept is taken over without a roll."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from devcluster.kubectl import Kubernetes
from tests.support.children import SOON, deployment, patch, submit
from tests.support.kept import (
    CURRENT,
    OLD,
    ask_for_upgrade,
    change,
    config,
    image,
    is_carried_out,
    roles,
    status,
)
from tests.support.modelservers import model_server
from tests.support.operator_process import OperatorProcess
from tests.support.waiting import until

pytestmark = pytest.mark.api
BEFORE = Path(__file__).parents[1] / "data" / "children_before_templates_were_kept.yaml"


def as_before(kubernetes: Kubernetes, **spec) -> None:
    """The object and its children as an operator from before the templates were kept left them."""
    submit(kubernetes, model_server(**spec))
    uid = kubernetes.get("modelserver", "server")["metadata"]["uid"]
    children = list(yaml.safe_load_all(BEFORE.read_text()))
    for child in children:
        child["metadata"]["namespace"] = kubernetes.namespace
        child["metadata"]["ownerReferences"][0]["uid"] = uid
        annotations = child["metadata"].pop("annotations")
        digest = hashlib.sha256(json.dumps(child, sort_keys=True).encode()).hexdigest()[:16]
        child["metadata"]["annotations"] = {**annotations, "modelserver.dev/desired-hash": digest}
    text = "\n---\n".join(map(json.dumps, children))
    kubernetes.kubectl(
        "apply", "--server-side", "--field-manager=modelserver-operator", "-f", "-", stdin=text
    )
    condition = {
        "type": "Applied", "status": "True", "reason": "Applied", "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    status = {"observedGeneration": 1, "conditions": [condition]}
    patch(kubernetes, "modelserver/server", {"status": status}, "--subresource=status")


def template(kubernetes: Kubernetes) -> dict:
    """Without another one no pod is replaced."""
    found: dict = deployment(kubernetes)["spec"]["template"]
    return found


def test_an_installation_from_before_is_taken_over_without_a_roll(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    assert operator.stop() == 0
    try:
        as_before(kubernetes)
        before, text = template(kubernetes), kubernetes.get("configmap", "server-config")["data"]
    finally:
        operator.start(f"--cpu-image={OLD}")

    until("it is kept", lambda: roles(kubernetes) == [(1, {CURRENT})], timeout=SOON)
    until("it is carried out", lambda: is_carried_out(kubernetes), timeout=SOON)
    until("it says so", lambda: status(kubernetes).get("upgradeAvailable"), timeout=SOON)
    assert (template(kubernetes), image(kubernetes)) == (before, "registry.example/server:1")
    assert kubernetes.get("configmap", "server-config")["data"] == text

    # Its server refuses the key, so it must not come by a hot change.
    change(kubernetes, hint="LATENCY")
    assert config(kubernetes)["model_config_list"][0]["config"]["hint"] == "LATENCY"
    assert "unknownKeys" not in config(kubernetes)
    assert template(kubernetes) == before

    ask_for_upgrade(kubernetes, "1")
    until("the new image", lambda: image(kubernetes) == OLD, timeout=SOON)
    # Pods of the old image are there until the new ones are ready.
    assert "unknownKeys" not in config(kubernetes)


def test_what_was_not_carried_out_before_is_rendered_again(kubernetes: Kubernetes, operator: OperatorProcess):
    assert operator.stop() == 0
    try:
        as_before(kubernetes)
        patch(kubernetes, "modelserver/server", {"spec": {"workers": 1, "hint": "LATENCY"}})
    finally:
        operator.start(f"--cpu-image={OLD}")

    until("it is carried out", lambda: is_carried_out(kubernetes), timeout=SOON)
    assert image(kubernetes) == OLD
    assert config(kubernetes)["model_config_list"][0]["config"]["hint"] == "LATENCY"


def test_a_server_from_before_that_the_object_names_never_gets_a_key_that_it_refuses(
    kubernetes: Kubernetes, operator: OperatorProcess
):
    assert operator.stop() == 0
    try:
        as_before(kubernetes, image="registry.example/server:1")
        patch(kubernetes, "modelserver/server", {"spec": {"hint": "LATENCY"}})
    finally:
        operator.start(f"--cpu-image={OLD}")

    until("it is carried out", lambda: is_carried_out(kubernetes), timeout=SOON)
    assert image(kubernetes) == "registry.example/server:1"
    assert config(kubernetes)["model_config_list"][0]["config"]["hint"] == "LATENCY"
    assert "unknownKeys" not in config(kubernetes)
