"""What the API server answers to the write of a status, and what is made of it."""

from dataclasses import replace
from typing import Any

import pytest

from modelserver_operator.api import Condition, Status
from modelserver_operator.changes.status import StatusWriter, Written
from modelserver_operator.clients.installed import InstalledCrd
from modelserver_operator.clients.kubernetes import Cluster
from modelserver_operator.errors import ApiError
from modelserver_operator.observed.store import Store
from tests.support.modelservers import model_server
from tests.support.scripted_api import GARBLED, ScriptedApi

NOW = "2026-01-01T00:00:00Z"
READY = Condition(
    type="Ready", status="True", reason="Ready", observed_generation=1, last_transition_time=NOW
)
STATUS = Status(observed_generation=1, conditions=[READY], replicas=1)


def stored() -> dict[str, Any]:
    body = model_server()
    body["metadata"] |= {"namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 1}
    return body


async def written(writer: StatusWriter, api: ScriptedApi) -> Written:
    return await writer.write(api.body, writer.previous(api.body), STATUS)


def writer_of(cluster: Cluster) -> StatusWriter:
    return StatusWriter(cluster, Store(), InstalledCrd(cluster), lambda: NOW)


@pytest.mark.parametrize("code", [409, 429, 500, 503, GARBLED])
async def test_an_error_of_the_moment_is_tried_again_and_changes_no_condition(code: int):
    api = ScriptedApi(stored(), [code])

    async with api.serve() as cluster:
        writer = writer_of(cluster)
        with pytest.raises(ApiError):
            await written(writer, api)
        assert "status" not in api.body

        assert (await written(writer, api)).is_new

    assert api.condition("Ready")["status"] == "True"


async def test_an_internal_error_that_does_not_end_is_in_a_minimal_status():
    api = ScriptedApi(stored(), [500, 500, 500, 500])

    async with api.serve() as cluster:
        writer = writer_of(cluster)
        for _ in range(3):
            with pytest.raises(ApiError):
                await written(writer, api)

        found = await written(writer, api)

    assert found.is_new
    assert api.condition("Ready")["reason"] == "StatusRefused"


async def test_what_the_object_says_after_a_refusal_is_the_minimal_status():
    """Events and the time of the next pass follow what is written, and not what was refused."""
    api = ScriptedApi(stored(), [422, 200, 422])

    async with api.serve() as cluster:
        writer = writer_of(cluster)
        first = await written(writer, api)
        again = await written(writer, api)

    assert first.is_new
    assert not again.is_new
    for found in (first, again):
        (ready,) = found.status.conditions
        assert (ready.status, ready.reason) == ("False", "StatusRefused")
    assert replace(first, is_new=False) == again


async def test_the_status_of_an_object_that_is_gone_is_not_written_again():
    api = ScriptedApi(stored(), [404])

    async with api.serve() as cluster:
        assert not (await written(writer_of(cluster), api)).is_new


async def test_the_schema_is_read_once_for_all_that_are_refused_together():
    api = ScriptedApi(stored(), [422, 200] * 3)

    async with api.serve() as cluster:
        writer = writer_of(cluster)
        for _ in range(3):
            await written(writer, api)

    assert (api.writes, api.reads) == (4, 1)
