"""Who writes where while Leases change hands, watches are silent, and renewals come late."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from modelserver_operator.api import KIND
from modelserver_operator.clients.asking import Asking
from modelserver_operator.clients.lease import Lease, Terms, clock
from modelserver_operator.clients.servers import ServerClient
from modelserver_operator.controller.application import where_leading
from modelserver_operator.controller.leadership import Leadership
from modelserver_operator.desired import Images
from modelserver_operator.errors import ApiError
from modelserver_operator.observed.pod import read_pod
from modelserver_operator.observed.report import ProbeOutcome
from modelserver_operator.observed.store import Store
from tests.support.in_process import reconciler
from tests.support.modelservers import model_server
from tests.support.scripted_api import ScriptedApi
from tests.support.status_port import status_port, whole
from tests.support.waiting import until_async

KEY = ("n", "server")
Read = Callable[[], Awaitable[list[dict[str, Any]]]]


def held() -> Lease:
    lease = Lease("kube-system", Terms("system/all/pod-0", 15, must_wait=False))
    lease.holder, lease.problem, lease.renewed = lease.terms.identity, "", clock()
    return lease


def claim(renewed: str, duration: float = 0.2) -> dict[str, Any]:
    """The Lease of an operator of the namespace n."""
    spec = {"holderIdentity": "system/n/pod-0", "leaseDurationSeconds": duration, "renewTime": renewed}
    return {"metadata": {"namespace": "n", "name": "modelserver-operator", "uid": "l"}, "spec": spec}


async def nothing() -> list[dict[str, Any]]:
    return []


@contextlib.asynccontextmanager
async def running(
    leadership: Leadership, wake: Callable[[], None] = lambda: None, read: Read = nothing
) -> AsyncIterator[None]:
    async def tell(*_: Any) -> None:
        """Events are not looked at here."""

    task = asyncio.create_task(leadership.run(wake, tell, read))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_namespace_is_not_taken_back_because_the_watch_of_its_lease_is_silent():
    renewed, readings, fails = [0], [0], [False]

    async def read() -> list[dict[str, Any]]:
        readings[0] += 1
        if fails[0]:
            raise ApiError(0, "no answer")
        return [claim(str(renewed[0]))]

    leadership = Leadership([held()], is_cluster_wide=True)
    leadership.seen(None, claim("0"))
    async with running(leadership, read=read):
        while readings[0] < 2:
            renewed[0] += 1  # the holder renews it, and no event says so
            assert not leadership.leads("n")
            await asyncio.sleep(0.02)
        fails[0] = True
        await until_async("an attempt that failed", lambda: readings[0] >= 3)
        assert not leadership.leads("n"), "nothing is known"
        fails[0] = False

        await until_async("it is taken back", lambda: leadership.leads("n"))
        leadership.seen("MODIFIED", claim("again"))
        assert not leadership.leads("n")


async def test_a_pass_that_was_turned_away_is_made_up_for():
    """The Lease was lost and held again before anybody looked."""
    lease, woken = held(), [0]
    leadership = Leadership([lease], is_cluster_wide=True)

    def wake() -> None:
        woken[0] += 1

    async with running(leadership, wake):
        await until_async("the first look", lambda: woken[0] == 1)
        lease.renewed = None
        assert not leadership.leads("n")
        leadership.turn_away("n")
        lease.renewed = clock()

        await until_async("all are woken", lambda: woken[0] == 2)


async def test_a_renewal_that_fails_wakes_nobody_while_the_lease_is_held():
    lease, woken, looks = held(), [0], [0]
    leadership = Leadership([lease], is_cluster_wide=True)
    leadership.seen(None, claim("0", duration=0.01))

    async def read() -> list[dict[str, Any]]:
        looks[0] += 1
        return [claim(str(looks[0]), duration=0.01)]

    def wake() -> None:
        woken[0] += 1

    async with running(leadership, wake, read):
        await until_async("the first look", lambda: looks[0] == 1)
        before = woken[0]
        lease.problem = "500 Internal Server Error"
        await until_async("more looks", lambda: looks[0] >= 3, timeout=10)

    assert woken[0] == before


def server_pod(port: int) -> dict[str, Any]:
    status = {"phase": "Running", "podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]}
    ports = [{"name": "status", "containerPort": port}]
    return {
        "metadata": {"name": "p", "namespace": "n", "uid": "p", "resourceVersion": "1"},
        "spec": {"containers": [{"name": "modelserver", "image": "i", "ports": ports}]},
        "status": status,
    }


@pytest.mark.parametrize("is_deleted", [False, True])
async def test_where_another_operator_writes_no_server_is_asked(is_deleted: bool):
    body = model_server()
    body["metadata"] |= {"namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 1}
    store, servers, lease = Store(), ServerClient(), held()
    asking = Asking(servers, lambda: 0.05)
    leadership = Leadership([lease], is_cluster_wide=True)
    async with ScriptedApi(body).serve() as cluster, status_port(whole(b"{}")) as port:
        process = where_leading(leadership, reconciler(store, cluster, asking, Images("c", "", "")))
        store.put(KIND, body)
        asking.replies(KEY, [read_pod(server_pod(port))], "r")
        await until_async("an answer", lambda: asking.outcomes[ProbeOutcome.UNREADABLE] > 0)

        lease.renewed = None
        if is_deleted:
            store.drop(KIND, {"metadata": {**body["metadata"], "resourceVersion": "8"}})
        assert await process(KEY) is None

        asked = asking.outcomes.total()
        await asyncio.sleep(2.2)  # a server that failed is asked every second
        assert asking.outcomes.total() <= asked + 1
        await asking.close()
        await servers.close()
