"""The operator and the server read a device string alike: what it names, and whether OpenVINO chooses."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserver.tuning.device import families, is_automatic
from modelserver_operator.api.devices import DeviceForm, Named, read_device
from modelserver_operator.api.fields import DEVICE_PATTERN


@given(st.from_regex(DEVICE_PATTERN, fullmatch=True))
def test_both_name_the_same_families(text: str):
    form = read_device(text)

    assert form.families() == families(text)
    assert form.is_automatic == is_automatic(text)
    assert sum(form.count(name) > 0 for name in ("CPU", "GPU", "NPU")) == len(form.families())
    again = [item.family for item in form.named] + [f"-{item.family}" for item in form.excluded]
    assert sorted(again) == sorted(re.findall(r"-?(?:CPU|GPU|NPU)", text.removeprefix(form.head)))


@pytest.mark.parametrize(
    ("text", "uses", "counts"),
    [
        ("CPU", "", {}),
        ("GPU", "GPU", {"GPU": 1}),
        ("GPU.1", "GPU", {"GPU": 2}),
        ("NPU", "NPU", {"NPU": 1}),
        ("AUTO", "GPU NPU", {}),
        ("AUTO:GPU,CPU", "GPU", {"GPU": 1}),
        ("AUTO:-GPU", "NPU", {}),
        ("AUTO:-GPU.1", "GPU NPU", {}),
        ("AUTO:-GPU,-NPU", "", {}),
        ("AUTO:-GPU,CPU", "", {}),
        ("HETERO:GPU.0,GPU.3,CPU", "GPU", {"GPU": 4}),
        ("MULTI:GPU(4),NPU(2)", "GPU NPU", {"GPU": 1, "NPU": 1}),
        ("BATCH:GPU(16)", "GPU", {"GPU": 1}),
    ],
)
def test_what_a_device_may_use_and_how_many_it_needs(text: str, uses: str, counts: dict[str, int]):
    form = read_device(text)

    assert [name for name in ("GPU", "NPU") if form.may_use(name)] == uses.split()
    assert {name: form.count(name) for name in ("GPU", "NPU") if form.count(name)} == counts


def test_a_batch_device_is_the_device_itself():
    assert read_device("BATCH:GPU.2(4)") == DeviceForm("BATCH", (Named("GPU", 2),))
    assert not read_device("BATCH:GPU").is_automatic
