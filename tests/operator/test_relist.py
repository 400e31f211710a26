"""What lists and watches find, and what is made of it, on a real API server."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from devcluster.kubectl import Kubernetes
from modelserver_operator.clients.kubernetes import Cluster, connect
from modelserver_operator.controller.relist import Relist, Stream
from modelserver_operator.controller.watches import Watches
from modelserver_operator.observed.store import Key, Store
from modelserver_operator.settings import Settings, add_options, from_arguments
from tests.support.children import submit
from tests.support.modelservers import model_server
from tests.support.waiting import until_async

pytestmark = pytest.mark.api
KIND = "ModelServer"


@pytest.fixture
async def connected(kubernetes: Kubernetes):
    found = await connect(kubeconfig=kubernetes.environment["KUBECONFIG"])
    yield found
    await found.close()


def settings(kubernetes: Kubernetes) -> Settings:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return from_arguments(parser.parse_args([f"--namespaces={kubernetes.namespace}"]))


def metadata(kubernetes: Kubernetes, name: str) -> dict:
    return kubernetes.get("modelserver", name)["metadata"]


def account(kubernetes: Kubernetes, name: str) -> dict:
    """A child of a paused object: nobody changes it while the test compares two lists."""
    owner = {
        "apiVersion": "modelserver.dev/v1alpha1",
        "kind": KIND,
        "name": "owner",
        "uid": metadata(kubernetes, "owner")["uid"],
        "controller": True,
    }
    labels = {"app.kubernetes.io/managed-by": "modelserver-operator"}
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "labels": labels, "ownerReferences": [owner]},
    }


async def test_a_watch_that_does_not_report_what_a_list_found_is_silent(
    kubernetes: Kubernetes, connected: Cluster
):
    woken: list[Key] = []
    relist = Relist(connected, Store(), woken.append, settings(kubernetes))
    submit(kubernetes, model_server("owner", paused=True))
    submit(kubernetes, account(kubernetes, "before"))
    await relist.list("ServiceAccount")
    assert relist.silent(-1) == [], "the first list is no news"

    submit(kubernetes, account(kubernetes, "after"))
    await relist.list("ServiceAccount")

    assert woken == [(kubernetes.namespace, "owner")] * 2
    assert relist.silent(-1) == [f"ServiceAccount in {kubernetes.namespace}"]
    assert relist.silent(60) == []
    version = int(kubernetes.get("serviceaccount", "after")["metadata"]["resourceVersion"])
    relist.heard(("ServiceAccount", kubernetes.namespace), version - 1)
    assert relist.silent(60) == []
    assert relist.silent(-1) != []
    relist.heard(("ServiceAccount", kubernetes.namespace), version)
    assert relist.silent(-1) == []


@asynccontextmanager
async def followed(
    connected: Cluster, relist: Relist, stream: Stream
) -> AsyncIterator[list[tuple[str, str]]]:
    """What a watch reports: the change, and the name."""
    found: list[tuple[str, str]] = []

    def note(_kind: str, change: str, body: Mapping[str, Any]) -> None:
        found.append((change, body["metadata"]["name"]))

    task = asyncio.create_task(Watches(connected, relist, note).follow(stream))
    try:
        yield found
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_watch_reports_everything_since_the_list_and_nothing_twice(
    kubernetes: Kubernetes, connected: Cluster
):
    relist = Relist(connected, Store(), lambda _key: None, settings(kubernetes))
    submit(kubernetes, model_server("owner", paused=True))
    submit(kubernetes, account(kubernetes, "before"))
    await relist.list("ServiceAccount")
    submit(kubernetes, account(kubernetes, "between"))

    async with followed(connected, relist, ("ServiceAccount", kubernetes.namespace)) as found:
        await until_async("the first", lambda: found, timeout=10)
        kubernetes.kubectl("label", "serviceaccount", "before", "x=y")
        kubernetes.kubectl("delete", "serviceaccount", "between")
        await until_async("the last", lambda: len(found) >= 3, timeout=10)

    assert found == [("ADDED", "between"), ("MODIFIED", "before"), ("DELETED", "between")]


class _LongAgo(Relist):
    """Its list was made before there was a CRD."""

    def version(self, _stream: Stream) -> int:
        return 1


async def test_what_happened_too_long_ago_to_be_reported_is_listed(
    kubernetes: Kubernetes, connected: Cluster, caplog: pytest.LogCaptureFixture
):
    woken: list[Key] = []
    relist = _LongAgo(connected, Store(), woken.append, settings(kubernetes))
    submit(kubernetes, model_server("before", paused=True))

    async with followed(connected, relist, (KIND, kubernetes.namespace)) as found:
        await until_async("the list", lambda: woken, timeout=10)
        submit(kubernetes, model_server("after", paused=True))
        await until_async("the watch", lambda: ("ADDED", "after") in found, timeout=10)

    assert "too old resource version" in caplog.text
    assert ("ADDED", "before") not in found
