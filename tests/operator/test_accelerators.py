"""Which resource and which group a GPU or NPU gets, and that what was chosen stays."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserver_operator.api import ModelServer, Spec, parse
from modelserver_operator.changes.templates import Choice, History, choose, new_stored
from modelserver_operator.clients.nodes import read_offer
from modelserver_operator.desired import Images
from modelserver_operator.desired.accelerators import Found, allot, family
from modelserver_operator.desired.deployment import deployment
from modelserver_operator.desired.kept import read_kept
from modelserver_operator.errors import Invalid
from tests.support.modelservers import model_server

IMAGES = Images("cpu", "gpu", "npu")
XE, I915, NPU = "gpu.intel.com/xe", "gpu.intel.com/i915", "npu.intel.com/accel"
IN_PLACE = {"maxSurge": 0, "maxUnavailable": 1}
BOTH = Found({XE: 2, I915: 3})


def server(**spec: Any) -> ModelServer:
    return parse(model_server(**spec))


def spec(**fields: Any) -> Spec:
    return server(**fields).spec


def chosen(found: Found = BOTH, past: History | None = None, **fields: Any) -> Choice:
    return choose(server(**fields), IMAGES, past or History(), found)


def after(choice: Choice, **fields: Any) -> History:
    """The choice has been carried out."""
    kept = read_kept(json.dumps(choice.kept.data()))
    assert kept is not None
    return History(current=new_stored(server(**fields), kept))


def limits(choice: Choice) -> dict[str, str]:
    """Of device plugins, in the pod template."""
    container = choice.kept.template["spec"]["containers"][0]
    given = container.get("resources", {}).get("limits", {})
    return {name: amount for name, amount in given.items() if "/" in name}


def groups(choice: Choice) -> list[int]:
    found: list[int] = choice.kept.template["spec"]["securityContext"].get("supplementalGroups", [])
    return found


@pytest.mark.parametrize(
    ("fields", "advertised", "want"),
    [
        ({"device": "GPU"}, {XE: 1}, {XE: "1"}),
        ({"device": "GPU"}, {XE: 1, I915: 2}, {I915: "1"}),
        ({"device": "GPU"}, {XE: 2, I915: 2}, {XE: "1"}),
        ({"device": "GPU.1"}, {XE: 2}, {XE: "2"}),
        ({"device": "AUTO:GPU,CPU"}, {I915: 1}, {I915: "1"}),
        ({"device": "HETERO:GPU,NPU,CPU"}, {XE: 1, NPU: 1}, {XE: "1", NPU: "1"}),
        ({"device": "NPU"}, {NPU: 4, XE: 8}, {NPU: "1"}),
        ({"models": [{"name": "m", "uri": "file:///m", "device": "GPU"}]}, {XE: 1}, {XE: "1"}),
        ({"device": "GPU", "accelerator": {"count": 3}}, {XE: 8}, {XE: "3"}),
        (
            {"device": "GPU", "accelerator": {"resourceName": "vendor.example/gpu"}},
            {XE: 8},
            {"vendor.example/gpu": "1"},
        ),
        ({"device": "GPU.2", "accelerator": {"resourceName": I915}}, {XE: 8}, {I915: "3"}),
        ({"device": "AUTO"}, {XE: 1}, {}),
        ({"device": "AUTO", "accelerator": {"resourceName": XE}}, {}, {XE: "1"}),
        ({"device": "AUTO", "accelerator": {"renderGroup": 9}}, {XE: 1}, {XE: "1"}),
        ({"device": "AUTO:-GPU"}, {XE: 1}, {}),
        ({"device": "CPU"}, {XE: 1}, {}),
    ],
)
def test_a_device_gets_what_nodes_advertise_for_it(fields: dict, advertised: dict, want: dict):
    choice = chosen(Found(advertised), **fields)

    assert limits(choice) == want
    assert choice.unadvertised == () or "accelerator" in fields


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        ({}, "CPU"),
        ({"device": "AUTO"}, "CPU"),
        ({"device": "AUTO", "accelerator": {"resourceName": XE}}, "GPU"),
        ({"device": "AUTO", "accelerator": {"resourceName": NPU}}, "NPU"),
        ({"device": "AUTO:-GPU"}, "CPU"),
        ({"device": "AUTO:GPU,CPU"}, "GPU"),
        ({"device": "AUTO:NPU,GPU"}, "NPU"),
    ],
)
def test_an_accelerator_takes_an_image_that_can_use_it(fields: dict, want: str):
    assert family(spec(**fields)) == want


def test_what_was_chosen_stays_although_nodes_come_and_go():
    first = chosen(Found({XE: 1}), device="GPU")

    for advertised in ({I915: 8}, {}, None):
        later = chosen(Found(advertised), after(first, device="GPU"), device="GPU", workers=1)
        assert later.kept.template == first.kept.template
        assert not later.is_upgrade_available()
    rolled = chosen(Found({I915: 8}), after(first, device="GPU"), device="GPU", image="other")
    assert limits(rolled) == {XE: "1"}, "another image is no other demand"
    assert limits(chosen(Found({I915: 8}), after(first, device="GPU"), device="GPU.1")) == {I915: "2"}


def test_what_is_gone_from_the_nodes_is_named():
    first = chosen(Found({XE: 1}), device="GPU")

    assert chosen(Found({I915: 8}), after(first, device="GPU"), device="GPU").unadvertised == (XE,)


def test_without_a_node_that_advertises_one_the_likeliest_is_requested_until_one_does():
    first = chosen(Found({}), device="GPU")
    assert (limits(first), first.unadvertised) == ({XE: "1"}, (XE,))
    past = after(first, device="GPU")

    same = chosen(Found({}), past, device="GPU")
    assert same.kept == first.kept
    now = chosen(Found({I915: 1}), past, device="GPU")
    assert (limits(now), now.unadvertised) == ({I915: "1"}, ())


def test_what_serves_stays_where_no_node_advertises_what_is_demanded_now():
    running = chosen(device="CPU")
    past = after(running)
    serving = replace(past, good=past.current)

    for found in (Found({}), Found(None)):
        later = chosen(found, serving, device="GPU", hint="LATENCY")
        assert later.kept == running.kept, "neither pods nor configuration change"
        assert later.unadvertised == (XE,)
        assert limits(chosen(found, past, device="GPU")) == {XE: "1"}, "nothing serves that could be lost"
    assert limits(chosen(Found({XE: 1}), serving, device="GPU")) == {XE: "1"}


def test_an_object_from_before_gets_no_resource_until_it_asks():
    """It named a GPU without accelerator, and its template was kept."""
    before = replace(chosen(device="AUTO:GPU,CPU").kept, resources={})
    bare = {
        **before.template,
        "spec": {**before.template["spec"], "containers": [{"name": "modelserver", "image": "i"}]},
    }
    past = History(current=new_stored(server(device="AUTO:GPU,CPU"), replace(before, template=bare)))

    later = chosen(Found({XE: 1}), past, device="AUTO:GPU,CPU", nireq=3)
    assert limits(later) == {}, "an upgrade of the operator replaces no pod"
    assert later.is_upgrade_available()
    body = model_server(device="AUTO:GPU,CPU")
    body["metadata"]["annotations"] = {"modelserver.dev/upgrade": "1"}
    assert limits(choose(parse(body), IMAGES, past, Found({XE: 1}))) == {XE: "1"}


def test_learned_groups_are_only_ever_added_and_all_else_stays():
    first = chosen(device="GPU", accelerator={"renderGroup": 44})
    assert groups(first) == [44]

    learned = chosen(
        replace(BOTH, groups=(109,)), after(first), device="GPU", accelerator={"renderGroup": 44}
    )
    assert groups(learned) == [44, 109]
    later = chosen(BOTH, after(learned), device="GPU", accelerator={"renderGroup": 44})
    assert later.kept.template == learned.kept.template
    rest = {**learned.kept.template["spec"], "securityContext": None}
    assert rest == {**first.kept.template["spec"], "securityContext": None}
    renewed = chosen(BOTH, after(learned), device="GPU", accelerator={"renderGroup": 44}, image="other")
    assert groups(renewed) == [44, 109], "another image needs the group, too"


@pytest.mark.parametrize(
    ("found", "want"), [((0,), ()), ((7, 0, 7, 5), (5, 7)), (tuple(range(1, 9)), (1, 2, 3, 4))]
)
def test_not_every_group_is_learned(found: tuple[int, ...], want: tuple[int, ...]):
    assert allot(spec(device="GPU"), Found({}, found)).groups == want
    assert allot(spec(device="CPU"), Found({}, found)).groups == ()


@pytest.mark.parametrize("device", ["GPU", "AUTO:GPU,CPU", "NPU"])
def test_with_an_accelerator_an_old_pod_is_stopped_first(device: str):
    kept = chosen(Found({XE: 1, NPU: 1}), device=device).kept
    made = server(device=device)

    assert deployment(made, kept.template)["spec"]["strategy"]["rollingUpdate"] == IN_PLACE
    without = chosen(device="CPU").kept
    assert deployment(made, without.template)["spec"]["strategy"]["rollingUpdate"] != IN_PLACE


FORMS = st.sampled_from(
    [
        "CPU",
        "GPU",
        "GPU.1",
        "NPU",
        "AUTO",
        "AUTO:-GPU",
        "AUTO:GPU,CPU",
        "HETERO:NPU,GPU.2,CPU",
        "BATCH:GPU(4)",
    ]
)
ACCELERATORS = st.none() | st.fixed_dictionaries(
    {}, optional={"resourceName": st.sampled_from([XE, I915, NPU]), "count": st.integers(1, 4)}
)
ADVERTISED = st.none() | st.dictionaries(st.sampled_from([XE, I915, NPU]), st.integers(0, 4))


@given(FORMS, ACCELERATORS, ADVERTISED, ADVERTISED)
def test_the_same_demand_gives_the_same_pods_whatever_nodes_do(device, accelerator, first, then):
    fields = {"device": device, **({"accelerator": accelerator} if accelerator else {})}
    try:
        server(**fields)
    except Invalid:
        return
    one = chosen(Found(first), **fields)
    other = chosen(Found(then), after(one, **fields), **fields)

    if not one.kept.awaits_resources:
        assert other.kept.template == one.kept.template
    assert all(int(amount) >= 1 for amount in limits(other).values())


def test_nodes_are_added_up():
    nodes = [
        {"metadata": {"name": name}, "status": {"allocatable": {"cpu": "4", XE: amount}, "conditions": []}}
        for name, amount in (("a", "2"), ("b", "1"))
    ]

    assert read_offer(nodes).advertised == {XE: 3}
