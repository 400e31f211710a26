"""GET /scale/NAMESPACE/NAME?key=…: for who has the key, on every pod of the operator."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import aiohttp
import pytest
from yarl import URL

from modelserver_operator import naming
from modelserver_operator.clients.scaling.loads import Loads
from modelserver_operator.clients.servers import ServerClient
from modelserver_operator.controller.endpoint import MOST_CONNECTIONS
from modelserver_operator.controller.scale import ScaleEndpoint
from modelserver_operator.observed.store import Key, Store
from tests.support import keda_query
from tests.support.hpa import replicas_for
from tests.support.modelservers import model_server, scaled
from tests.support.server_process import free_port
from tests.support.status_port import status_port, whole
from tests.support.waiting import until_async

OWNER = {"kind": "ModelServer", "name": "server", "uid": "owner", "controller": True}
REPLICA_SET = {"kind": "ReplicaSet", "name": "server-1", "uid": "rs", "controller": True}


def metadata(name: str, uid: str, owner: dict | None = None, **labels: str) -> dict:
    owners = {"ownerReferences": [owner]} if owner else {}
    return {"namespace": "n", "name": name, "uid": uid, "resourceVersion": "5", "labels": labels, **owners}


def scaled_object(key: str = "k3y", uid: str = "owner") -> dict:
    trigger = {"type": "metrics-api", "metadata": {"url": f"http://op.s.svc:8090/scale/n/server?key={key}"}}
    return {"metadata": metadata("server", "so", {**OWNER, "uid": uid}), "spec": {"triggers": [trigger]}}


def pod(port: int, name: str = "a") -> dict:
    container = {"name": "modelserver", "ports": [{"name": "status", "containerPort": port}]}
    return {
        "metadata": metadata(name, f"pod-{name}", REPLICA_SET, **{"app.kubernetes.io/instance": "server"}),
        "spec": {"containers": [container]},
        "status": {
            "phase": "Running",
            "podIP": "127.0.0.1",
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def load(in_flight: float) -> bytes:
    entry = {"name": "m", "inFlight": in_flight, "queued": 0, "streams": 2, "inline": False}
    return json.dumps({"load": [entry]}).encode()


@dataclass
class Operator:
    """As much of it as answers."""

    store: Store
    url: str
    refreshed: list[Key] = field(default_factory=list)
    going_on: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.going_on.set()

    async def get(self, path: str) -> tuple[int, dict]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(URL(f"{self.url}{path}", encoded=True)) as answer,
        ):
            return answer.status, await answer.json()


def modelserver(name: str = "server", **spec: object) -> dict:
    body = model_server(name, **spec)
    uid = "owner" if name == "server" else name
    body["metadata"] |= {"namespace": "n", "uid": uid, "resourceVersion": "5"}
    return body


def list_all(store: Store) -> None:
    """What the operator's start does, but for the objects."""
    for kind in naming.KINDS:
        store.note_listed(kind, None)


@contextlib.asynccontextmanager
async def operator(
    refresh: Callable[[Store], None] = lambda _: None, *, is_listed: bool = True
) -> AsyncIterator[Operator]:
    """`refresh` is what reading the ScaledObject does to its store; then the answer waits for `going_on`."""
    store, client, port = Store(), ServerClient(), free_port()
    store.put("ModelServer", modelserver(**scaled()))
    if is_listed:
        list_all(store)
    running = Operator(store, f"http://127.0.0.1:{port}")

    async def read(key: Key) -> None:
        running.refreshed.append(key)
        refresh(store)
        await running.going_on.wait()

    loads = Loads(client)
    endpoint = ScaleEndpoint(store, loads, read)
    await endpoint.start(port)
    try:
        yield running
    finally:
        await endpoint.close()
        await loads.close()
        await client.close()


def with_scaler(store: Store) -> None:
    store.put("ScaledObject", scaled_object())


async def test_it_answers_with_the_load_of_all_pods():
    async with status_port(whole(load(3))) as port, operator() as running:
        with_scaler(running.store)
        running.store.put("Pod", pod(port, "a"))
        running.store.put("Pod", pod(port, "b"))

        assert await running.get("/scale/n/server?key=k3y") == (
            200,
            {"requestsPerStream": 3.0, "concurrency": 6.0},
        )


async def test_what_keda_asks_makes_eight_of_four_pods_at_one_and_a_half_per_stream():
    async with status_port(whole(load(3))) as port, operator() as running:
        with_scaler(running.store)
        for name in "abcd":
            running.store.put("Pod", pod(port, name))
        host = URL(running.url)
        reader, writer = await asyncio.open_connection(host.host, host.port)
        writer.write(keda_query.request(f"{host.host}:{host.port}", "/scale/n/server?key=k3y"))
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length"))
        body = json.loads(await reader.readexactly(int(length.split(b":")[1])))
        writer.close()
        await writer.wait_closed()

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body["requestsPerStream"] == 6.0
    assert replicas_for(body["requestsPerStream"], 0.75, replicas=4) == 8


async def test_at_zero_replicas_the_load_is_nothing():
    async with operator() as running:
        with_scaler(running.store)

        assert await running.get("/scale/n/server?key=k3y") == (
            200,
            {"requestsPerStream": 0.0, "concurrency": 0.0},
        )


WRONG = {
    "another key": "/scale/n/server?key=other",
    "no key": "/scale/n/server",
    "an empty key": "/scale/n/server?key=",
    "a part of the key": "/scale/n/server?key=k3",
    "bytes that are no text": "/scale/n/server?key=%ff%ed%a0%80",
    "a very long key": f"/scale/n/server?key={'k' * 7000}",
    "an object that does not exist": "/scale/n/other?key=k3y",
    "a namespace that does not exist": "/scale/m/server?key=k3y",
}


@pytest.mark.parametrize("path", WRONG.values(), ids=WRONG)
async def test_whatever_is_wrong_the_answer_is_the_same(path: str):
    async with operator() as running:
        with_scaler(running.store)

        assert await running.get(path) == (404, {"problem": "no such object, or another key"})


@pytest.mark.parametrize("key", ["", "k3y"])
async def test_an_object_without_a_scaler_has_no_key(key: str):
    async with operator() as running:
        assert (await running.get(f"/scale/n/server?key={key}"))[0] == 404


async def test_the_key_of_a_predecessors_scaler_opens_nothing():
    async with operator() as running:
        running.store.put("ScaledObject", scaled_object(uid="predecessor"))

        assert (await running.get("/scale/n/server?key=k3y"))[0] == 404


async def test_a_pod_that_has_not_been_heard_is_a_reason_to_wait():
    async with status_port(whole(b"")) as port:
        closed = port
    async with operator() as running:
        with_scaler(running.store)
        running.store.put("Pod", pod(closed))

        status, body = await running.get("/scale/n/server?key=k3y")

    assert (status, body["problem"]) == (
        503,
        "no pod is ready, or not every ready pod has reported its load yet",
    )


async def test_while_pods_may_be_unknown_nothing_is_said():
    """A list that was refused would otherwise be an object without load, and end as one replica."""
    async with operator(is_listed=False) as running:
        with_scaler(running.store)
        assert (await running.get("/scale/n/server?key=k3y"))[0] == 503

        list_all(running.store)
        assert (await running.get("/scale/n/server?key=k3y"))[0] == 200


async def test_a_pod_of_the_operator_that_does_not_lead_learns_of_a_new_key_by_the_first_question():
    async with operator(with_scaler) as running:
        assert (await running.get("/scale/n/server?key=k3y"))[0] == 404
        await until_async("it has read the ScaledObject", lambda: running.refreshed, timeout=5)

        assert (await running.get("/scale/n/server?key=k3y"))[0] == 200


async def test_wrong_questions_do_not_become_requests_to_the_api_server():
    async with operator() as running:
        for _ in range(20):
            await running.get("/scale/n/server?key=guess")
            await running.get("/scale/n/other?key=guess")

    assert running.refreshed == [("n", "server")]


async def test_an_object_that_needs_no_scaled_object_is_never_looked_up():
    async with operator() as running:
        running.store.put("ModelServer", modelserver("free"))
        running.store.put("ModelServer", modelserver("byhand", replicas=3))
        for name in ("free", "byhand"):
            assert (await running.get(f"/scale/n/{name}?key=guess"))[0] == 404

    assert running.refreshed == []


async def test_wrong_questions_about_many_objects_are_few_requests_at_a_time():
    """Anyone who reaches the port could otherwise have the operator ask the API server as they like."""
    async with operator() as running:
        running.going_on.clear()
        names = [f"s{number}" for number in range(50)]
        for name in names:
            running.store.put("ModelServer", modelserver(name, **scaled()))
        for name in names * 2:
            assert (await running.get(f"/scale/n/{name}?key=guess"))[0] == 404
        assert len(running.refreshed) == 1

        running.going_on.set()
        await until_async("the next one", lambda: len(running.refreshed) > 1, timeout=5)
        assert len(running.refreshed) < 10


async def test_connections_that_say_nothing_keep_nobody_out_and_do_not_pile_up():
    async with operator() as running, contextlib.AsyncExitStack() as idle:
        with_scaler(running.store)
        port = int(running.url.rpartition(":")[2])
        readers = []
        for _ in range(MOST_CONNECTIONS + 50):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            idle.callback(writer.close)
            readers.append(reader)

        assert (await running.get("/scale/n/server?key=k3y"))[0] == 200
        await until_async(
            "the oldest are closed", lambda: sum(one.at_eof() for one in readers) >= 50, timeout=5
        )
        assert not readers[-1].at_eof()
