"""How often the operator looks for scalers of others and for APIs that not every cluster has."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from modelserver_operator.api import ModelServer
from modelserver_operator.clients.kubernetes import Page
from modelserver_operator.clients.scaling.apis import Apis
from modelserver_operator.clients.scaling.others import FOUND_SECONDS, FRESH_SECONDS, OLD_SECONDS, Others
from modelserver_operator.controller.others import OthersPoll
from modelserver_operator.errors import ApiError, NotFound
from modelserver_operator.naming import BUDGET, KINDS, NEVER_OURS, OPTIONAL, Resource
from modelserver_operator.observed.store import Key, Store
from tests.support.one_field import server

HPA, VPA, BUFFER = "HorizontalPodAutoscaler", "VerticalPodAutoscaler", "CapacityBuffer"


class ApiServer:
    """As much of a Cluster as is asked here, with a clock that moves when the test says so."""

    def __init__(self, **versions: str) -> None:
        self.places = {**KINDS, **OPTIONAL, **NEVER_OURS}
        self.versions = versions
        self.asked: Counter[str] = Counter()
        self.scalers: list[dict[str, Any]] = []
        self.budgets: list[dict[str, Any]] = []
        self.now = 1000.0
        self.is_down = False

    def clock(self) -> float:
        return self.now

    async def served_version(self, place: Resource) -> str:
        self.asked[place.plural] += 1
        if self.is_down:
            raise ApiError(0, "GET /apis: no answer")
        return self.versions.get(place.plural, "")

    async def pages(self, kind: str, namespace: str, *, of_others: bool) -> AsyncIterator[Page]:
        assert of_others
        self.asked[f"{kind} in {namespace}"] += 1
        if self.is_down:
            raise ApiError(0, "GET /apis: no answer")
        if kind == VPA and "verticalpodautoscalers" not in self.versions:
            raise NotFound(404, "no such kind")
        yield Page({HPA: self.scalers, BUDGET: self.budgets}.get(kind, []), 1)


def others(api: ApiServer) -> Others:
    return Others(api, Apis(api, api.clock), api.clock)  # type: ignore[arg-type]


def named(name: str, namespace: str = "n") -> ModelServer:
    return replace(server(), name=name, namespace=namespace)


def scaler_of(name: str) -> dict[str, Any]:
    target = {"apiVersion": "modelserver.dev/v1alpha1", "kind": "ModelServer", "name": name}
    return {"metadata": {"name": "mine", "namespace": "n"}, "spec": {"scaleTargetRef": target}}


def poll(api: ApiServer, *names: str) -> tuple[OthersPoll, Store, list[Key]]:
    """And the keys that it wakes; the namespace has objects of these names."""
    store, woken = Store(), list[Key]()
    for name in names:
        metadata = {"namespace": "n", "name": name, "uid": name, "resourceVersion": "1", "generation": 1}
        store.put("ModelServer", {"metadata": metadata, "spec": {}})
    apis = Apis(api, api.clock)  # type: ignore[arg-type]
    return OthersPoll(api, apis, store, woken.append, ("n",)), store, woken  # type: ignore[arg-type]


async def test_only_the_object_that_a_new_scaler_aims_at_is_woken():
    api = ApiServer()
    looks, store, woken = poll(api, "a", "b")
    await looks.look()
    assert (woken, store.aimed) == ([], {})

    api.scalers = [scaler_of("b")]
    await looks.look()
    await looks.look()
    assert woken == [("n", "b")]
    assert store.aimed == {("n", "b"): frozenset({f"{HPA}/mine"})}

    api.scalers = []
    await looks.look()
    assert woken == [("n", "b")] * 2


async def test_our_own_scaler_is_none_of_others():
    api = ApiServer()
    looks, store, woken = poll(api, "a")
    api.scalers = [scaler_of("a")]
    api.scalers[0]["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "modelserver-operator"}
    await looks.look()

    assert (woken, store.aimed) == ([], {})


async def test_a_new_budget_wakes_the_objects_of_its_namespace():
    api = ApiServer()
    looks, store, woken = poll(api, "a", "b")
    await looks.look()
    api.budgets = [{"metadata": {"name": "theirs", "namespace": "n"}, "spec": {"selector": {}}}]
    await looks.look()
    await looks.look()

    assert sorted(woken) == [("n", "a"), ("n", "b")]
    assert [budget.name for budget in store.budgets["n"]] == ["theirs"]


async def test_what_cannot_be_listed_stays_as_it_was():
    api = ApiServer()
    looks, store, woken = poll(api, "a")
    api.scalers = [scaler_of("a")]
    await looks.look()
    before = store.aimed
    api.is_down = True
    await looks.look()

    assert (store.aimed, woken) == (before, [("n", "a")])


async def test_one_list_serves_all_objects_of_a_namespace():
    api = ApiServer()
    api.scalers = [scaler_of("b")]
    found = others(api)

    assert await found.of(named("a"), "sign") == ()
    assert [item.name for item in await found.of(named("b"), "sign")] == ["mine"]
    await found.of(named("c", "other"), "sign")

    assert (api.asked[f"{HPA} in n"], api.asked[f"{HPA} in other"]) == (1, 1)


async def test_without_a_new_sign_it_looks_again_after_half_an_hour():
    api = ApiServer()
    found = others(api)
    for seconds in (0, 60, OLD_SECONDS - 61, 1):
        api.now += seconds
        await found.of(named("a"), "sign")

    assert api.asked[f"{HPA} in n"] == 2


async def test_a_new_sign_makes_it_look_now_but_not_more_often_than_in_a_few_seconds():
    api = ApiServer()
    found = others(api)
    for number in range(10):
        await found.of(named("a"), number)
    assert api.asked[f"{HPA} in n"] == 1

    api.now += FRESH_SECONDS
    api.scalers = [scaler_of("a")]
    assert await found.of(named("a"), "another") != ()
    assert api.asked[f"{HPA} in n"] == 2


async def test_a_sign_that_is_newer_than_the_last_look_is_not_forgotten():
    """Or a scaler that came in these few seconds would be fought with for half an hour."""
    api = ApiServer()
    found = others(api)
    await found.of(named("a"), "sign")
    api.now += FRESH_SECONDS - 1
    api.scalers = [scaler_of("a")]
    assert await found.of(named("a"), "new") == ()

    api.now += 1
    assert await found.of(named("a"), "new") != ()


async def test_whether_one_is_gone_is_looked_at_once_a_minute():
    api = ApiServer()
    found = others(api)
    api.scalers = [scaler_of("a")]
    assert await found.of(named("a"), "sign") != ()
    api.scalers = []

    api.now += FOUND_SECONDS - 1
    assert await found.of(named("a"), "sign") != ()
    api.now += 1
    assert await found.of(named("a"), "sign") == ()


async def test_an_object_that_comes_back_is_looked_at_again():
    api = ApiServer()
    found = others(api)
    await found.of(named("a"), "sign")
    found.forget(("n", "a"))
    api.scalers = [scaler_of("a")]

    assert await found.of(named("a"), "sign") != ()


async def test_what_cannot_be_read_is_as_it_was():
    """Or a fight would begin whenever the API server is slow."""
    api = ApiServer()
    found = others(api)
    api.scalers = [scaler_of("a")]
    before = await found.of(named("a"), "sign")
    api.is_down = True
    api.now += FOUND_SECONDS

    with pytest.raises(ApiError):
        await found.of(named("a"), "sign")
    assert found.last(named("a")) == before
    assert found.last(named("b")) == ()


async def test_vertical_autoscalers_are_listed_where_there_are_any():
    without, having = ApiServer(), ApiServer(verticalpodautoscalers="v1")
    for api in (without, having):
        await others(api).of(named("a"), "sign")

    assert (without.asked[f"{VPA} in n"], having.asked[f"{VPA} in n"]) == (0, 1)


async def test_an_api_that_is_missing_is_asked_for_once_a_minute_and_used_when_it_comes():
    api = ApiServer()
    apis = Apis(api, api.clock)  # type: ignore[arg-type]
    for _ in range(5):
        assert await apis.served([BUFFER]) == {}
    assert api.asked["capacitybuffers"] == 1

    api.versions["capacitybuffers"] = "v1alpha1"
    api.now += 61
    assert await apis.served([BUFFER]) == {BUFFER: "autoscaling.x-k8s.io/v1alpha1"}
    assert api.places[BUFFER].version == "v1alpha1"

    api.now += 61
    await apis.served([BUFFER])
    assert api.asked["capacitybuffers"] == 2


async def test_while_the_api_server_does_not_answer_what_was_known_holds():
    api = ApiServer(capacitybuffers="v1beta1")
    apis = Apis(api, api.clock)  # type: ignore[arg-type]
    before = await apis.served([BUFFER])
    api.is_down = True
    api.now += 3600

    assert await apis.served([BUFFER]) == before


@pytest.mark.parametrize("kinds", [[], [BUFFER]])
async def test_nobody_asks_for_what_nobody_needs(kinds: list[str]):
    api = ApiServer()
    await Apis(api, api.clock).served(kinds)  # type: ignore[arg-type]

    assert set(api.asked) == ({"capacitybuffers"} if kinds else set())
