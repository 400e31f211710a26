"""Autoscaled: what sets replicas, why not further, and whose scaler it is."""

from dataclasses import replace
from typing import Any

import pytest

from modelserver_operator.api import Condition
from modelserver_operator.conditions import awaits_scaling, judge
from modelserver_operator.observed.facts import Facts, Outcome
from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.report import Reply
from modelserver_operator.observed.scaling.facts import Scaling
from modelserver_operator.observed.scaling.foreign import Foreign, foreign_scalers
from modelserver_operator.observed.scaling.report import HpaReport, ScaledObjectReport, read_report
from tests.operator.test_conditions import NEVER_JUDGED, NOW, POD, REVISION, ROLLOUT, SERVER
from tests.support.modelservers import OFFICE_HOURS, scaled
from tests.support.one_field import server

CPU = scaled(metrics=[{"type": "CPU", "averageUtilization": 80}])
HPA = HpaReport(
    "server", current=1, wanted=1, metrics=("CPU 62 % of 80 %",), limit="", problem="", is_off=False,
    is_ambiguous=False, last_scale="", has_looked=True,
)  # fmt: skip
KEDA = ScaledObjectReport("k", "http://op", problem="", is_fallback=False, is_paused=False, has_looked=True)
REPORTING = SERVER.model_copy(update={"reports_load": True})
BOTH = Scaling(hpa=HPA, scaled_object=KEDA)
NO_POD_FITS = replace(
    POD, uid="v", name="q", is_running=False, is_ready=False, waiting="Unschedulable: no room"
)


def facts(scaling: Scaling, *more: Pod, reports_load: bool = True) -> Facts:
    reply = Reply(REPORTING if reports_load else SERVER)
    return Facts(ROLLOUT, (POD, *more), {"u": reply}, scaling=scaling)


def autoscaled(found: Facts, **spec: Any) -> Condition | None:
    status = judge(server(**spec), found, REVISION, NEVER_JUDGED, NOW)
    conditions = {item.type: item for item in status.conditions}
    assert list(conditions)[-1] == "Ready"
    return conditions.get("Autoscaled")


def said(found: Facts, **spec: Any) -> tuple[str, str]:
    condition = autoscaled(found, **spec)
    assert condition is not None
    return condition.status, condition.reason


def test_nothing_is_said_of_an_object_that_nothing_scales():
    assert autoscaled(facts(Scaling())) is None


def hpa(**changes: Any) -> Scaling:
    return Scaling(hpa=replace(HPA, **changes))


def keda(**changes: Any) -> Scaling:
    return Scaling(hpa=HPA, scaled_object=replace(KEDA, **changes))


WITHOUT_KEDA = Scaling(missing=frozenset({"ScaledObject"}))
OTHER = Foreign("HorizontalPodAutoscaler", "mine", "ModelServer")
ON_DEPLOYMENT = Foreign("ScaledObject", "mine", "Deployment")
VERTICAL = Foreign("VerticalPodAutoscaler", "mine", "Deployment")
CASES = {
    "by CPU": (CPU, hpa(), "True", "Autoscaled", "CPU 62 % of 80 %, replicas 1 (1 to 10)"),
    "by requests": (scaled(), BOTH, "True", "Autoscaled", "1 to 10"),
    "no report yet": (CPU, Scaling(), "Unknown", "AwaitingScaler", "not reported yet"),
    "no report of KEDA yet": (scaled(), keda(has_looked=False), "Unknown", "AwaitingScaler", "KEDA"),
    "no KEDA": (scaled(), WITHOUT_KEDA, "False", "KEDAMissing", "install it"),
    "CPU without KEDA": (CPU, replace(WITHOUT_KEDA, hpa=HPA), "True", "Autoscaled", "CPU"),
    "no metrics": (
        CPU,
        hpa(problem="FailedGetContainerResourceMetric: no pods"),
        "False",
        "MetricsUnavailable",
        "no pods",
    ),
    "no answer of the operator": (
        scaled(),
        keda(is_fallback=True),
        "False",
        "MetricsUnavailable",
        "stay as they are",
    ),
    "KEDA refuses it": (scaled(), keda(problem="TriggerError: cron"), "False", "ScalerNotReady", "cron"),
    "not readable": (
        scaled(),
        Scaling(unread=("ScaledObject server cannot be read: 403 x is forbidden: User y",)),
        "Unknown",
        "ScalerUnread",
        "the chart of its version contains it",
    ),
    "paused by hand": (scaled(), keda(is_paused=True), "False", "ScalerPaused", "annotation"),
    "at the largest number": (CPU, hpa(limit="TooManyReplicas"), "True", "AtMaxReplicas", "maxReplicas"),
    "at the least number": (CPU, hpa(limit="TooFewReplicas"), "True", "Autoscaled", "1 to 10"),
    "zero without a waker": (scaled(minReplicas=0), BOTH, "False", "NoWaker", "one replica stays"),
    "somebody else's": (
        CPU,
        replace(hpa(), foreign=(OTHER,)),
        "False",
        "ForeignAutoscaler",
        "HorizontalPodAutoscaler mine",
    ),
    "a vertical one": (
        CPU,
        replace(hpa(), foreign=(VERTICAL,)),
        "False",
        "ForeignAutoscaler",
        "exclusive CPUs",
    ),
    "only somebody else's": (
        {},
        Scaling(foreign=(OTHER,)),
        "True",
        "ForeignAutoscaler",
        "scales this object",
    ),
    "on the Deployment": (
        {},
        Scaling(foreign=(ON_DEPLOYMENT,)),
        "True",
        "ForeignAutoscaler",
        "aim it at the object",
    ),
    "only a vertical one": (
        {},
        Scaling(foreign=(VERTICAL,)),
        "True",
        "ForeignAutoscaler",
        "VerticalPodAutoscaler mine changes the resources of the pods",
    ),
    "a vertical one beside another": (
        {},
        Scaling(foreign=(OTHER, VERTICAL)),
        "True",
        "ForeignAutoscaler",
        "HorizontalPodAutoscaler mine scales this object; VerticalPodAutoscaler mine changes the resources",
    ),
    "ours of the other kind goes first": (
        CPU,
        Scaling(scaled_object=KEDA, is_changing=True),
        "Unknown",
        "AwaitingScaler",
        "until the ScaledObject of this object is gone",
    ),
    "ours of the other kind goes first, too": (
        scaled(),
        Scaling(hpa=HPA, is_changing=True),
        "Unknown",
        "AwaitingScaler",
        "until the HorizontalPodAutoscaler of this object is gone",
    ),
    "zero by CPU": (
        scaled(minReplicas=0, metrics=[{"type": "CPU", "averageUtilization": 80}], schedule=[OFFICE_HOURS]),
        BOTH,
        "False",
        "NoWaker",
        "KEDA would stop the last one at work",
    ),
    "one metric of two": (
        scaled(),
        hpa(lacking=("CPU",)),
        "False",
        "MetricsUnavailable",
        "no figure for CPU, so replicas do not go down meanwhile",
    ),
    "a trigger that fails, and none of ours": (
        scaled(metrics=[], schedule=[OFFICE_HOURS]),
        keda(is_fallback=True),
        "False",
        "MetricsUnavailable",
        "kubectl describe scaledobject",
    ),
    "no buffers": (
        {"headroom": 1},
        Scaling(missing=frozenset({"CapacityBuffer"})),
        "False",
        "NoCapacityBuffer",
        "enable it",
    ),
}


@pytest.mark.parametrize(("spec", "scaling", "status", "reason", "words"), CASES.values(), ids=CASES)
def test_what_is_said(spec: dict, scaling: Scaling, status: str, reason: str, words: str):
    condition = autoscaled(facts(scaling), **spec)

    assert condition is not None
    assert (condition.status, condition.reason) == (status, reason)
    assert words in condition.message


def test_a_missing_buffer_does_not_hide_what_scales():
    scaling = replace(hpa(), missing=frozenset({"CapacityBuffer"}))
    condition = autoscaled(facts(scaling), headroom=1, **CPU)

    assert condition is not None
    assert "CPU 62 % of 80 %" in condition.message


def test_pods_that_do_not_come_are_the_reason_why_not_further():
    condition = autoscaled(facts(hpa(current=2, wanted=2), NO_POD_FITS), replicas=2, **CPU)

    assert condition is not None
    assert condition.reason == "PodsMissing"
    assert "2 replicas are wanted, and 1 are ready: pod q: Unschedulable: no room" in condition.message


@pytest.mark.parametrize("scaling", [keda(is_fallback=True), hpa(problem="FailedGetMetric: no pod")])
def test_without_a_ready_pod_the_pods_are_the_reason_and_not_who_asks_for_their_load(scaling: Scaling):
    waiting = replace(ROLLOUT, ready=0)
    spec = scaled() if scaling.scaled_object else CPU
    loading = replace(POD, is_ready=False)

    condition = autoscaled(Facts(waiting, (NO_POD_FITS,), scaling=scaling), **spec)
    assert condition is not None
    assert (condition.status, condition.reason) == ("False", "PodsMissing")
    said = "no pod is ready to be measured, so replicas stay as they are: pod q: Unschedulable: no room"
    assert said in condition.message

    condition = autoscaled(Facts(waiting, (loading,), scaling=scaling), **spec)
    assert condition is not None
    assert (condition.status, condition.reason) == ("Unknown", "AwaitingScaler"), "it only starts"


def test_an_old_server_is_the_reason_why_requests_are_not_known():
    assert said(facts(BOTH, reports_load=False), **scaled()) == ("False", "LoadNotReported")
    assert said(facts(hpa(), reports_load=False), **CPU) == ("True", "Autoscaled")


@pytest.mark.parametrize(
    ("spec", "scaling", "words"),
    [
        pytest.param(
            scaled(minReplicas=0, schedule=[OFFICE_HOURS]),
            BOTH,
            "until the next schedule",
            id="by a schedule",
        ),
        pytest.param(CPU, hpa(is_off=True), "stops autoscaling: set it to 1", id="by hand"),
    ],
)
def test_at_zero_it_is_said_what_starts_it_again(spec: dict, scaling: Scaling, words: str):
    found = Facts(replace(ROLLOUT, replicas=0, updated=0, ready=0), (), scaling=scaling)
    status = judge(server(replicas=0, **spec), found, REVISION, NEVER_JUDGED, NOW)
    conditions = {item.type: item for item in status.conditions}

    assert (conditions["Autoscaled"].reason, conditions["Autoscaled"].status) == ("ScaledToZero", "True")
    assert words in conditions["Autoscaled"].message
    assert (conditions["Ready"].status, conditions["Ready"].reason) == ("True", "ScaledToZero")


def test_what_scales_an_object_does_not_decide_whether_it_is_ready():
    status = judge(server(**scaled()), facts(WITHOUT_KEDA), REVISION, NEVER_JUDGED, NOW)

    assert {item.type: item.status for item in status.conditions}["Ready"] == "True"
    assert awaits_scaling(status)


# What scalers report.


def report(kind: str, **body: Any) -> Any:
    return read_report(kind, {"metadata": {"name": "server"}, **body})


CONTAINER = {"name": "cpu", "container": "modelserver"}
REQUESTS = {"metric": {"name": "s0-metric-api-requestsPerStream"}}


def test_an_hpa_is_read_as_kubernetes_writes_it():
    read = report(
        "HorizontalPodAutoscaler",
        spec={
            "metrics": [
                {
                    "type": "ContainerResource",
                    "containerResource": {**CONTAINER, "target": {"averageUtilization": 80}},
                },
                {"type": "External", "external": {**REQUESTS, "target": {"averageValue": "750m"}}},
            ]
        },
        status={
            "currentReplicas": 3,
            "desiredReplicas": 5,
            "lastScaleTime": "2026-01-01T00:00:00Z",
            "currentMetrics": [
                {"type": "External", "external": {**REQUESTS, "current": {"averageValue": "900m"}}},
                {
                    "type": "ContainerResource",
                    "containerResource": {**CONTAINER, "current": {"averageUtilization": 62}},
                },
            ],
            "conditions": [
                {"type": "AbleToScale", "status": "True", "reason": "SucceededRescale", "message": ""},
                {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound", "message": ""},
                {"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas", "message": ""},
            ],
        },
    )

    assert (read.current, read.wanted, read.limit, read.problem) == (3, 5, "TooManyReplicas", "")
    assert read.metrics == ("CPU 62 % of 80 %", "requests per stream 900m of 750m")


def test_an_hpa_that_cannot_measure_says_why():
    active = {"type": "ScalingActive", "status": "False", "reason": "FailedGetExternalMetric", "message": "x"}
    read = report("HorizontalPodAutoscaler", spec={}, status={"conditions": [active]})

    assert (read.problem, read.is_off) == ("FailedGetExternalMetric: x", False)


def test_an_hpa_that_rests_at_zero_has_no_problem():
    active = {"type": "ScalingActive", "status": "False", "reason": "ScalingDisabled", "message": "x"}
    read = report("HorizontalPodAutoscaler", spec={}, status={"conditions": [active]})

    assert (read.problem, read.is_off) == ("", True)


def test_a_scaled_object_is_read_with_its_key():
    url = "http://op.system.svc:8090/scale/n/server?key=k3y"
    cron = {"type": "cron", "metadata": {"timezone": "UTC"}}
    fallback = {"type": "Fallback", "status": "True", "reason": "FallbackExists", "message": ""}
    ready = {"type": "Ready", "status": "False", "reason": "TriggerError", "message": "bad cron"}
    read = report(
        "ScaledObject",
        spec={"triggers": [cron, {"type": "metrics-api", "metadata": {"url": url}}]},
        status={"conditions": [ready, fallback]},
    )

    assert (read.key, read.address) == ("k3y", "http://op.system.svc:8090")
    assert (read.problem, read.is_fallback, read.has_looked) == ("TriggerError: bad cron", True, True)


def test_a_scaled_object_of_which_only_some_triggers_work_has_reported():
    some = {"type": "Ready", "status": "Unknown", "reason": "PartialTriggerError", "message": "Some triggers"}
    read = report("ScaledObject", status={"conditions": [some]})

    assert (read.has_looked, read.problem) == (True, "")


@pytest.mark.parametrize(
    "url",
    [
        "http://[op/scale/n/server?key=k3y",
        "http://op/scale/n/server?key=a+b",
        "http://op/scale/n/server?key=a%26key=b",
        f"http://op/scale/n/server?key={'k' * 300}",
        "http://op/scale/n/server?key=",
        "",
    ],
    ids=["no address", "a space", "more than a key", "too long", "empty", "nothing"],
)
def test_a_url_that_somebody_has_changed_is_no_key_and_no_reason_to_stop(url: str):
    trigger = {"type": "metrics-api", "metadata": {"url": url}}

    assert report("ScaledObject", spec={"triggers": [trigger]}).key == ""


def test_a_scaler_that_has_just_been_made_has_reported_nothing():
    assert report("HorizontalPodAutoscaler").has_looked is False
    assert (
        report("ScaledObject", status={"conditions": [{"type": "Ready", "status": "Unknown"}]}).has_looked
        is False
    )


# Scalers of others.

OBJECT = {"apiVersion": "modelserver.dev/v1alpha1", "kind": "ModelServer", "name": "server"}
DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "server"}
OURS = {"app.kubernetes.io/managed-by": "modelserver-operator"}


def scaler(target: dict, owner: dict | None = None, **labels: str) -> dict:
    owners = [{**owner, "controller": True}] if owner else []
    metadata = {"name": "mine", "ownerReferences": owners, "labels": labels}
    return {"metadata": metadata, "spec": {"scaleTargetRef": target}}


def found(body: dict, kind: str = "HorizontalPodAutoscaler") -> tuple[Foreign, ...]:
    return foreign_scalers(server(), [(kind, body)])


@pytest.mark.parametrize(("target", "kind"), [(OBJECT, "ModelServer"), (DEPLOYMENT, "Deployment")])
def test_a_scaler_of_the_object_or_of_its_deployment_is_found(target: dict, kind: str):
    assert found(scaler(target)) == (Foreign("HorizontalPodAutoscaler", "mine", kind),)


@pytest.mark.parametrize(
    "target",
    [
        {**OBJECT, "name": "other"},
        {**OBJECT, "apiVersion": "intel.com/v1alpha1"},
        {**DEPLOYMENT, "kind": "StatefulSet"},
    ],
    ids=["another object", "another API", "another kind"],
)
def test_a_scaler_of_something_else_is_not_ours_to_name(target: dict):
    assert found(scaler(target)) == ()


@pytest.mark.parametrize("target", ["server", ["server"], None, {}, {"name": None}])
def test_a_target_that_is_none_is_nobodys(target: object):
    assert found({"metadata": {"name": "mine"}, "spec": {"scaleTargetRef": target}}, "ScaledObject") == ()


def test_our_own_scalers_are_nobody_elses():
    owner = {"kind": "ModelServer", "name": "server", "uid": "owner"}
    keda = {"kind": "ScaledObject", "name": "server", "uid": "so"}

    assert found(scaler(OBJECT, owner)) == ()
    assert found(scaler(OBJECT, keda, **OURS)) == ()


@pytest.mark.parametrize("owner", [None, {"kind": "ModelServer", "name": "server", "uid": "predecessor"}])
def test_one_that_lost_its_owner_or_has_a_predecessor_for_it_is_ours_all_the_same(owner: dict | None):
    body = scaler(OBJECT, owner, **OURS)
    body["metadata"]["name"] = "server"

    assert found(body) == ()


def test_a_scaled_object_that_does_not_say_what_it_scales_means_a_deployment():
    body = scaler({"name": "server"})

    assert found(body, "ScaledObject") == (Foreign("ScaledObject", "mine", "Deployment"),)
    assert found(body) == ()


def test_what_cannot_be_written_is_said_and_costs_nothing_else():
    refused = "the API server refused to create HorizontalPodAutoscaler server: exceeded quota"
    outcome = Outcome(unscaled=(refused,))

    status = judge(server(**CPU), replace(facts(hpa()), outcome=outcome), REVISION, NEVER_JUDGED, NOW)

    by_type = {item.type: item for item in status.conditions}
    assert (by_type["Autoscaled"].reason, by_type["Applied"].status) == ("ScalerNotReady", "True")
    assert "exceeded quota" in by_type["Autoscaled"].message
    assert by_type["Ready"].status == "True"


def test_an_autoscaler_that_keda_made_is_named_by_the_object_that_somebody_wrote():
    keda = {"kind": "ScaledObject", "name": "theirs", "uid": "so"}

    assert found(scaler(OBJECT, keda)) == (Foreign("ScaledObject", "theirs", "ModelServer"),)


@pytest.mark.parametrize(("mode", "count"), [("Off", 0), ("Recreate", 1), (None, 1)])
def test_a_vertical_autoscaler_that_only_recommends_is_none(mode: str | None, count: int):
    policy = {"updatePolicy": {"updateMode": mode}} if mode else {}
    body = {"metadata": {"name": "mine"}, "spec": {"targetRef": DEPLOYMENT, **policy}}

    assert len(found(body, "VerticalPodAutoscaler")) == count
