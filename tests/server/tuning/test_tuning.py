"""The tuning table, row by row, and its laws."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserver.admission import LiveLimits
from modelserver.engine import Devices, Source, load
from modelserver.errors import ConfigError, LoadFailed
from modelserver.settings.config_file import Shaping
from modelserver.settings.limits import Limits
from modelserver.tuning.device import families
from modelserver.tuning.legacy import LEGACY_NAMES, translate
from modelserver.tuning.machine import Machine
from modelserver.tuning.plan import Neighbours, check, plan
from modelserver.tuning.topology import Topology
from modelserver.tuning.wish import HINTS, Wish


def machine(cores=4, online=8, quota=None, nodes=1):
    return Machine(tuple(range(cores)), online, quota, on_nodes(nodes))


def on_nodes(number):
    return Topology(numa_nodes=tuple((node, ()) for node in range(number)))


def properties(wish, on=None, beside=None):
    return dict(plan(wish, on or machine(), beside or Neighbours()).properties)


@pytest.mark.parametrize(
    ("wish", "want"),
    [
        pytest.param(Wish(hint="LATENCY"), {"PERFORMANCE_HINT": "LATENCY"}, id="hint"),
        pytest.param(Wish(streams=2), {"NUM_STREAMS": 2}, id="streams"),
        pytest.param(Wish(streams="AUTO"), {"NUM_STREAMS": "AUTO"}, id="streams AUTO"),
        pytest.param(Wish(streams="NUMA"), {"NUM_STREAMS": 2}, id="streams NUMA is one per node"),
        pytest.param(Wish(), {"PERFORMANCE_HINT": "THROUGHPUT"}, id="neither is THROUGHPUT"),
        pytest.param(Wish(expected_clients=1), {"PERFORMANCE_HINT": "LATENCY"}, id="one client"),
        pytest.param(Wish(expected_clients=4), {"NUM_STREAMS": 2}, id="four clients"),
        pytest.param(
            Wish(hint="THROUGHPUT", expected_clients=9),
            {"PERFORMANCE_HINT": "THROUGHPUT", "PERFORMANCE_HINT_NUM_REQUESTS": 9},
            id="clients with a hint",
        ),
        pytest.param(
            Wish(plugin_config={"CPU_THROUGHPUT_STREAMS": "3"}), {"NUM_STREAMS": 3}, id="legacy streams"
        ),
        pytest.param(
            Wish(plugin_config={"KEY_CPU_THROUGHPUT_STREAMS": "KEY_CPU_THROUGHPUT_NUMA"}),
            {"NUM_STREAMS": 2},
            id="legacy NUMA with KEY_",
        ),
        pytest.param(
            Wish(plugin_config={"CPU_THROUGHPUT_STREAMS": "CPU_THROUGHPUT_AUTO"}),
            {"NUM_STREAMS": "AUTO"},
            id="legacy AUTO",
        ),
        pytest.param(
            Wish(plugin_config={"INFERENCE_PRECISION_HINT": "f32"}),
            {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"},
            id="other properties pass",
        ),
    ],
)
def test_a_row_of_the_table_gives_its_properties(wish, want):
    always = {"INFERENCE_NUM_THREADS": 4, "ENABLE_CPU_PINNING": False}
    assert properties(wish, machine(nodes=2)) == {**always, **want}


def test_fifty_clients_on_48_cores_give_24_streams_as_the_seed_says():
    made = plan(Wish(expected_clients=50), machine(48, 96), Neighbours())
    assert made.properties["NUM_STREAMS"] == 24
    assert made.nireq == 50


@pytest.mark.parametrize(
    ("key", "value", "want"),
    [
        ("CPU_THREADS_NUM", "3", {"INFERENCE_NUM_THREADS": "3"}),
        ("GPU_THROUGHPUT_STREAMS", "GPU_THROUGHPUT_AUTO", {"NUM_STREAMS": "AUTO"}),
        ("CPU_BIND_THREAD", "YES", {"ENABLE_CPU_PINNING": True}),
        ("CPU_BIND_THREAD", "NUMA", {"ENABLE_CPU_PINNING": True}),
        ("CPU_BIND_THREAD", "HYBRID_AWARE", {"ENABLE_CPU_PINNING": True, "SCHEDULING_CORE_TYPE": "ANY_CORE"}),
        ("CPU_BIND_THREAD", "NO", {"ENABLE_CPU_PINNING": False}),
        ("CPU_THROUGHPUT_NUMA", "YES", {"NUM_STREAMS": "NUMA"}),
    ],
)
@pytest.mark.parametrize("prefix", ["", "KEY_"])
def test_a_legacy_key_becomes_todays(prefix, key, value, want):
    assert translate({prefix + key: value}) == want


@pytest.mark.parametrize(
    ("wish", "names"),
    [
        (Wish(hint="LATENCY", streams=2), ("hint", "streams")),
        (Wish(hint="LATENCY", plugin_config={"PERFORMANCE_HINT": "LATENCY"}), ("hint", "PERFORMANCE_HINT")),
        (Wish(streams=1, plugin_config={"NUM_STREAMS": 1}), ("streams", "NUM_STREAMS")),
        (
            Wish(plugin_config={"PERFORMANCE_HINT": "LATENCY", "CPU_THROUGHPUT_STREAMS": "1"}),
            ("PERFORMANCE_HINT", "CPU_THROUGHPUT_STREAMS"),
        ),
        (
            Wish(plugin_config={"KEY_PERFORMANCE_HINT": "LATENCY", "KEY_CPU_THROUGHPUT_STREAMS": "1"}),
            ("KEY_PERFORMANCE_HINT", "KEY_CPU_THROUGHPUT_STREAMS"),
        ),
        (Wish(plugin_config={"INFERENCE_NUM_THREADS": 1.5}), ("INFERENCE_NUM_THREADS", "1.5")),
        (
            Wish(plugin_config={"NUM_STREAMS": 1, "CPU_THROUGHPUT_STREAMS": "2"}),
            ("NUM_STREAMS", "CPU_THROUGHPUT_STREAMS"),
        ),
        (Wish(streams=4, nireq=2), ("nireq 2", "streams 4")),
        (Wish(plugin_config={"ENABLE_CPU_RESERVATION": True}), ("ENABLE_CPU_RESERVATION",)),
        (Wish(plugin_config={"CPU_BIND_THREAD": "SOMETIMES"}), ("CPU_BIND_THREAD", "SOMETIMES")),
        (Wish(hint="FAST"), ("FAST", "THROUGHPUT")),
        (Wish(nireq=100_001), ("Nireq parameter too high",)),
    ],
)
def test_a_contradiction_is_refused_naming_what_contradicts(wish, names):
    with pytest.raises(ConfigError) as refusal:
        plan(wish, machine(), Neighbours())
    assert all(name in str(refusal.value) for name in names)


@pytest.mark.parametrize("prefix", ["", "KEY_"])
@pytest.mark.parametrize(
    ("key", "value", "more"),
    [
        ("CPU_THROUGHPUT_STREAMS", "many", {}),
        ("CPU_THROUGHPUT_STREAMS", "-7", {}),
        ("CPU_THROUGHPUT_STREAMS", 0, {}),
        ("CPU_THROUGHPUT_STREAMS", 1.5, {}),
        ("GPU_THROUGHPUT_STREAMS", "9999999999", {}),
        ("CPU_THROUGHPUT_STREAMS", 4, {"nireq": 2}),
        ("CPU_THREADS_NUM", "all", {}),
        ("CPU_THREADS_NUM", "-1", {}),
        ("CPU_BIND_THREAD", "SOMETIMES", {}),
        ("NUM_STREAMS", "many", {}),
        ("PERFORMANCE_HINT", "FAST", {}),
        ("ENABLE_CPU_RESERVATION", True, {}),
    ],
)
def test_a_refusal_names_the_key_and_the_value_as_they_were_written(prefix, key, value, more):
    with pytest.raises(ConfigError) as refusal:
        check(Wish(plugin_config={prefix + key: value}, **more))
    message = str(refusal.value)
    assert re.search(rf"(?<![A-Z_]){prefix}{key}(?![A-Z_])", message)
    assert key == "ENABLE_CPU_RESERVATION" or f"{value}" in message
    others = {"NUM_STREAMS", "INFERENCE_NUM_THREADS", "ENABLE_CPU_PINNING", "streams"} - {key}
    assert not [name for name in others if re.search(rf"(?<![A-Z_]){name} (is|are|must|\d)", message)]


def test_a_warning_names_the_key_as_it_was_written():
    (warning,) = plan(Wish(plugin_config={"KEY_CPU_THREADS_NUM": 9}), machine(), Neighbours()).warnings
    assert warning == "KEY_CPU_THREADS_NUM 9 is more than the 4 CPUs of this process"


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (
            Wish(plugin_config={"CPU_THREADS_NUM": "9" * 14}),
            r"INFERENCE_NUM_THREADS.* \(given as CPU_THREADS_NUM in plugin_config\)$",
        ),
        (Wish(plugin_config={"KEY_FROB": 1}), r"FROB.* \(given as KEY_FROB in plugin_config\)$"),
        (
            Wish(device="AUTO:CPU", plugin_config={"KEY_FROB": 1}),
            r"FROB for AUTO:CPU \(given as KEY_FROB in plugin_config\)$",
        ),
        (Wish(plugin_config={"FROB": 1}), r"FROB by CPU plugin\.$"),
    ],
)
def test_a_refusal_of_openvino_names_the_key_as_it_was_written(repository, wish, message):
    chosen = plan(wish, machine(), Neighbours())
    source = Source(repository / "dummy" / "1" / "model.xml", Shaping(), chosen)
    with pytest.raises(LoadFailed, match=message):
        load(Devices(None), source, LiveLimits(Limits()))


def test_nireq_below_derived_streams_caps_them_with_a_warning():
    made = plan(Wish(expected_clients=8, nireq=2), machine(), Neighbours())
    assert made.properties["NUM_STREAMS"] == 2
    assert made.nireq == 2
    assert "capped" in made.warnings[0]


def test_more_streams_than_cpus_are_a_warning():
    assert "64 streams on 4 CPUs" in plan(Wish(streams=64), machine(), Neighbours()).warnings[0]


@pytest.mark.parametrize(
    ("on", "beside", "want", "because"),
    [
        (machine(2, 8), Neighbours(exclusive_cpus=2), True, "alone on 2 exclusive CPUs"),
        (machine(2, 8), Neighbours(), False, "nobody said"),
        (machine(3, 8), Neighbours(exclusive_cpus=2), False, "the kernel allows 3"),
        (machine(8, 8), Neighbours(exclusive_cpus=8), False, "all there are"),
        (machine(2, 8), Neighbours(loaded=2, exclusive_cpus=2), False, "2 models share"),
    ],
)
def test_threads_are_pinned_only_for_one_model_on_exclusive_cpus(on, beside, want, because):
    made = plan(Wish(), on, beside)
    assert (made.pinning, made.properties["ENABLE_CPU_PINNING"]) == (want, want)
    assert because in made.pinning_reason


def test_models_without_threads_of_their_own_share_what_there_is():
    assert properties(Wish(), machine(8), Neighbours(3, 3))["INFERENCE_NUM_THREADS"] == 2
    assert properties(Wish(), machine(2), Neighbours(9, 9))["INFERENCE_NUM_THREADS"] == 1


def test_plans_are_equal_when_a_model_would_be_loaded_alike_whatever_the_reasons():
    alone, beside = Neighbours(), Neighbours(loaded=3, sharing=2)
    assert plan(Wish(streams=1), machine(), alone) == plan(Wish(streams=1), machine(), beside)
    assert plan(Wish(hint="THROUGHPUT"), machine(), alone) == plan(Wish(), machine(), alone)
    forced = Wish(streams=1, plugin_config={"ENABLE_CPU_PINNING": True})
    assert plan(forced, machine(), alone) == plan(forced, machine(), beside)
    assert plan(forced, machine(), alone).warnings != plan(forced, machine(), beside).warnings


@pytest.mark.parametrize(
    "other",
    [
        plan(Wish(), machine(), Neighbours(loaded=2, sharing=2)),
        plan(Wish(), machine(cores=3), Neighbours()),
        plan(Wish(), machine(), Neighbours(exclusive_cpus=4)),
        plan(Wish(device="AUTO:CPU"), machine(), Neighbours()),
        plan(Wish(hint="LATENCY"), machine(), Neighbours()),
        plan(Wish(nireq=7), machine(), Neighbours()),
    ],
)
def test_plans_differ_when_anything_a_model_is_loaded_with_differs(other):
    assert plan(Wish(), machine(), Neighbours()) != other


def test_a_quota_counts_as_whole_cpus_rounded_up():
    assert properties(Wish(), machine(64, 64, 1.5))["INFERENCE_NUM_THREADS"] == 2


@pytest.mark.parametrize("device", ["AUTO", "AUTO:CPU", "MULTI:CPU", "HETERO:CPU"])
def test_a_virtual_device_gets_cpu_properties_through_device_properties(device):
    made = properties(Wish(device=device, streams=2))
    assert made["DEVICE_PROPERTIES"]["CPU"] == {
        "NUM_STREAMS": 2,
        "INFERENCE_NUM_THREADS": 4,
        "ENABLE_CPU_PINNING": False,
    }
    assert "NUM_STREAMS" not in made


def test_a_batch_device_gets_the_properties_of_its_device_directly():
    want = {"NUM_STREAMS": 2, "INFERENCE_NUM_THREADS": 4, "ENABLE_CPU_PINNING": False}
    assert properties(Wish(device="BATCH:CPU(4)", streams=2)) == want
    assert properties(Wish(device="BATCH:GPU(4)", streams=2)) == {"NUM_STREAMS": 2}


def test_a_gpu_gets_no_cpu_properties():
    assert properties(Wish(device="GPU.0")) == {"PERFORMANCE_HINT": "THROUGHPUT"}


@pytest.mark.parametrize(
    ("device", "want"),
    [
        ("CPU", ("CPU",)),
        ("GPU.1", ("GPU",)),
        ("AUTO", ()),
        ("AUTO:GPU.0,-CPU", ("GPU",)),
        ("AUTO:-GPU", ()),
        ("BATCH:GPU(4)", ("GPU",)),
    ],
)
def test_a_device_names_its_families(device, want):
    assert families(device) == want


MACHINES = st.builds(
    Machine,
    st.integers(1, 96).map(lambda cores: tuple(range(cores))),
    st.integers(96, 192),
    st.none() | st.floats(0.1, 128),
    st.integers(1, 4).map(on_nodes),
)
NEIGHBOURS = st.integers(1, 8).flatmap(
    lambda loaded: st.builds(
        Neighbours, st.just(loaded), st.integers(1, loaded), st.none() | st.integers(1, 96)
    )
)
LEGACY = st.fixed_dictionaries(
    {},
    optional={
        "CPU_THROUGHPUT_STREAMS": st.sampled_from(["1", "4", "CPU_THROUGHPUT_AUTO", "CPU_THROUGHPUT_NUMA"]),
        "KEY_CPU_THREADS_NUM": st.integers(1, 8).map(str),
        "CPU_BIND_THREAD": st.sampled_from(["YES", "NO", "NUMA", "HYBRID_AWARE"]),
    },
)
WISHES = st.one_of(
    st.builds(
        Wish, hint=st.none() | st.sampled_from(HINTS), expected_clients=st.none() | st.integers(1, 200)
    ),
    st.builds(Wish, streams=st.integers(1, 64), expected_clients=st.none() | st.integers(1, 200)),
    st.builds(Wish, plugin_config=LEGACY),
)


@given(WISHES, MACHINES, NEIGHBOURS)
def test_laws_hold_for_every_wish_on_every_machine(wish, on, beside):
    made = plan(wish, on, beside)
    config = made.properties
    assert ("PERFORMANCE_HINT" in config) != ("NUM_STREAMS" in config)
    assert not {key.removeprefix("KEY_") for key in config} & LEGACY_NAMES
    assert made.pinning_reason
    assert config["INFERENCE_NUM_THREADS"] >= 1
    if "KEY_CPU_THREADS_NUM" not in wish.plugin_config:
        assert config["INFERENCE_NUM_THREADS"] <= on.threads <= len(on.affinity)
    if made.nireq is not None and isinstance(config.get("NUM_STREAMS"), int):
        assert made.nireq >= config["NUM_STREAMS"]
    if made.pinning and "CPU_BIND_THREAD" not in wish.plugin_config:
        assert beside.loaded == 1
        assert beside.exclusive_cpus == len(on.affinity) < on.online
    assert vars(plan(wish, on, beside)) == vars(made)


STREAMS = st.none() | st.integers(1, 64) | st.sampled_from(["AUTO", "NUMA"])
NIREQS = st.none() | st.integers(1, 200000)
ANY_WISHES = st.one_of(
    st.builds(Wish, hint=st.none() | st.sampled_from(HINTS), streams=STREAMS, nireq=NIREQS),
    st.builds(Wish, nireq=NIREQS, plugin_config=LEGACY),
)


def refusal(work, *arguments):
    """What is said against it; None when nothing is."""
    try:
        work(*arguments)
    except ConfigError as error:
        return str(error)
    return None


@given(ANY_WISHES, MACHINES, NEIGHBOURS)
def test_what_is_refused_is_refused_on_every_machine_in_the_same_words(wish, on, beside):
    assert refusal(plan, wish, on, beside) == refusal(check, wish)


@pytest.mark.parametrize("wish", [Wish(streams=2), Wish(plugin_config={"NUM_STREAMS": 2})])
def test_explicit_streams_do_not_share_the_threads_however_they_are_written(wish):
    made = plan(wish, machine(cores=4), Neighbours(loaded=3, sharing=2))
    assert made.properties["INFERENCE_NUM_THREADS"] == 4


@given(st.integers(2, 500), MACHINES)
def test_derived_streams_divide_the_cores_and_are_at_most_half_the_clients(clients, on):
    made = plan(Wish(expected_clients=clients), on, Neighbours())
    streams = made.properties["NUM_STREAMS"]
    assert on.threads % streams == 0
    assert streams <= max(1, clients // 2)
    assert made.nireq >= max(streams, clients)
