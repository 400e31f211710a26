"""Which fields of an object its pod template and its config.json are made from.

Both are kept together with the values of their inputs, and rendered again only when these change. The values
are kept as the object has them, so that a later operator can judge them by its own rules. A field that equals
its schema's default is left out: a default that is added later to the schema changes no input.

A field that is in none of the sets below is an input of both.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from modelserver_operator.api import Spec
from modelserver_operator.desired.accelerators import decisive, family
from modelserver_operator.desired.pod import claims

Raw = Mapping[str, Any]
_OF_NEITHER = frozenset({"replicas", "autoscaling", "headroom", "paused", "service", "serviceAccount"})
_OF_CONFIG = frozenset({"hint", "streams", "expectedClients", "nireq", "pluginConfig", "pollIntervalSeconds"})
_OF_TEMPLATE = frozenset(
    {
        "image", "imagePullPolicy", "imagePullSecrets", "workers", "resources", "cpuManagerPolicy",
        "accelerator", "ports", "rollout", "pod",
    }
)  # fmt: skip
_OF_CONFIG_IN = {"server": frozenset({"queueSize", "maxRequestBytes"})}
_OF_TEMPLATE_IN = {"server": frozenset({"logLevel", "grpcChannelArguments"})}
_OF_DEPLOYMENT_IN = {"rollout": frozenset({"maxSurge", "maxUnavailable"})}
_OF_TEMPLATE_IN_MODEL = ("name", "uri", "device")
"""Of a model the template needs its claim, and its device for the image."""


def template_inputs(spec: Spec) -> dict[str, Any]:
    """The part of the spec that the pod template is made from; itself a spec."""
    inputs = _without(_dump(spec), _OF_NEITHER | _OF_CONFIG, {**_OF_CONFIG_IN, **_OF_DEPLOYMENT_IN})
    models = [
        {name: model[name] for name in _OF_TEMPLATE_IN_MODEL if name in model} for model in inputs["models"]
    ]
    return {**inputs, "models": models}


def config_inputs(spec: Spec) -> dict[str, Any]:
    """The part of the spec that config.json is made from."""
    return _without(_dump(spec), _OF_NEITHER | _OF_TEMPLATE, _OF_TEMPLATE_IN)


def same_template(kept: Raw, spec: Spec) -> bool:
    """Whether a template with these kept inputs needs none of what this spec would change in it."""
    inputs = template_inputs(spec)
    if kept == inputs:
        return True
    try:
        before = Spec.model_validate(kept)
    except ValidationError:
        return False  # the grammar has changed since
    return _decisive(before, template_inputs(before)) == _decisive(spec, inputs)


def same_config(kept: Raw, spec: Spec) -> bool:
    """The same for config.json."""
    return kept == config_inputs(spec)


def _decisive(spec: Spec, inputs: Raw) -> dict[str, Any]:
    """Of models only their claims and their kind of device matter; that of a model may change hot."""
    rest = {key: value for key, value in inputs.items() if key not in {"models", "device", "accelerator"}}
    image = None if spec.image else family(spec)
    group = spec.accelerator.render_group if spec.accelerator else None
    return {**rest, "claims": claims(spec), "family": image, "accelerators": decisive(spec), "group": group}


def _dump(spec: Spec) -> dict[str, Any]:
    return spec.model_dump(by_alias=True, exclude_defaults=True, mode="json")


def _without(fields: Raw, names: frozenset[str], names_in: Mapping[str, frozenset[str]]) -> dict[str, Any]:
    """Without these fields, and without these of the fields' own; what is empty then is absent."""
    kept = {}
    for name, value in fields.items():
        inner = names_in.get(name)
        if name in names:
            continue
        rest = value if inner is None else {key: item for key, item in value.items() if key not in inner}
        if inner is None or rest:
            kept[name] = rest
    return kept
