"""What scales an object, and what protects its replicas."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from modelserver_operator.api import parse
from modelserver_operator.desired import Images, Surroundings, render_kept
from modelserver_operator.desired.kept import rendered
from modelserver_operator.dryrun import _lacks
from tests.support.modelservers import OFFICE_HOURS, PER_STREAM, scaled
from tests.support.one_field import server

CPU = {"type": "CPU", "averageUtilization": 70}
CONCURRENCY = {"type": "Concurrency", "averageValue": 8}
SCALERS = {"HorizontalPodAutoscaler", "ScaledObject"}
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
IMAGES = Images("cpu:1", "gpu:1", "npu:1")
EVERYTHING = Surroundings()
NOTHING_MORE = Surroundings(api_versions=())
"""A cluster without KEDA and without CapacityBuffers."""


def children(around: Surroundings = EVERYTHING, **spec: Any) -> dict[str, dict[str, Any]]:
    made = server(**spec)
    desired = render_kept(made, rendered(made, IMAGES), around=around)
    return {item.kind: item.manifest for item in desired.children if item.kind != "Service"}


def scaled_object(around: Surroundings = EVERYTHING, **fields: Any) -> dict[str, Any]:
    return children(around, **scaled(**fields))["ScaledObject"]["spec"]


@pytest.mark.parametrize(
    ("spec", "kinds"),
    [
        pytest.param({}, set(), id="no autoscaling"),
        pytest.param(scaled(metrics=[CPU]), {"HorizontalPodAutoscaler"}, id="CPU alone"),
        pytest.param(scaled(), {"ScaledObject"}, id="requests"),
        pytest.param(scaled(metrics=[CPU, PER_STREAM]), {"ScaledObject"}, id="CPU and requests"),
        pytest.param(scaled(metrics=[CPU], schedule=[OFFICE_HOURS]), {"ScaledObject"}, id="CPU and times"),
        pytest.param(scaled(metrics=[], schedule=[OFFICE_HOURS]), {"ScaledObject"}, id="times alone"),
    ],
)
def test_one_scaler_has_all_metrics(spec: dict, kinds: set[str]):
    assert children(**spec).keys() & SCALERS == kinds


@pytest.mark.parametrize("metrics", [[CPU], [PER_STREAM]])
def test_a_scaler_scales_the_object_itself(metrics: list):
    (kind,) = children(**scaled(metrics=metrics)).keys() & SCALERS
    target = children(**scaled(metrics=metrics))[kind]["spec"]["scaleTargetRef"]

    assert target == {"apiVersion": "modelserver.dev/v1alpha1", "kind": "ModelServer", "name": "server"}


def test_replicas_stay_those_of_the_object():
    """An autoscaler writes them there: the operator carries them out and forces nothing back."""
    assert children(replicas=7, **scaled(minReplicas=2))["Deployment"]["spec"]["replicas"] == 7


def test_cpu_is_that_of_the_servers_own_container():
    (metric,) = children(**scaled(metrics=[CPU]))["HorizontalPodAutoscaler"]["spec"]["metrics"]

    assert metric["containerResource"] == {
        "name": "cpu",
        "container": "modelserver",
        "target": {"type": "Utilization", "averageUtilization": 70},
    }


def test_it_grows_immediately_and_shrinks_slowly_unless_the_object_says_otherwise():
    down = {"stabilizationWindowSeconds": 30}
    default = children(**scaled(metrics=[CPU]))["HorizontalPodAutoscaler"]["spec"]["behavior"]
    own = children(**scaled(metrics=[CPU], behavior={"scaleDown": down}))["HorizontalPodAutoscaler"]

    assert default["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert default["scaleDown"]["stabilizationWindowSeconds"] == 300
    assert own["spec"]["behavior"] == {"scaleUp": default["scaleUp"], "scaleDown": down}
    assert scaled_object()["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == default


def test_keda_reads_each_figure_from_the_operator():
    around = Surroundings(scale_url="http://op.system.svc:8090", key="k3y")
    triggers = scaled_object(around, metrics=[PER_STREAM, CONCURRENCY])["triggers"]

    assert [trigger["type"] for trigger in triggers] == ["metrics-api", "metrics-api"]
    assert {trigger["metricType"] for trigger in triggers} == {"AverageValue"}
    assert {trigger["metadata"]["url"] for trigger in triggers} == {
        "http://op.system.svc:8090/scale/default/server?key=k3y"
    }
    assert [(t["metadata"]["valueLocation"], t["metadata"]["targetValue"]) for t in triggers] == [
        ("requestsPerStream", "0.75"),
        ("concurrency", "8"),
    ]


@pytest.mark.parametrize(
    ("value", "text"), [("750m", "0.75"), ("1e3", "1000"), (8, "8"), ("1k", "1000"), ("1m", "0.001")]
)
def test_a_target_is_a_number_that_keda_reads(value: str | int, text: str):
    (trigger,) = scaled_object(metrics=[{"type": "Concurrency", "averageValue": value}])["triggers"]

    assert trigger["metadata"]["targetValue"] == text


def test_cpu_and_times_are_triggers_beside_requests():
    cpu, requests, times = scaled_object(metrics=[CPU, PER_STREAM], schedule=[OFFICE_HOURS])["triggers"]

    assert cpu == {
        "type": "cpu",
        "metricType": "Utilization",
        "metadata": {"value": "70", "containerName": "modelserver"},
    }
    assert requests["type"] == "metrics-api"
    assert times == {
        "type": "cron",
        "metadata": {
            "timezone": "Europe/Berlin",
            "start": "0 8 * * 1-5",
            "end": "0 18 * * 1-5",
            "desiredReplicas": "4",
        },
    }


@pytest.mark.parametrize(
    ("fields", "least", "fallback"),
    [
        pytest.param({"minReplicas": 3}, 3, 3, id="three"),
        pytest.param({"minReplicas": 0}, 1, 1, id="zero without anything to wake it"),
        pytest.param({"minReplicas": 0, "schedule": [OFFICE_HOURS]}, 0, 1, id="zero with a schedule"),
        pytest.param(
            {"minReplicas": 0, "schedule": [OFFICE_HOURS], "metrics": []}, 0, 1, id="nothing but a schedule"
        ),
        pytest.param(
            {"minReplicas": 0, "schedule": [OFFICE_HOURS], "metrics": [CPU]},
            1,
            1,
            id="a schedule, and only CPU, which KEDA does not count as work",
        ),
    ],
)
def test_zero_takes_effect_only_with_a_schedule(fields: dict, least: int, fallback: int):
    """At zero no pod reports load."""
    spec = scaled_object(**fields)

    assert spec["minReplicaCount"] == least
    assert spec["fallback"] == {
        "failureThreshold": 3,
        "replicas": fallback,
        "behavior": "currentReplicasIfHigher",
    }


def test_an_hpa_never_goes_to_zero():
    made = children(**scaled(minReplicas=0, metrics=[CPU]))

    assert made["HorizontalPodAutoscaler"]["spec"]["minReplicas"] == 1


def test_the_delay_to_zero_is_set_only_where_it_has_an_effect():
    """KEDA warns of these fields elsewhere. The first delay counts from its creation."""
    delays = {"pollingInterval", "cooldownPeriod", "initialCooldownPeriod"}
    zero = scaled_object(minReplicas=0, schedule=[OFFICE_HOURS], scaleToZeroAfterSeconds=40)

    assert not delays & scaled_object().keys()
    assert {zero["cooldownPeriod"], zero["initialCooldownPeriod"]} == {40}
    assert scaled_object(minReplicas=0, schedule=[OFFICE_HOURS])["cooldownPeriod"] == 300


def test_without_keda_cpu_alone_still_scales():
    assert not children(NOTHING_MORE, **scaled()).keys() & SCALERS
    assert "HorizontalPodAutoscaler" in children(NOTHING_MORE, **scaled(metrics=[CPU]))


def test_no_scaler_is_written_while_another_one_is_there():
    assert not children(Surroundings(waits=True), **scaled()).keys() & SCALERS
    assert not children(Surroundings(waits=True), **scaled(metrics=[CPU])).keys() & SCALERS


@pytest.mark.parametrize(
    ("spec", "has_budget"),
    [
        pytest.param({"replicas": 1}, False, id="one"),
        pytest.param({"replicas": 2}, True, id="two"),
        pytest.param({"replicas": 0}, False, id="none"),
        pytest.param({"replicas": 5, **scaled(minReplicas=1)}, False, id="may become one"),
        pytest.param({"replicas": 1, **scaled(minReplicas=2)}, True, id="will be two"),
    ],
)
def test_a_budget_protects_what_has_at_least_two_replicas(spec: dict, has_budget: bool):
    assert ("PodDisruptionBudget" in children(**spec)) is has_budget


def test_a_budget_never_blocks_a_drain():
    spec = children(replicas=2)["PodDisruptionBudget"]["spec"]

    assert spec["maxUnavailable"] == "10%"  # rounded up: never none
    assert "minAvailable" not in spec
    assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert spec["selector"] == children(replicas=2)["Deployment"]["spec"]["selector"]


def test_headroom_is_a_buffer_of_the_deployments_pods_in_the_version_that_is_served():
    around = Surroundings(api_versions=(("CapacityBuffer", "autoscaling.x-k8s.io/v1alpha1"),))
    made = children(around, headroom=2)["CapacityBuffer"]

    assert made["apiVersion"] == "autoscaling.x-k8s.io/v1alpha1"
    assert made["spec"] == {
        "scalableRef": {"apiGroup": "apps", "kind": "Deployment", "name": "server"},
        "replicas": 2,
    }
    assert "CapacityBuffer" not in children(NOTHING_MORE, headroom=2)
    assert "CapacityBuffer" not in children(around)


def test_pods_are_spread_over_zones_and_nodes_where_there_is_room():
    """The pods of the template before are not counted, or a rollout would end lopsided."""
    constraints = children()["Deployment"]["spec"]["template"]["spec"]["topologySpreadConstraints"]

    assert [(item["topologyKey"], item["maxSkew"]) for item in constraints] == [
        ("topology.kubernetes.io/zone", 1),
        ("kubernetes.io/hostname", 5),
    ]
    assert {item["whenUnsatisfiable"] for item in constraints} == {"ScheduleAnyway"}
    assert all(item["matchLabelKeys"] == ["pod-template-hash"] for item in constraints)


def test_a_spread_of_the_objects_own_replaces_the_default():
    own = {"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}
    made = children(pod={"topologySpreadConstraints": [own]})

    assert made["Deployment"]["spec"]["template"]["spec"]["topologySpreadConstraints"] == [own]


def test_autoscalers_of_the_cluster_may_drain_a_pod_unless_the_object_says_otherwise():
    key = "cluster-autoscaler.kubernetes.io/safe-to-evict"
    own = children(pod={"annotations": {key: "false"}})

    assert children()["Deployment"]["spec"]["template"]["metadata"]["annotations"][key] == "true"
    assert own["Deployment"]["spec"]["template"]["metadata"]["annotations"][key] == "false"


@pytest.mark.parametrize(
    "path", sorted(EXAMPLES.glob("*/modelserver.yaml")), ids=lambda path: path.parent.name
)
def test_the_examples_are_accepted_and_those_that_scale_have_a_scaler(path: Path):
    example = parse(yaml.safe_load(path.read_text()))
    desired = render_kept(example, rendered(example, IMAGES))

    kinds = {item.kind for item in desired.children}
    assert bool(kinds & SCALERS) is (example.spec.autoscaling is not None)


def test_plan_says_what_the_cluster_lacks():
    wish = server(headroom=1, **scaled())

    assert _lacks(wish, EVERYTHING) == []
    assert _lacks(wish, NOTHING_MORE) == [
        "the cluster does not have the API of CapacityBuffer, so none is made",
        "the cluster does not have the API of ScaledObject, so none is made",
    ]
