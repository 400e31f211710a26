"""The inputs of a pod template and of config.json: whatever changes them, and nothing else."""

import json

import pytest
from hypothesis import given

from modelserver_operator.api import Spec
from modelserver_operator.changes.owned import owned
from modelserver_operator.desired import Images
from modelserver_operator.desired.inputs import config_inputs, same_config, same_template, template_inputs
from modelserver_operator.desired.kept import rendered
from tests.support.modelservers import MODEL
from tests.support.one_field import FIELDS, NEITHER, SPECS, server

THIS, NEXT = Images("cpu:1", "gpu:1", "npu:1"), Images("cpu:2", "gpu:2", "npu:2")


def spec_of(fields: dict) -> Spec:
    return Spec.model_validate({"models": [MODEL], **fields})


@given(SPECS, SPECS)
def test_whatever_changes_a_template_or_a_configuration_is_among_its_inputs(one: dict, other: dict):
    """Otherwise a change of the object would be ignored."""
    before, after = server(**one), server(**other)
    old, new = rendered(before, THIS), rendered(after, THIS)

    if old.template != new.template:
        assert not same_template(old.template_inputs, after.spec)
    if old.config != new.config:
        assert not same_config(old.config_inputs, after.spec)


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_is_an_input_of_what_it_changes_and_of_nothing_else(field: str):
    plain, changed = server(), server(**FIELDS[field])
    old, new = rendered(plain, NEXT), rendered(changed, NEXT)
    is_named_default = field == "the operator's own image"  # a wish, though it changes nothing today

    same = same_template(template_inputs(plain.spec), changed.spec)
    assert same is (old.template == new.template and not is_named_default)
    assert same_config(config_inputs(plain.spec), changed.spec) is (old.config == new.config)
    if field in NEITHER:
        assert template_inputs(plain.spec) == template_inputs(changed.spec)
        assert config_inputs(plain.spec) == config_inputs(changed.spec)


@given(SPECS)
def test_inputs_are_specs_that_give_the_same_inputs_again(fields: dict):
    spec = spec_of(fields)

    for inputs in (template_inputs, config_inputs):
        kept = inputs(spec)
        assert json.loads(json.dumps(kept)) == kept
        assert inputs(Spec.model_validate(kept)) == kept


def test_a_default_that_is_written_out_is_no_input():
    """As it is when a later version of the schema adds a default: the API server fills it in."""
    written = spec_of({"workers": 1, "imagePullPolicy": "IfNotPresent", "rollout": {"drainSeconds": 15}})

    assert template_inputs(written) == template_inputs(spec_of({})) == {"models": [MODEL]}


def test_inputs_that_a_later_grammar_refuses_count_as_changed_only_if_they_differ():
    assert same_template({"models": [MODEL], "abolished": 1}, spec_of({})) is False
    assert same_template({"models": [MODEL]}, spec_of({})) is True


LIVE = {
    "metadata": {"labels": {"a": "1", "x": "2"}, "annotations": {"kubectl": "now"}},
    "spec": {
        "schedulerName": "default",
        "containers": [
            {"name": "injected"},
            {
                "name": "modelserver", "image": "i", "args": ["1", "2"], "terminationMessagePath": "/d",
                "ports": [{"containerPort": 1, "protocol": "TCP", "name": "p"}, {"containerPort": 2}],
                "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            },
        ],
        "volumes": [{"name": "v", "emptyDir": {}, "extra": 1}],
        "finalizers": ["a", "b"],
    },
}  # fmt: skip
OWNED = {
    "f:metadata": {"f:labels": {"f:a": {}}},
    "f:spec": {
        "f:containers": {
            'k:{"name":"modelserver"}': {
                ".": {}, "f:name": {}, "f:image": {}, "f:args": {},
                "f:ports": {
                    'k:{"containerPort":2,"protocol":"TCP"}': {".": {}, "f:containerPort": {}},
                    'k:{"containerPort":1,"protocol":"TCP"}': {".": {}, "f:containerPort": {}, "f:name": {}},
                },
                "f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}},
            }
        },
        "f:volumes": {'k:{"name":"v"}': {".": {}, "f:name": {}, "f:emptyDir": {}}},
        "f:finalizers": {'v:"b"': {}},
        "f:gone": {},
    },
}  # fmt: skip


def test_the_part_that_the_operator_owns_is_found_by_managed_fields():
    assert owned(LIVE, OWNED) == {
        "metadata": {"labels": {"a": "1"}},
        "spec": {
            "containers": [
                {
                    "name": "modelserver", "image": "i", "args": ["1", "2"],
                    "ports": [{"containerPort": 1, "name": "p"}, {"containerPort": 2}],
                    "env": [{"name": "A", "value": "1"}],
                }
            ],
            "volumes": [{"name": "v", "emptyDir": {}}],
            "finalizers": ["b"],
        },
    }  # fmt: skip
