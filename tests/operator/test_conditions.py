"""From facts to conditions: each reason once, in the order of severity."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from modelserver_operator.api import ModelServer, Status, parse
from modelserver_operator.api.status import Failure
from modelserver_operator.conditions import is_settled, judge, reject
from modelserver_operator.errors import Invalid
from modelserver_operator.observed.child import Rollout
from modelserver_operator.observed.facts import Facts, Outcome, Rejection
from modelserver_operator.observed.pod import Crash, Pod
from modelserver_operator.observed.report import ModelStatus, Reply, ServerStatus, VersionStatus
from tests.support.modelservers import model_server

NOW = "2026-01-01T00:00:00Z"
LATER = "2026-01-01T00:01:00Z"
REVISION = "r2"

VERSION = VersionStatus(version=1, state="AVAILABLE", wanted=True, error=None)
MODEL = ModelStatus(
    name="m", device="CPU", executionDevices=("CPU",), streams=1, nireq=2, hint="THROUGHPUT",
    versions=(VERSION,), revision=REVISION, error=None,
)  # fmt: skip
SERVER = ServerStatus(
    schemaVersion=1, revision=REVISION, affinity=(1,), cpusOnline=4, threads=1,
    pinning=True, pinningReason="one model on CPUs of its own", workers=1, models=(MODEL,), quota=None,
)  # fmt: skip
POD = Pod(
    name="p", namespace="default", uid="u", resource_version="1", address="127.0.0.1", is_running=True,
    is_ready=True, is_leaving=False, qos_class="Guaranteed", cpu_request=Decimal(1),
    containers=("modelserver",), revision_annotation="", waiting="", crash=None, status_port=8082,
    is_limited=True,
)  # fmt: skip
ROLLOUT = Rollout(generation=3, observed_generation=3, replicas=1, updated=1, ready=1, stuck="", refused="")
NEVER_JUDGED = Status()
NOTHING_WRONG = Outcome()
CRASH = Crash("2026-01-01T00:00:30Z", "p", "OOMKilled", 137, "out of memory")


def server(**spec: Any) -> ModelServer:
    return replace(parse(model_server(**spec)), generation=3)


def facts(
    *,
    status: ServerStatus | None = SERVER,
    problem: str = "",
    outcome: Outcome = NOTHING_WRONG,
    **changes: Any,
) -> Facts:
    rollout = replace(ROLLOUT, **{k: v for k, v in changes.items() if hasattr(ROLLOUT, k)})
    pod = replace(POD, **{k: v for k, v in changes.items() if hasattr(POD, k)})
    return Facts(rollout, (pod,), {"u": Reply(status, problem)}, outcome, lifts_quota=True)


def with_model(**changes: Any) -> ServerStatus:
    return SERVER.model_copy(update={"models": (MODEL.model_copy(update=changes),)})


def with_version(**changes: Any) -> ServerStatus:
    return with_model(versions=(VERSION.model_copy(update=changes),))


def conditions(
    found: Facts, previous: Status = NEVER_JUDGED, now: str = NOW, **spec: Any
) -> dict[str, tuple[str, str]]:
    status = judge(server(**spec), found, REVISION, previous, now)
    return {c.type: (c.status, c.reason) for c in status.conditions}


def test_all_is_well():
    assert conditions(facts()) == {
        "Accepted": ("True", "Accepted"),
        "Applied": ("True", "Applied"),
        "Available": ("True", "PodsReady"),
        "ModelsServed": ("True", "Served"),
        "ExclusiveCPUs": ("True", "Exclusive"),
        "DeviceBound": ("True", "Bound"),
        "Ready": ("True", "Ready"),
    }


CASES = {
    "a name taken": (
        facts(outcome=Outcome(taken=("Service server",))),
        {
            "Applied": ("False", "NameTaken"),
            "Ready": ("False", "NameTaken"),
            "Available": ("True", "PodsReady"),
        },
    ),
    "a write refused": (
        facts(outcome=Outcome(refused=("exceeded quota",))),
        {"Applied": ("False", "Refused"), "Ready": ("False", "Refused")},
    ),
    "paused with something to do": (
        facts(outcome=Outcome(held_back=("Deployment server",))),
        {"Applied": ("False", "Paused"), "Ready": ("False", "Paused")},
    ),
    "no progress": (facts(stuck="deadline exceeded"), {"Ready": ("False", "RolloutStuck")}),
    "a Deployment just changed": (facts(generation=4), {"Ready": ("False", "RollingOut")}),
    "pods of the old template": (facts(replicas=2, updated=1, ready=2), {"Ready": ("False", "RollingOut")}),
    "no pod yet": (
        facts(is_ready=False, ready=0),
        {
            "Available": ("False", "NoPodReady"),
            "ModelsServed": ("False", "NoPodReady"),
            "ExclusiveCPUs": ("Unknown", "NoPodReady"),
            "Ready": ("False", "Starting"),
        },
    ),
    "a pod that crashed": (facts(is_ready=False, ready=0, crash=CRASH), {"Ready": ("False", "PodsFailing")}),
    "a pod that leaves is not counted": (
        facts(is_leaving=True, ready=0),
        {"Available": ("False", "NoPodReady")},
    ),
    "the pod as configured before": (
        facts(status=SERVER.model_copy(update={"revision": "r1"})),
        {"ModelsServed": ("False", "OldConfiguration"), "Ready": ("False", "OldConfiguration")},
    ),
    "one model as configured before": (
        facts(status=with_model(revision="r1")),
        {"ModelsServed": ("False", "OldConfiguration")},
    ),
    "a model that failed to load": (
        facts(status=with_model(error="no such file")),
        {"ModelsServed": ("False", "ModelNotServed"), "Ready": ("False", "ModelNotServed")},
    ),
    "a version that is loading": (
        facts(status=with_version(state="LOADING")),
        {"ModelsServed": ("False", "ModelNotServed")},
    ),
    "an old version unloading": (
        facts(
            status=with_model(
                versions=(VERSION, VERSION.model_copy(update={"state": "END", "wanted": False}))
            )
        ),
        {"ModelsServed": ("True", "Served")},
    ),
    "no version at all": (
        facts(status=with_model(versions=())),
        {"ModelsServed": ("False", "ModelNotServed")},
    ),
    "a pod that does not answer": (
        facts(status=None, problem="timed out"),
        {
            "ModelsServed": ("Unknown", "PodUnreachable"),
            "ExclusiveCPUs": ("Unknown", "PodUnreachable"),
            "DeviceBound": ("Unknown", "PodUnreachable"),
            "Ready": ("False", "PodUnreachable"),
        },
    ),
    "an affinity of all CPUs": (
        facts(status=SERVER.model_copy(update={"affinity": (0, 1, 2, 3)})),
        {"ExclusiveCPUs": ("False", "NodePolicyNone"), "Ready": ("True", "Ready")},
    ),
    "a node with one CPU": (
        facts(status=SERVER.model_copy(update={"affinity": (0,), "cpus_online": 1})),
        {"ExclusiveCPUs": ("False", "NodePolicyNone")},
    ),
    "an injected container": (
        facts(qos_class="Burstable", containers=("modelserver", "istio-proxy")),
        {"ExclusiveCPUs": ("False", "InjectedContainer"), "Ready": ("True", "Ready")},
    ),
    "a pod that is not guaranteed": (
        facts(qos_class="Burstable"),
        {"ExclusiveCPUs": ("False", "NotGuaranteed")},
    ),
    "a request that is not whole": (
        facts(cpu_request=Decimal("1.5")),
        {"ExclusiveCPUs": ("False", "FractionalCPU")},
    ),
    "a model that fell back": (
        facts(status=with_model(device="GPU", execution_devices=("CPU",))),
        {"DeviceBound": ("False", "OtherDevice")},
    ),
    "a model on one of several GPUs": (
        facts(status=with_model(device="GPU", execution_devices=("GPU.1",))),
        {"DeviceBound": ("True", "Bound")},
    ),
    "a model that AUTO placed": (
        facts(status=with_model(device="AUTO", execution_devices=("CPU",))),
        {"DeviceBound": ("True", "Automatic")},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_reason(case: str):
    found, want = CASES[case]

    assert conditions(found).items() >= want.items()


def test_scaling_is_reported_while_some_serve():
    found = conditions(facts(replicas=2, updated=2, ready=1), replicas=2)

    assert found["Ready"] == ("False", "Scaling")
    assert found["Available"] == ("True", "PodsReady")


def test_shared_cpus_that_were_asked_for():
    assert conditions(facts(), cpuManagerPolicy="none")["ExclusiveCPUs"] == ("False", "NotRequested")


def test_zero_replicas_are_ready_and_serve_nothing():
    empty = Facts(replace(ROLLOUT, replicas=0, updated=0, ready=0), (), {}, Outcome())

    found = conditions(empty, replicas=0)

    assert found["Ready"] == ("True", "ScaledToZero")
    assert found["Available"] == found["ModelsServed"] == ("False", "ScaledToZero")


def test_a_message_names_the_pod_the_model_and_the_error():
    status = judge(server(), facts(status=with_model(error="no such file")), REVISION, Status(), NOW)

    (served,) = [c for c in status.conditions if c.type == "ModelsServed"]
    assert served.message == 'pod p: model "m": no such file'


def test_the_time_moves_only_when_a_status_flips():
    first = judge(server(), facts(), REVISION, Status(), NOW)
    same = judge(server(), facts(), REVISION, first, LATER)
    flipped = judge(server(), facts(status=with_version(state="LOADING")), REVISION, same, LATER)

    assert same == first
    times = {c.type: c.last_transition_time for c in flipped.conditions}
    assert times["ModelsServed"] == times["Ready"] == LATER
    assert times["Applied"] == NOW


def test_an_object_that_is_not_accepted_is_judged_by_its_last_accepted_form():
    first = judge(server(), facts(), REVISION, Status(), NOW)
    rejected = replace(facts(), rejection=Rejection(Invalid("hint is wrong"), 4))

    status = judge(server(), rejected, REVISION, first, LATER)

    found = {c.type: (c.status, c.reason, c.observed_generation) for c in status.conditions}
    assert found["Accepted"] == ("False", "Invalid", 4)
    assert found["Ready"] == ("False", "Invalid", 4)
    assert found["Available"] == ("True", "PodsReady", 3)
    assert found["ModelsServed"] == ("True", "Served", 3)
    assert status.observed_generation == 4
    assert status.conditions[0].message == "hint is wrong; generation 3 stays in effect"
    assert is_settled(status)


def test_without_a_known_accepted_form_the_pods_are_counted_and_nothing_is_claimed_of_what_is_gone():
    first = judge(server(), facts(), REVISION, Status(), NOW)
    rejection = Rejection(Invalid("hint is wrong"), 4)

    kept = reject(rejection, facts(), first, LATER)
    gone = reject(rejection, Facts(replace(ROLLOUT, replicas=0, ready=0), ()), first, LATER)

    found = {c.type: (c.status, c.reason, c.observed_generation) for c in kept.conditions}
    assert found["Ready"] == ("False", "Invalid", 4)
    assert found["Available"] == ("True", "PodsReady", 4)
    assert found["ModelsServed"] == ("True", "Served", 3)
    assert (kept.tuning, kept.models, kept.ready_replicas) == (first.tuning, first.models, 1)
    assert {c.type: c.status for c in gone.conditions} == {
        "Accepted": "False", "Available": "False", "Ready": "False",
    }  # fmt: skip
    assert (gone.tuning, gone.models, gone.ready_replicas) == (None, None, 0)
    assert "is not repaired" in gone.conditions[-1].message


def test_the_tuning_is_what_all_pods_share():
    other = replace(POD, name="q", uid="v")
    fewer = with_model(streams=2, hint="LATENCY")
    two = Facts(
        replace(ROLLOUT, replicas=2, updated=2, ready=2),
        (POD, other),
        {"u": Reply(SERVER), "v": Reply(fewer)},
    )

    status = judge(server(replicas=2), two, REVISION, Status(), NOW)

    assert status.tuning is not None
    assert status.models is not None
    assert (status.tuning.device, status.tuning.hint) == ("CPU", "LATENCY,THROUGHPUT")
    assert (status.tuning.streams, status.tuning.nireq) == (None, 2)
    assert status.models[0].versions[0].ready_pods == 2


def test_the_newest_failure_is_kept_when_its_pod_is_gone():
    first = judge(server(), facts(crash=CRASH), REVISION, Status(), NOW)
    second = judge(server(), facts(), REVISION, first, LATER)

    assert second.last_failure == Failure(
        time=CRASH.time, pod="p", reason="OOMKilled", exit_code=137, message="out of memory"
    )


def test_a_settled_object_is_left_alone():
    assert is_settled(judge(server(), facts(), REVISION, Status(), NOW))
    assert not is_settled(judge(server(), facts(is_ready=False, ready=0), REVISION, Status(), NOW))
