"""The status says what is: all values fit it, what is over is not quoted, figures of the moment wait."""

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserver_operator.api import ModelServer, Status, parse
from modelserver_operator.api.crd import crd
from modelserver_operator.api.schema import lacking, published, without_unknown
from modelserver_operator.conditions import judge
from modelserver_operator.conditions.document import LIMIT, document, misfit, read_status, says_the_same
from modelserver_operator.conditions.transitions import transitions
from modelserver_operator.observed.child import Rollout
from modelserver_operator.observed.facts import Facts, Outcome
from modelserver_operator.observed.pod import Pod, read_pod
from modelserver_operator.observed.report import Reply, ServerStatus
from modelserver_operator.observed.waiting import UNKNOWN, cause, end
from tests.support.modelservers import model_server

NOW = "2026-03-01T12:00:00Z"
SCHEMA = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
SERVER = {
    "name": "modelserver",
    "image": "server:1",
    "ports": [{"name": "status", "containerPort": 8082}],
}
EVICTED = {
    "phase": "Failed", "reason": "Evicted", "message": "Pod ephemeral local storage usage exceeds 1Mi.",
    "startTime": "2026-03-01T10:00:00Z",
    "conditions": [
        {"type": "DisruptionTarget", "status": "True", "lastTransitionTime": "2026-03-01T11:59:00Z"},
        {"type": "Ready", "status": "False", "lastTransitionTime": "2026-03-01T11:59:30Z"},
    ],
}  # fmt: skip
STOPPED_CLEANLY = {
    "phase": "Succeeded",
    "conditions": [
        {"type": "Ready", "status": "False", "reason": "PodCompleted", "lastTransitionTime": NOW},
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-03-01T10:00:00Z"},
    ],
}
"""Of a pod whose server exits with 0 when the kubelet evicts it: the kubelet says nothing else."""
COMPLETED = {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": NOW}}
LOST = {
    "terminated": {
        "exitCode": 137, "reason": "ContainerStatusUnknown", "finishedAt": None, "startedAt": None,
        "message": "The container could not be located when the pod was terminated",
    }
}  # fmt: skip


def server(**spec: Any) -> ModelServer:
    return replace(parse(model_server(**spec)), generation=3)


def pod(name: str = "p", *, ready: bool = True, state: Any = None, last: Any = None, **status: Any) -> Pod:
    """As the kubelet reports it."""
    running = {"running": {"startedAt": "2026-03-01T10:00:05Z"}}
    container = {"name": "modelserver", "state": state or running, **({"lastState": last} if last else {})}
    return read_pod(
        {
            "metadata": {
                "name": name, "namespace": "n", "uid": name, "resourceVersion": "1",
                "creationTimestamp": "2026-03-01T10:00:00Z",
            },
            "spec": {"nodeName": "node", "containers": [SERVER]},
            "status": {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
                "containerStatuses": [container],
                **status,
            },
        }
    )  # fmt: skip


def reports(*models: dict[str, Any], **fields: Any) -> Reply:
    """What a server replies."""
    default = {
        "schemaVersion": 1, "revision": "r", "affinity": [0], "cpusOnline": 2, "threads": 2,
        "pinning": False, "pinningReason": "", "workers": 1, "warnings": [],
    }  # fmt: skip
    return Reply(ServerStatus.model_validate({**default, **fields, "models": list(models)}))


def model(name: str = "m", *versions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    default = {
        "name": name, "device": "CPU", "executionDevices": ["CPU"], "streams": 1, "nireq": 2,
        "hint": "THROUGHPUT", "threads": 1, "revision": "r", "error": None,
    }  # fmt: skip
    return {**default, "versions": list(versions) or [version()], **fields}


def version(number: int = 1, state: str = "AVAILABLE", error: str | None = None, **fields: Any) -> dict:
    return {"version": number, "state": state, "wanted": True, "error": error, **fields}


def rollout(replicas: int = 1, updated: int = 1, ready: int = 1, **changes: Any) -> Rollout:
    default = {"generation": 3, "observed_generation": 3, "stuck": "", "refused": ""}
    return Rollout(replicas=replicas, updated=updated, ready=ready, **{**default, **changes})


def judged(facts: Facts, previous: Status | None = None, **spec: Any) -> Status:
    return judge(server(**spec), facts, "r", previous or Status(), NOW)


def said(status: Status, kind: str) -> tuple[str, str, str]:
    (found,) = [c for c in status.conditions if c.type == kind]
    return found.status, found.reason, found.message


def fits_the_crd(written: dict[str, Any]) -> bool:
    checker = jsonschema.Draft202012Validator(
        SCHEMA["properties"]["status"], format_checker=jsonschema.FormatChecker()
    )
    return not list(checker.iter_errors(written))


@pytest.mark.parametrize(
    ("failed", "time", "reason"),
    [
        pytest.param(
            pod(ready=False, state=LOST, **EVICTED), "2026-03-01T11:59:30Z", "Evicted", id="evicted"
        ),
        pytest.param(
            pod(ready=False, containerStatuses=[], **EVICTED),
            "2026-03-01T11:59:30Z",
            "Evicted",
            id="no status",
        ),
        pytest.param(
            pod(ready=False, state=LOST), "2026-03-01T10:00:00Z", "ContainerStatusUnknown", id="nothing known"
        ),
        pytest.param(
            pod(ready=False, last=LOST), "2026-03-01T10:00:05Z", "ContainerStatusUnknown", id="restarted"
        ),
        pytest.param(
            pod(ready=False, phase="Failed", reason="UnexpectedAdmissionError", containerStatuses=None),
            "2026-03-01T10:00:00Z",
            "UnexpectedAdmissionError",
            id="refused by the kubelet",
        ),
    ],
)
def test_a_container_whose_end_nobody_saw_has_a_time_that_the_schema_takes(
    failed: Pod, time: str, reason: str
):
    status = judged(Facts(rollout(ready=0), (failed,)))

    assert status.last_failure is not None
    assert (status.last_failure.time, status.last_failure.reason) == (time, reason)
    assert fits_the_crd(document(status))


TEXT = st.text(max_size=40) | st.sampled_from(["x" * 300, "é" * 5000, "\N{GRINNING FACE}" * 2000, "\x00"])
NUMBER = st.integers() | st.sampled_from([2**63, -(2**70)])
NAMES = st.sampled_from(["m", "other", "n" * 300])
VERSIONS = st.builds(version, NUMBER, TEXT, st.none() | TEXT)
MODELS = st.builds(
    model, NAMES, VERSIONS, VERSIONS, device=TEXT, executionDevices=st.lists(TEXT, max_size=2),
    streams=st.none() | NUMBER, nireq=NUMBER, hint=st.none() | TEXT, threads=NUMBER, error=st.none() | TEXT,
)  # fmt: skip
REPLIES = st.builds(
    lambda models, **rest: reports(*models, **rest),
    st.lists(MODELS, max_size=3), pinningReason=TEXT, warnings=st.lists(TEXT, max_size=40),
)  # fmt: skip
ENDED = st.builds(
    lambda code, reason, message: {"terminated": {"exitCode": code, "reason": reason, "message": message}},
    NUMBER, st.none() | TEXT, st.none() | TEXT,
)  # fmt: skip


@given(REPLIES, ENDED, TEXT, st.booleans())
def test_whatever_pods_and_servers_say_fits_the_crd_and_64_kib(
    reply: Reply, ended: dict, refused: str, is_ready: bool
):
    failed = pod(ready=is_ready, last=ended)
    facts = Facts(rollout(), (failed,), {"p": reply}, Outcome(refused=(refused,)))

    written = document(judged(facts))

    assert misfit(written) == ""
    assert fits_the_crd(written)
    assert len(json.dumps(written, ensure_ascii=False).encode()) <= LIMIT


@pytest.mark.parametrize("letter", ["x", "\N{GRINNING FACE}"])
def test_sixty_four_models_with_as_many_failed_versions_fit_and_none_of_them_is_missing(letter: str):
    lost = [version(n, "LOADING", f"version {n}: {letter * 1000}") for n in range(1, 65)]
    many = reports(*(model(f"{n:03}-{'m' * 100}", *lost, error=letter * 1000) for n in range(64)))

    status = judged(Facts(rollout(), (pod(),), {"p": many}))

    written = document(status)
    assert len(json.dumps(written, ensure_ascii=False).encode()) <= LIMIT
    assert fits_the_crd(written)
    assert len(written["models"]) == 64
    first = written["models"][0]
    assert first["error"].endswith("…")
    assert len(first["versions"]) + first["versionsOmitted"] == 64
    assert first["versions"][-1]["version"] == 64


def test_a_status_that_fits_is_written_whole():
    status = judged(Facts(rollout(), (pod(),), {"p": reports(model())}))

    assert read_status(document(status), SCHEMA["properties"]["status"]) == status


def test_what_others_add_to_the_status_and_what_a_newer_operator_wrote_is_no_difference():
    status = judged(Facts(rollout(), (pod(),), {"p": reports(model())}))
    written = document(status)
    foreign = {
        "type": "Audited", "status": "True", "reason": "X", "message": "", "observedGeneration": 3,
        "lastTransitionTime": NOW,
    }  # fmt: skip
    raw = {**written, "conditions": [*written["conditions"], foreign], "fieldOfTomorrow": 1}

    assert read_status(raw, SCHEMA["properties"]["status"]) == status


def test_a_crd_of_before_is_compared_field_by_field_and_the_status_fits_it():
    older = json.loads(json.dumps(SCHEMA))
    del older["properties"]["status"]["properties"]["image"]
    del older["properties"]["status"]["properties"]["models"]["items"]["properties"]["error"]
    del older["properties"]["spec"]["properties"]["rollout"]
    kinds = [{"group": "modelserver.dev", "version": "v1alpha1", "kind": "ModelServer"}]
    found = published(
        {"components": {"schemas": {"x": {}, "y": {**older, "x-kubernetes-group-version-kind": kinds}}}}
    )

    assert found is not None
    assert lacking(found, SCHEMA) == ["spec.rollout", "status.image", "status.models[].error"]
    assert lacking(SCHEMA, SCHEMA) == []
    written = {"image": "i", "replicas": 1, "models": [{"name": "m", "versions": [], "error": "e"}]}
    assert without_unknown(written, found["properties"]["status"]) == {
        "replicas": 1,
        "models": [{"name": "m", "versions": []}],
    }


def test_an_old_crd_is_named_with_what_it_drops_and_the_remedy():
    facts = Facts(rollout(), (pod(),), {"p": reports(model())}, crd_lacks=("status.image",))

    status, reason, message = said(judged(facts), "Accepted")

    assert (status, reason) == ("True", "OldCRD")
    assert "status.image" in message
    assert "kubectl apply --server-side -f crds/" in message


def test_nothing_is_shown_as_served_when_nobody_serves():
    before = judged(Facts(rollout(), (pod(),), {"p": reports(model())}))
    assert before.models is not None

    empty = judged(Facts(rollout(0, 0, 0), ()), before, replicas=0)
    crashed = judged(Facts(rollout(ready=0), (pod(ready=False),)), before)

    assert (empty.models, empty.tuning) == (crashed.models, crashed.tuning) == (None, None)


def test_what_ready_pods_served_last_stays_while_they_cannot_be_asked():
    before = judged(Facts(rollout(), (pod(),), {"p": reports(model())}))

    status = judged(Facts(rollout(), (pod(),), {"p": Reply(None, "no answer")}), before)

    assert (status.models, status.tuning) == (before.models, before.tuning)
    assert said(status, "ModelsServed")[1] == "PodUnreachable"


def test_pods_that_are_not_ready_are_not_counted_as_such():
    status = judged(Facts(rollout(ready=0), (pod(ready=False),), {"p": reports(model())}))

    assert status.models is not None
    assert (status.models[0].versions[0].state, status.models[0].versions[0].ready_pods) == ("AVAILABLE", 0)


def test_an_eviction_of_last_month_is_not_the_trouble_of_today():
    month_ago = {**EVICTED, "conditions": [], "startTime": "2026-02-01T10:00:00Z"}
    pods = (pod("new", ready=False), pod("old", ready=False, **month_ago))

    old = judged(Facts(rollout(2, 2, 1), (*pods, pod("serves")), {}), replicas=2)
    fresh = judged(Facts(rollout(1, 1, 0), (pods[0], pod("old", ready=False, **EVICTED)), {}))

    assert said(old, "Ready") == ("False", "Scaling", "1 of 2 pods are ready")
    assert old.last_failure is not None
    status, reason, message = said(fresh, "Ready")
    assert (status, reason) == ("False", "PodsFailing")
    assert "pod old: Evicted: Pod ephemeral local storage usage exceeds 1Mi. Raise the limit that" in message


def test_a_pod_that_the_kubelet_stopped_without_a_word_has_failed():
    stopped = pod("p", ready=False, state=COMPLETED, **STOPPED_CLEANLY)

    status = judged(Facts(rollout(ready=0), (stopped,)))

    assert status.last_failure is not None
    assert (status.last_failure.pod, status.last_failure.time) == ("p", NOW)
    _, reason, message = said(status, "Ready")
    assert reason == "PodsFailing"
    assert "pod p: Failed: it ended although nobody deleted it" in message
    assert stopped.crash is not None
    assert not stopped.crash.is_explained


def test_a_pod_that_ends_because_it_is_deleted_has_not_failed():
    body = {
        "metadata": {
            "name": "p", "namespace": "n", "uid": "p", "resourceVersion": "1", "deletionTimestamp": NOW,
        },
        "spec": {"containers": [SERVER]},
        "status": {**STOPPED_CLEANLY, "containerStatuses": [{"name": "modelserver", "state": COMPLETED}]},
    }  # fmt: skip

    assert (read_pod(body).crash, read_pod(body).is_failed) == (None, False)


def test_the_cause_of_an_end_that_is_found_later_takes_the_place_of_an_unknown_one():
    stopped = pod("p", ready=False, state=COMPLETED, **STOPPED_CLEANLY)
    assert stopped.crash is not None
    evicted = replace(stopped.crash, reason="Evicted", message="too much", is_explained=True)

    unknown = judged(Facts(rollout(ready=0), (stopped,)))
    known = judged(Facts(rollout(ready=0), (replace(stopped, crash=evicted),)), unknown)
    lost = judged(Facts(rollout(ready=0), (stopped,)), known)

    assert known.last_failure is not None
    assert (known.last_failure.reason, known.last_failure.message) == ("Evicted", "too much")
    assert lost.last_failure == known.last_failure
    assert "pod p: Evicted: too much. Raise the limit" in said(known, "Ready")[2]


@pytest.mark.parametrize("is_repeated", [False, True])
def test_a_version_that_cannot_be_loaded_is_named_with_what_serves_meanwhile(*, is_repeated: bool):
    cut = "model.xml: Incorrect weights in bin file!"
    served, broken = version(1, wanted=False), version(2, "LOADING", cut)
    waits = model("m", served, broken, **({"error": cut} if is_repeated else {}))

    status = judged(Facts(rollout(), (pod(),), {"p": reports(waits)}))

    message = f'pod p: model "m": version 2: {cut}; version 1 keeps serving until then. Copy all files'
    assert message in said(status, "ModelsServed")[2]
    assert message in said(status, "Ready")[2]


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (
            {
                "reason": "CrashLoopBackOff",
                "message": "back-off 40s restarting failed container=m pod=p_n(1-2)",
            },
            "pod p: CrashLoopBackOff: back-off restarting failed container",
        ),
        ({"reason": "ErrImagePull", "message": "no such host"}, "pod p: ErrImagePull: no such host. Check"),
    ],
)
def test_identifiers_that_help_nobody_are_left_out(state: dict[str, str], text: str):
    status = judged(Facts(rollout(ready=0), (pod(ready=False, state={"waiting": state}),)))

    assert said(status, "Available")[2].startswith(text)
    assert "1-2" not in said(status, "Available")[2]


def test_a_restart_of_a_pod_that_serves_and_the_end_of_one_that_goes_are_no_trouble():
    killed = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-03-01T11:59:59Z"}}
    going = replace(pod("going", ready=False, last=killed), is_leaving=True)

    status = judged(Facts(rollout(2, 2, 1), (pod("serves", last=killed), going)), replicas=2)

    assert said(status, "Ready") == ("False", "Scaling", "1 of 2 pods are ready")


@pytest.mark.parametrize(
    ("found", "ready", "wanted", "message"),
    [
        pytest.param(rollout(generation=4), 1, 3, "1 of 3 pods are ready", id="up, not seen yet"),
        pytest.param(rollout(3, 3, 1), 1, 3, "1 of 3 pods are ready", id="up"),
        pytest.param(rollout(2, 2, 1), 2, 2, "1 of 2 pods are ready", id="the Deployment counts later"),
        pytest.param(
            rollout(3, 3, 3, generation=4), 3, 1, "2 of 3 pods are being stopped", id="down, not seen"
        ),
        pytest.param(rollout(3, 3, 1), 1, 1, "2 of 3 pods are being stopped", id="down"),
        pytest.param(rollout(1, 1, 1), 3, 1, "2 of 3 pods are being stopped", id="down, pods go later"),
        pytest.param(rollout(1, 1, 1), 1, 0, "1 of 1 pods are being stopped", id="down to nothing"),
    ],
)
def test_a_scale_step_is_said_as_such_from_the_first_moment(
    found: Rollout, ready: int, wanted: int, message: str
):
    pods = tuple(pod(f"p{n}") for n in range(ready))

    status = judged(Facts(found, pods, {p.uid: reports(model()) for p in pods}), replicas=wanted)

    assert said(status, "Ready") == ("False", "Scaling", message)


def test_a_new_template_is_still_said_as_a_rollout():
    status = judged(Facts(rollout(generation=4), (pod(),), {"p": reports(model())}))

    assert said(status, "Ready")[1] == "RollingOut"


def test_a_version_that_is_not_there_yet_is_named_with_what_serves_meanwhile():
    absent = "version 7 of model_version_policy is not in /models/m"
    waits = model(
        "m", version(1, wanted=False), version(7, "START", absent),
        error=f"{absent}; version 1 keeps serving until then",
    )  # fmt: skip

    status = judged(Facts(rollout(), (pod(),), {"p": reports(waits)}))

    message = (
        f'pod p: model "m": {absent}; version 1 keeps serving until then. '
        "Copy that version there, or correct versionPolicy."
    )
    assert said(status, "ModelsServed") == ("False", "ModelNotServed", message)
    assert said(status, "Available")[0] == "True"
    assert status.models is not None
    assert [(v.version, v.state, v.error) for v in status.models[0].versions] == [
        (1, "AVAILABLE", None),
        (7, "START", absent),
    ]


def test_the_tuning_shows_the_threads_of_the_models_not_the_cpus_of_the_server():
    same = judged(Facts(rollout(), (pod(),), {"p": reports(model("a"), model("b"), threads=2)}))
    different = judged(Facts(rollout(), (pod(),), {"p": reports(model("a"), model("b", threads=2))}))

    assert same.tuning is not None
    assert different.tuning is not None
    assert (same.tuning.threads, different.tuning.threads) == (1, None)


def test_the_image_is_that_of_the_pods():
    other = replace(pod("q"), image="server:2")

    assert judged(Facts(rollout(), (pod(),))).image == "server:1"
    assert judged(Facts(rollout(), (pod(), other))).image == "server:1,server:2"
    assert judged(Facts(rollout(0, 0, 0), ())).image is None


def test_every_shortcoming_is_in_the_message_and_the_gravest_is_the_reason():
    outcome = Outcome(
        taken=("Service server",),
        awaited=("ConfigMap server-config",),
        refused=("the API server refused to create ServiceAccount server: 403 quota",),
        deferred=("Deployment server is not written before its ConfigMap",),
    )

    status, reason, message = said(judged(Facts(None, (), {}, outcome)), "Applied")

    assert (status, reason) == ("False", "NameTaken")
    for words in (
        "Service server already",
        "refused to create ServiceAccount",
        "ConfigMap server-config still",
    ):
        assert words in message
    assert "Deployment server is not written before" in message


def test_a_predecessor_that_is_being_collected_is_waited_for():
    awaited = judged(Facts(None, (), {}, Outcome(awaited=("Deployment server",))))

    assert said(awaited, "Applied")[1] == "AwaitingDeletion"
    assert "does not belong" not in said(awaited, "Applied")[2]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"message": "leaves 12 MiB"}, {"message": "leaves 14 MiB"}, True),
        ({"models": [{"error": "1 s"}]}, {"models": [{"error": "22 s"}]}, True),
        ({"message": "leaves 12 MiB"}, {"message": "leaves nothing"}, False),
        ({"message": "1 of 3", "readyReplicas": 1}, {"message": "2 of 3", "readyReplicas": 2}, False),
        ({"reason": "A1"}, {"reason": "A2"}, False),
        ({"message": "a"}, {}, False),
    ],
)
def test_figures_of_the_moment_are_no_news(one: dict, other: dict, same: bool):
    assert says_the_same(one, other) is same


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            ("CrashLoopBackOff", "back-off 10s restarting failed container=m"),
            ("CrashLoopBackOff", "back-off 5m0s restarting failed container=m"),
        ),
        (
            ("ErrImagePull", 'failed to pull image "x:1": not found'),
            (
                "ImagePullBackOff",
                'Back-off pulling image "x:1": ErrImagePull: failed to pull image "x:1": not found',
            ),
        ),
    ],
)
def test_a_kubelet_that_tries_again_says_the_same(first: tuple[str, str], second: tuple[str, str]):
    texts = {
        pod(ready=False, state={"waiting": {"reason": reason, "message": text}}, phase="Pending").waiting
        for reason, text in (first, second)
    }

    assert len(texts) == 1


def test_a_container_that_ends_again_and_again_is_shown_with_its_end_and_the_remedy():
    killed = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-03-01T11:59:59Z"}}
    waits = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting m"}}

    status = judged(Facts(rollout(ready=0), (pod(ready=False, state=waits, last=killed),)))

    assert said(status, "Ready")[1] == "PodsFailing"
    assert said(status, "Available")[2] == (
        "pod p: CrashLoopBackOff: back-off restarting m; before that it ended with OOMKilled "
        "(exit code 137). Raise resources.limits.memory."
    )


@pytest.mark.parametrize(
    ("report", "remedy"),
    [
        ("refused to create Service s: 403 exceeded quota: q, requested: pods=1", "Raise the quota"),
        ('403 pods "p" is forbidden: User "x" cannot patch resource', "Give the operator this permission"),
        ("422 denied request: no", "Change the policy"),
        ("something of its own", ""),
    ],
)
def test_a_known_trouble_comes_with_its_remedy(report: str, remedy: str):
    status = judged(Facts(None, (), {}, Outcome(refused=(report,))))

    message = said(status, "Applied")[2]
    assert message.startswith(report)
    assert remedy in message
    assert remedy or message == report


def event(reason: str, message: str, last: str) -> dict[str, Any]:
    return {"reason": reason, "message": message, "lastTimestamp": last}


MOUNT = 'MountVolume.SetUp failed for volume "x" : secret "tls" not found'
SANDBOX = 'failed to setup network for sandbox "{}": plugin type="bridge" failed'


@pytest.mark.parametrize(
    ("unscheduled", "remedy"),
    [
        (
            '0/1 nodes are available: persistentvolumeclaim "m" not found.',
            "Create the claim in this namespace",
        ),
        ("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.", "describe pvc"),
        ("0/1 nodes are available: 1 Insufficient gpu.intel.com/xe.", "Install the device plugin"),
        ("0/1 nodes are available: 1 Insufficient cpu.", "Lower resources"),
        (
            "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 …",
            "0/1 nodes are available: 1 Insufficient cpu. Lower resources",
        ),
    ],
)
def test_a_pod_that_no_node_takes_comes_with_the_remedy_for_its_cause(unscheduled: str, remedy: str):
    waits = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": unscheduled}

    status = judged(
        Facts(
            rollout(ready=0), (pod(ready=False, phase="Pending", conditions=[waits], containerStatuses=[]),)
        )
    )

    message = said(status, "Ready")[2]
    assert unscheduled.partition(" no new")[0].rstrip(".") in message
    assert remedy in message
    assert "reemption" not in message


@pytest.mark.parametrize(
    ("events", "text"),
    [
        pytest.param([], UNKNOWN, id="no event"),
        pytest.param([{"reason": "X", "message": "no time"}], UNKNOWN, id="no time"),
        pytest.param(
            [event("FailedMount", MOUNT, "2026-03-01T12:00:00Z")], f"FailedMount: {MOUNT}", id="a volume"
        ),
        pytest.param(
            [
                event("Before", "solved", "2026-03-01T11:50:00Z"),
                event("FailedMount", MOUNT, "2026-03-01T12:00:00Z"),
            ],
            f"FailedMount: {MOUNT}",
            id="what was before",
        ),
        pytest.param(
            [
                event("B", "second", "2026-03-01T12:00:00Z"),
                event("A", "first", "2026-03-01T11:59:00Z"),
            ],
            "A: first",
            id="two in turn",
        ),
        pytest.param(
            [event("FailedCreatePodSandBox", SANDBOX.format("0f" * 32), "2026-03-01T12:00:00Z")],
            f"FailedCreatePodSandBox: {SANDBOX.format('…')}",
            id="an id of the attempt",
        ),
    ],
)
def test_the_cause_of_a_wait_is_read_from_events(events: list[dict[str, Any]], text: str):
    assert cause(events) == text
    assert cause(events[::-1]) == text


@pytest.mark.parametrize(
    ("events", "found"),
    [
        pytest.param([], None, id="no event"),
        pytest.param([event("Unhealthy", "probe", "2026-03-01T12:00:00Z")], None, id="another"),
        pytest.param(
            [
                event("Evicted", "too  much", "2026-03-01T12:00:00Z"),
                event("Unhealthy", "probe", "2026-03-01T12:00:01Z"),
            ],
            ("Evicted", "too much"),
            id="an eviction",
        ),
    ],
)
def test_the_cause_of_an_end_is_read_from_events(events: list[dict[str, Any]], found: tuple[str, str] | None):
    assert end(events) == found


@pytest.mark.parametrize(
    ("waits", "is_preparing"),
    [
        (pod(ready=False, phase="Pending", containerStatuses=None), True),
        (pod(ready=False, phase="Pending", state={"waiting": {"reason": "ContainerCreating"}}), True),
        (pod(ready=False, phase="Pending", state={"waiting": {"reason": "ErrImagePull"}}), False),
        (pod(ready=False), False),
    ],
)
def test_a_pod_that_waits_without_a_reason_is_known_as_such(waits: Pod, is_preparing: bool):
    assert waits.is_preparing is is_preparing


def test_before_a_container_runs_no_model_is_said_to_be_loaded():
    waits = pod(ready=False, phase="Pending", containerStatuses=None)

    assert said(judged(Facts(rollout(ready=0), (waits,))), "Available")[2].endswith(
        "no container has been started"
    )
    loads = said(judged(Facts(rollout(ready=0), (pod(ready=False),))), "Available")[2]
    assert loads.endswith("the models are being loaded and tested")


def test_events_tell_transitions_of_every_condition_and_no_first_appearance():
    first = judged(Facts(rollout(ready=0), (pod(ready=False),)))
    second = judged(Facts(rollout(), (pod(),), {"p": reports(model())}), first)

    assert transitions(Status(), first) == []
    assert transitions(second, second) == []
    found = {item.reason: item for item in transitions(first, second)}
    assert set(found) == {"PodsReady", "Served", "FractionalCPU", "Bound", "Ready"}
    assert found["PodsReady"].message == "Available is True: 1 of 1 pods are ready"
    assert {item.reason for item in found.values() if item.is_warning} == {"FractionalCPU"}


def test_a_pod_that_is_not_ready_serves_no_other_version_meanwhile():
    absent = "version 7 of model_version_policy is not in /models/m"
    waits = model("m", version(1), version(7, "START", absent), error=absent)

    status = judged(Facts(rollout(ready=0), (pod(ready=False),), {"p": reports(waits)}))

    assert absent in said(status, "Ready")[2]
    assert "keeps serving" not in said(status, "Ready")[2]
