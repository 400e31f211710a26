"""What a pass knows about scaling before it renders: from the store, and from the API server."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from modelserver_operator.api import ModelServer
from modelserver_operator.clients.kubernetes import Page
from modelserver_operator.clients.scaling.surroundings import Gatherer, followed
from modelserver_operator.errors import ApiError
from modelserver_operator.naming import (
    CAPACITY_BUFFER,
    HPA,
    KINDS,
    NEVER_OURS,
    OPTIONAL,
    SCALED_OBJECT,
    Resource,
)
from modelserver_operator.observed.scaling.facts import Scaling
from modelserver_operator.observed.scaling.foreign import Foreign
from modelserver_operator.observed.store import Store
from tests.support.modelservers import scaled
from tests.support.one_field import server

KEY = ("default", "server")
CPU = scaled(metrics=[{"type": "CPU", "averageUtilization": 80}])
OURS = {"app.kubernetes.io/managed-by": "modelserver-operator", "app.kubernetes.io/instance": "server"}


class ApiServer:
    """As much of a Cluster as is asked here."""

    def __init__(self, *served: str) -> None:
        self.places = {**KINDS, **OPTIONAL, **NEVER_OURS}
        self.served = [self.places[kind].plural for kind in served]
        self.objects: dict[str, dict[str, Any]] = {}
        self.refused: set[str] = set()
        self.is_down = False
        self.asked: list[str] = []

    async def served_version(self, place: Resource) -> str:
        if self.is_down:
            raise ApiError(0, "GET /apis: no answer")
        return place.version if place.plural in self.served else ""

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        self.asked.append(kind)
        if kind in self.refused:
            raise ApiError(403, f"GET {name}: 403 forbidden")
        assert (namespace, name) == KEY
        return self.objects.get(kind)

    async def pages(self, kind: str, _namespace: str, *, of_others: bool) -> AsyncIterator[Page]:
        assert of_others
        self.asked.append(f"all of {kind}")
        yield Page([], 1)


def gatherer(api: ApiServer) -> tuple[Gatherer, Store]:
    store = Store()
    return Gatherer(api, store, "http://op.s.svc:8090"), store  # type: ignore[arg-type]


def child(
    name: str = "server", owner: str = "ModelServer", uid: str = "owner", **spec: Any
) -> dict[str, Any]:
    reference = {"kind": owner, "name": "server", "uid": uid, "controller": True}
    metadata = {"namespace": "default", "name": name, "uid": f"{name}-{owner}", "resourceVersion": "5"}
    return {"metadata": {**metadata, "labels": OURS, "ownerReferences": [reference]}, "spec": spec}


def scaled_object(key: str = "k3y") -> dict[str, Any]:
    return child(triggers=[{"metadata": {"url": f"http://op.s.svc:8090/scale/default/server?key={key}"}}])


async def test_an_object_that_wants_none_of_it_costs_no_request():
    api = ApiServer(SCALED_OBJECT, CAPACITY_BUFFER)
    gathered, _ = gatherer(api)

    around, scaling = await gathered.look(server())

    assert api.asked == []
    assert (around.key, scaling) == ("", Scaling())


async def test_what_is_rendered_stays_the_same_while_nothing_changes():
    """Otherwise each pass would write."""
    gathered, _ = gatherer(ApiServer(SCALED_OBJECT))

    assert (await gathered.look(server()))[0] == (await gathered.look(server()))[0]


async def test_a_key_is_made_once_and_read_back():
    api = ApiServer(SCALED_OBJECT)
    gathered, _ = gatherer(api)
    first, second = [(await gathered.look(server(**scaled())))[0].key for _ in range(2)]
    assert first != second
    assert len(first) == 32

    api.objects[SCALED_OBJECT] = scaled_object(first)
    assert (await gathered.look(server(**scaled())))[0].key == first
    # Another process knows it from the same place.
    assert (await gatherer(api)[0].look(server(**scaled())))[0].key == first


async def test_what_the_cluster_does_not_have_is_missing_only_where_it_is_wanted():
    api = ApiServer(CAPACITY_BUFFER)
    gathered, _ = gatherer(api)

    around, scaling = await gathered.look(server(headroom=1, **scaled()))
    assert scaling.missing == {SCALED_OBJECT}
    assert around.api_versions == ((CAPACITY_BUFFER, "autoscaling.x-k8s.io/v1beta1"),)
    assert (await gathered.look(server(**CPU)))[1].missing == frozenset()


async def test_what_cannot_be_read_is_not_written_unless_it_is_known():
    api = ApiServer(SCALED_OBJECT)
    api.objects[SCALED_OBJECT] = scaled_object()
    known, unknown = gatherer(api)[0], gatherer(api)[0]
    await known.look(server(**scaled()))
    api.refused.add(SCALED_OBJECT)

    around, scaling = await unknown.look(server(**scaled()))
    assert around.api_version(SCALED_OBJECT) == ""
    assert scaling.unread == ("ScaledObject server cannot be read: 403 forbidden",)
    assert scaling.missing == frozenset()
    around, scaling = await known.look(server(**scaled()))
    assert (around.key, around.api_version(SCALED_OBJECT)) == ("k3y", "keda.sh/v1alpha1")
    assert scaling.unread


async def test_what_the_api_server_does_not_tell_is_not_missing_and_nothing_is_forgotten():
    api = ApiServer(SCALED_OBJECT)
    api.objects[SCALED_OBJECT] = scaled_object()
    api.is_down = True
    gathered, store = gatherer(api)
    store.put(SCALED_OBJECT, scaled_object())

    around, scaling = await gathered.look(server(**scaled()))

    assert scaling.missing == frozenset()
    assert scaling.unread == ("whether the API server serves ScaledObject cannot be read: no answer",)
    assert around.api_version(SCALED_OBJECT) == ""
    assert (SCALED_OBJECT, "server") in store.snapshot(KEY).children


async def test_a_child_that_vanishes_with_its_api_is_not_written_again():
    api = ApiServer(SCALED_OBJECT)
    api.objects[SCALED_OBJECT] = scaled_object()
    gathered, _ = gatherer(api)
    await gathered.look(server(**scaled()))
    api.objects.clear()
    api.served.clear()

    around, scaling = await gathered.look(server(**scaled()))

    assert scaling.missing == {SCALED_OBJECT}
    assert around.api_version(SCALED_OBJECT) == ""


async def test_a_scaler_that_lost_its_owner_is_ours_and_nothing_waits_for_it():
    api = ApiServer()
    gathered, store = gatherer(api)
    orphan = child()
    orphan["metadata"]["ownerReferences"] = []
    store.put(HPA, orphan)

    around, scaling = await gathered.look(server(**CPU))

    assert not around.waits
    assert not scaling.is_changing


async def test_a_child_that_is_gone_is_forgotten():
    api = ApiServer(SCALED_OBJECT)
    api.objects[SCALED_OBJECT] = scaled_object()
    gathered, store = gatherer(api)
    await gathered.look(server(**scaled()))
    assert (SCALED_OBJECT, "server") in store.snapshot(KEY).children
    api.objects.clear()

    await gathered.look(server(**scaled()))

    assert (SCALED_OBJECT, "server") not in store.snapshot(KEY).children


async def test_one_that_is_not_wanted_any_more_is_still_seen():
    """Or it would never be deleted."""
    api = ApiServer(SCALED_OBJECT)
    api.objects[SCALED_OBJECT] = scaled_object()
    gathered, store = gatherer(api)
    store.put(SCALED_OBJECT, scaled_object())

    await gathered.look(server())

    assert api.asked == [SCALED_OBJECT]


@pytest.mark.parametrize(
    ("present", "spec", "waits"),
    [
        pytest.param([], CPU, False, id="nothing there"),
        pytest.param([(HPA, child())], CPU, False, id="ours of this kind"),
        pytest.param([(HPA, child())], scaled(), True, id="ours by CPU, and requests are wanted"),
        pytest.param([(SCALED_OBJECT, scaled_object())], CPU, True, id="ours by requests, and CPU is wanted"),
        pytest.param(
            [(HPA, child("keda-hpa-server", SCALED_OBJECT, "so"))],
            CPU,
            True,
            id="what KEDA made is still there",
        ),
        pytest.param(
            [(HPA, child("keda-hpa-server", SCALED_OBJECT, "so"))],
            scaled(),
            False,
            id="what KEDA made for it",
        ),
    ],
)
async def test_a_scaler_waits_until_the_other_kind_is_gone(
    present: list[tuple[str, dict]], spec: dict, waits: bool
):
    api = ApiServer(SCALED_OBJECT)
    gathered, store = gatherer(api)
    for kind, body in present:
        store.put(kind, body)
        api.objects[kind] = body

    assert (await gathered.look(server(**spec)))[0].waits is waits


def deployment(replicas: int) -> dict[str, Any]:
    return {**child(replicas=replicas), "status": {}}


@pytest.mark.parametrize(
    ("foreign", "want"),
    [
        pytest.param((), 1, id="nobody"),
        pytest.param((Foreign(HPA, "mine", "Deployment"),), 7, id="of the Deployment"),
        pytest.param((Foreign(HPA, "mine", "ModelServer"),), 1, id="of the object"),
        pytest.param((Foreign("VerticalPodAutoscaler", "mine", "Deployment"),), 1, id="a vertical one"),
    ],
)
def test_only_a_scaler_of_the_deployment_decides_its_replicas(foreign: tuple[Foreign, ...], want: int):
    store = Store()
    store.put("Deployment", deployment(7))
    made: ModelServer = replace(server(), uid="owner")

    found = followed(made, Scaling(foreign=foreign), store.snapshot(KEY))

    assert found.spec.replicas == want
