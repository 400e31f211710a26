"""status.startup: what a cold start of an object costs, from its pods and their servers."""

from dataclasses import replace
from typing import Any

import pytest

from modelserver_operator.api import Status, parse
from modelserver_operator.conditions import judge
from modelserver_operator.observed.facts import Facts
from modelserver_operator.observed.pod import Pod, read_pod
from modelserver_operator.observed.report import Reply, ServerStatus, StartupStatus
from tests.support.modelservers import model_server

NOW = "2026-01-01T01:00:00Z"
SERVER = ServerStatus(
    schemaVersion=1, revision="r", affinity=(1,), cpusOnline=4, threads=1, pinning=False, pinningReason="",
    workers=1, models=(), startup=StartupStatus(loadedSeconds=4.25, firstInferenceSeconds=0.5),
)  # fmt: skip
OLDER_SERVER = SERVER.model_copy(update={"startup": None})


def body(number: int, scheduled: int = 2, started: int = 5, **container: Any) -> dict[str, Any]:
    """A ready pod that was created in this minute; the other moments are seconds of it."""
    at = f"2026-01-01T00:{number:02}:"
    state = {"running": {"startedAt": f"{at}{started:02}Z"}}
    return {
        "metadata": {
            "name": f"p-{number}",
            "namespace": "default",
            "uid": f"u-{number}",
            "resourceVersion": "1",
            "creationTimestamp": f"{at}00Z",
        },
        "spec": {"containers": [{"name": "modelserver"}]},
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": f"{at}{scheduled:02}Z"},
                {"type": "Ready", "status": "True"},
            ],
            "containerStatuses": [{"name": "modelserver", "restartCount": 0, "state": state, **container}],
        },
    }


def pod(number: int, **fields: Any) -> Pod:
    return read_pod(body(number, **fields))


def startup(
    *pods: Pod, server: ServerStatus | None = SERVER, previous: Status | None = None
) -> dict[str, Any] | None:
    replies = {item.uid: Reply(server) for item in pods if server is not None}
    facts = Facts(None, pods, replies)
    found = judge(parse(model_server()), facts, "r", previous or Status(), NOW).startup
    return found.model_dump(by_alias=True, exclude_none=True) if found else None


KNOWN = {"scheduledSeconds": 2.0, "imageSeconds": 3.0, "loadedSeconds": 4.25, "firstInferenceSeconds": 0.5}


def test_the_parts_of_a_start_come_from_the_pod_and_from_its_server():
    assert startup(pod(0)) == KNOWN


def test_figures_are_the_median_of_the_five_newest_ready_pods():
    old = [pod(number, scheduled=50, started=51) for number in range(4)]
    new = [pod(number, scheduled=number - 3, started=9) for number in range(4, 9)]

    found = startup(*new, *old)

    assert found is not None
    assert (found["scheduledSeconds"], found["imageSeconds"]) == (3.0, 6.0)


def test_what_an_older_server_does_not_report_is_left_out():
    assert startup(pod(0), server=OLDER_SERVER) == {"scheduledSeconds": 2.0, "imageSeconds": 3.0}


def test_a_container_that_was_started_again_says_nothing_of_its_image():
    found = startup(pod(0, restartCount=1))

    assert found is not None
    assert "imageSeconds" not in found


@pytest.mark.parametrize(
    "pods",
    [(), (replace(pod(1), is_ready=False),), (replace(pod(1), is_leaving=True),)],
    ids=["no pod", "none that is ready", "only one that goes"],
)
def test_what_is_known_stays_while_no_pod_is_ready(pods: tuple[Pod, ...]):
    previous = judge(
        parse(model_server()), Facts(None, (pod(0),), {"u-0": Reply(SERVER)}), "r", Status(), NOW
    )

    assert startup(*pods, previous=previous) == KNOWN


def test_nothing_new_is_said_before_a_new_pods_server_has_reported():
    previous = judge(
        parse(model_server()), Facts(None, (pod(0),), {"u-0": Reply(SERVER)}), "r", Status(), NOW
    )

    assert startup(pod(1, scheduled=9), server=None, previous=previous) == KNOWN


def test_a_clock_that_went_back_gives_no_negative_time():
    found = startup(pod(0, scheduled=5, started=3))

    assert found is not None
    assert found["imageSeconds"] == 0.0


@pytest.mark.parametrize("figure", ["NaN", "Infinity", "-1", "1e300"])
def test_a_figure_that_no_server_can_mean_is_not_taken(figure: str):
    with pytest.raises(ValueError, match="loadedSeconds"):
        StartupStatus.model_validate_json(f'{{"loadedSeconds": {figure}}}')
