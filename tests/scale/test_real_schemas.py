"""KEDA's own CRD and Karpenter's of CapacityBuffer take what the operator renders, strictly."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import devcluster
from devcluster.admin import AdminApi
from devcluster.build import upstream
from devcluster.kubectl import Kubernetes
from modelserver_operator import naming
from modelserver_operator.api import parse
from modelserver_operator.desired import Images, render
from tests.support.modelservers import OFFICE_HOURS, PER_STREAM, model_server
from tests.support.operator_process import ROOT
from tests.support.valid_objects import changes

pytestmark = [pytest.mark.api, pytest.mark.long]
EXAMPLES = ("03-autoscaled", "04-scale-to-zero")
PLACES = naming.KINDS | naming.OPTIONAL
Ask = Callable[[dict[str, Any]], str]
RULES = {
    "stabilizationWindowSeconds": 60,
    "selectPolicy": "Min",
    "policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}],
}


@pytest.fixture(scope="module")
def refusal(run_name: str) -> Iterator[Ask]:
    """What the API server says against a child; nothing is stored."""
    cluster = devcluster.up(f"{run_name}-schemas", no_node=True)
    kubernetes = Kubernetes(cluster.environment())
    for crd in (upstream.scaled_object_crd(), upstream.capacity_buffer_crd()):
        kubernetes.kubectl("apply", "--server-side", "-f", str(crd))
        kubernetes.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(crd))
    api = AdminApi(kubernetes.environment["KUBECONFIG"])

    def ask(manifest: dict[str, Any]) -> str:
        place = PLACES[manifest["kind"]]
        root = f"/apis/{manifest['apiVersion']}" if place.group else "/api/v1"
        path = f"{root}/namespaces/default/{place.plural}/{quote(manifest['metadata']['name'])}"
        options = f"fieldManager={naming.MANAGER}&dryRun=All&fieldValidation=Strict"
        status, said = api.ask(
            "PATCH", f"{path}?{options}", manifest, {"Content-Type": "application/apply-patch+yaml"}
        )
        return "" if status in {200, 201} else said.decode()

    yield ask
    api.close()
    devcluster.down(cluster.name)


def children(body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What scales and protects the object, by kind."""
    metadata = {**body["metadata"], "namespace": "default", "uid": "0"}
    made = render(parse({**body, "metadata": metadata}), Images("c", "g", "n")).children
    scaling = {naming.SCALED_OBJECT, naming.CAPACITY_BUFFER, naming.HPA, naming.BUDGET}
    return {child.kind: child.manifest for child in made if child.kind in scaling}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_children_of_an_example_are_taken(refusal: Ask, name: str):
    body = yaml.safe_load((ROOT / "examples" / name / "modelserver.yaml").read_text())
    made = children(body)

    assert naming.SCALED_OBJECT in made
    assert {kind: said for kind, child in made.items() if (said := refusal(child))} == {}


def test_a_field_that_keda_does_not_know_is_refused(refusal: Ask):
    """So that the others were taken because they are right."""
    made = children(model_server(autoscaling={"maxReplicas": 2, "metrics": [PER_STREAM]}, headroom=1))
    wrong, buffer = made[naming.SCALED_OBJECT], made[naming.CAPACITY_BUFFER]
    wrong["spec"]["triggerz"] = []
    buffer["spec"]["replicas"] = -1

    assert "triggerz" in refusal(wrong)
    assert "replicas" in refusal(buffer)


METRICS = st.lists(
    st.one_of(
        st.integers(1, 1000).map(lambda n: {"type": "CPU", "averageUtilization": n}),
        st.sampled_from(("1m", "750m", "1", "2.5", "1e3", 8)).map(
            lambda value: {"type": "RequestsPerStream", "averageValue": value}
        ),
        st.sampled_from(("100m", 1, "64", "1k")).map(
            lambda value: {"type": "Concurrency", "averageValue": value}
        ),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda item: item["type"],
)


@st.composite
def autoscaled(draw: st.DrawFn) -> dict[str, Any]:
    """An object with every part of `autoscaling`, on top of other fields."""
    least = draw(st.integers(0, 3))
    schedule = draw(st.sampled_from(([], [OFFICE_HOURS], [OFFICE_HOURS, {**OFFICE_HOURS, "replicas": 1}])))
    wish = {"minReplicas": least, "maxReplicas": draw(st.integers(5, 1000)), "metrics": draw(METRICS)}
    behavior = draw(st.sampled_from((None, {"scaleUp": RULES}, {"scaleUp": {}, "scaleDown": RULES})))
    wish |= {"behavior": behavior} if behavior else {}
    wish |= {"schedule": schedule} if schedule else {}
    wish |= {"scaleToZeroAfterSeconds": draw(st.sampled_from((0, 600)))} if least == 0 else {}
    spec, _ = draw(changes())
    return {**spec, "autoscaling": wish, "headroom": draw(st.sampled_from((1, 100)))}


def test_the_children_of_any_object_are_taken(refusal: Ask):
    kinds: set[str] = set()

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(autoscaled())
    def holds(spec: dict[str, Any]) -> None:
        made = children(model_server(**spec))
        kinds.update(made)
        assert {kind: said for kind, child in made.items() if (said := refusal(child))} == {}

    holds()
    assert kinds == {naming.SCALED_OBJECT, naming.CAPACITY_BUFFER, naming.HPA, naming.BUDGET}
