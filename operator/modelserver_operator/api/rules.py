"""Rules over several fields, as CEL for the API server and as Python for objects that bypassed it.

CEL has no local variables: `[x].all(name, …)` binds one. Quantities are compared as quantities, which is
exact; `isInteger()` is of no use, because it is false for 2000m.
"""

import re
from decimal import Decimal
from typing import Any

from modelserver_operator.api import autoscaling
from modelserver_operator.api.accelerator_rules import ACCELERATORS
from modelserver_operator.api.cpu_rules import (
    CPU_LIMIT,
    CPUS,
    RESOURCES,
    UNLIMITED,
    at_most_cpu,
    cpu_limit,
    is_unlimited,
)
from modelserver_operator.api.fields import BANNED_KEYS, LEGACY_STREAM_KEYS, TYPED_KEYS
from modelserver_operator.api.pod.claims import ResourceClaim
from modelserver_operator.api.pod.volumes import RESERVED, Volume
from modelserver_operator.api.rule import Rule
from modelserver_operator.api.spec import DEFAULT_CPU, Model, Spec, Tuning, VersionPolicy


def _has_key(keys: tuple[str, ...]) -> str:
    return " || ".join(f"has(self.pluginConfig.{key})" for key in keys)


def _free_of(tuning: Tuning, keys: tuple[str, ...]) -> bool:
    return not set(keys) & set(tuning.plugin_config or {})


def _chooses_cel(variable: str) -> str:
    return f"(has({variable}.hint) || has({variable}.streams) || has({variable}.expectedClients))"


def _chooses(tuning: Tuning) -> bool:
    return any(item is not None for item in (tuning.hint, tuning.streams, tuning.expected_clients))


LEVEL: tuple[Rule[Tuning], ...] = (
    Rule(
        "!(has(self.hint) && has(self.streams))",
        "hint and streams exclude each other: keep hint to let OpenVINO choose the number of streams, or "
        "streams to choose it yourself, and remove the other",
        lambda t: t.hint is None or t.streams is None,
    ),
    Rule(
        "!has(self.nireq) || !has(self.streams) || type(self.streams) != int || self.nireq >= self.streams",
        "nireq must be at least streams, otherwise streams stay idle: raise nireq or lower streams",
        lambda t: t.nireq is None or not isinstance(t.streams, int) or t.nireq >= t.streams,
    ),
    Rule(
        f"!has(self.pluginConfig) || !({_has_key(TYPED_KEYS)})",
        "pluginConfig must not set PERFORMANCE_HINT, NUM_STREAMS or PERFORMANCE_HINT_NUM_REQUESTS: use the "
        "fields hint, streams and expectedClients instead",
        lambda t: _free_of(t, TYPED_KEYS),
    ),
    Rule(
        f"!has(self.pluginConfig) || !({_has_key(LEGACY_STREAM_KEYS)}) || !{_chooses_cel('self')}",
        "pluginConfig sets *_THROUGHPUT_STREAMS together with hint, streams or expectedClients: use the "
        "field streams and remove the key",
        lambda t: _free_of(t, LEGACY_STREAM_KEYS) or not _chooses(t),
    ),
    Rule(
        f"!has(self.pluginConfig) || !({_has_key(BANNED_KEYS)})",
        "pluginConfig must not set ENABLE_CPU_RESERVATION, which makes every later model fail to load: use "
        "cpuManagerPolicy static instead",
        lambda t: _free_of(t, BANNED_KEYS),
    ),
)

VERSION_POLICY: tuple[Rule[VersionPolicy], ...] = (
    Rule(
        "[has(self.latest), has(self.versions), has(self.all)].filter(x, x).size() == 1",
        "versionPolicy must set exactly one of latest, versions and all",
        lambda p: sum(item is not None for item in (p.latest, p.versions, p.all)) == 1,
    ),
)


def tuning_choice(spec: Spec, model: Model) -> Tuning:
    """Whose hint, streams and expectedClients apply: one choice, which a model replaces as a whole."""
    return model if _chooses(model) else spec


def _model_streams_fit(spec: Spec) -> bool:
    cores = max(Decimal(1), cpu_limit(spec.resources))
    return all(
        (model.device or spec.device) != "CPU"
        or not isinstance(streams := tuning_choice(spec, model).streams, int)
        or streams <= cores
        for model in spec.models
    )


def _model_nireq_fits(spec: Spec) -> bool:
    for model in spec.models:
        streams, nireq = tuning_choice(spec, model).streams, model.nireq or spec.nireq
        if isinstance(streams, int) and nireq is not None and nireq < streams:
            return False
    return True


_DEVICE = "(has(m.device) ? m.device : self.device)"
_CHOOSES = _chooses_cel("m")
_STREAMS_FIT = f"""
{CPU_LIMIT}.all(cpu, self.models.all(m, {_DEVICE} != 'CPU' ||
({_CHOOSES}
 ? !has(m.streams) || type(m.streams) != int || {at_most_cpu("m.streams")}
 : !has(self.streams) || type(self.streams) != int || {at_most_cpu("self.streams")})))
"""
_NIREQ_FITS = f"""
self.models.all(m, {_CHOOSES}
 ? !has(m.streams) || type(m.streams) != int || (has(m.nireq) ? m.nireq >= m.streams
   : !has(self.nireq) || self.nireq >= m.streams)
 : !has(self.streams) || type(self.streams) != int || !has(m.nireq) || m.nireq >= self.streams)
"""


SPEC: tuple[Rule[Spec], ...] = (
    Rule(
        f"{UNLIMITED} || ({_STREAMS_FIT})",
        "streams is above the CPU limit, and OpenVINO would clamp it silently: raise resources.limits.cpu "
        f"({DEFAULT_CPU} when unset) or lower streams",
        lambda s: is_unlimited(s) or _model_streams_fit(s),
    ),
    Rule(
        _NIREQ_FITS,
        "a model's nireq is below its streams (its own or the object's): raise nireq or lower streams",
        _model_nireq_fits,
    ),
    *CPUS,
    *ACCELERATORS,
    Rule(
        "[self.ports.grpc, self.ports.rest, self.ports.status].all(p, "
        "[self.ports.grpc, self.ports.rest, self.ports.status].filter(q, q == p).size() == 1)",
        "ports: grpc, rest and status must be different",
        lambda s: len({s.ports.grpc, s.ports.rest, s.ports.status}) == 3,
    ),
    Rule(
        "!has(self.rollout.maxSurge) || !has(self.rollout.maxUnavailable) || "
        "!(string(self.rollout.maxSurge) in ['0', '0%'] && "
        "string(self.rollout.maxUnavailable) in ['0', '0%'])",
        "rollout: maxSurge and maxUnavailable are both 0, so no pod could ever be replaced: raise one of "
        "them",
        lambda s: (
            not (str(s.rollout.max_surge) in {"0", "0%"} and str(s.rollout.max_unavailable) in {"0", "0%"})
        ),
    ),
)

_NAME = "[a-z]([-a-z0-9]*[a-z0-9])?"
NAME = Rule[str](
    f"size(self.metadata.name) <= 52 && self.metadata.name.matches('^{_NAME}$')",
    "metadata.name becomes the name of a Service: it must begin with a letter, contain only a-z, 0-9 and -, "
    "not end with -, and have at most 52 characters",
    lambda name: len(name) <= 52 and re.fullmatch(_NAME, name) is not None,
)

NAMESPACE = re.compile("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_CLAIM = "[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
_SCHEMES = "(pvc|file|s3|gs|az|https|oci)"
MODEL: tuple[Rule[Model], ...] = (
    Rule(
        f"self.uri.matches('^{_SCHEMES}://')",
        "uri has an unknown scheme: use pvc://CLAIM/PATH or file:///PATH",
        lambda m: re.match(f"{_SCHEMES}://", m.uri) is not None,
    ),
    Rule(
        "!self.uri.matches('(//|/)[.][.](/|$)')",
        "the path of uri must not contain ..",
        lambda m: ".." not in m.uri.partition("://")[2].split("/"),
    ),
    Rule(
        "!self.uri.startsWith('file://') || self.uri.startsWith('file:///')",
        "a file URI needs an absolute path: file:///PATH",
        lambda m: not m.uri.startswith("file://") or m.uri.startswith("file:///"),
    ),
    Rule(
        f"!self.uri.startsWith('pvc://') || self.uri.matches('^pvc://{_CLAIM}(/|$)')",
        "uri does not name a PersistentVolumeClaim: use pvc://CLAIM/PATH, with the name of a claim in the "
        "same namespace",
        lambda m: not m.uri.startswith("pvc://") or re.match(rf"pvc://{_CLAIM}(/|\Z)", m.uri) is not None,
    ),
)

CLAIM: tuple[Rule[ResourceClaim], ...] = (
    Rule(
        "has(self.resourceClaimName) != has(self.resourceClaimTemplateName)",
        "exactly one of resourceClaimName and resourceClaimTemplateName must be set",
        lambda c: (c.resource_claim_name is None) != (c.resource_claim_template_name is None),
    ),
)

VOLUME: tuple[Rule[Volume], ...] = (
    Rule(
        f"!self.name.startsWith('{RESERVED}')",
        f"names that begin with {RESERVED} are reserved for the operator; choose another name",
        lambda v: not v.name.startswith(RESERVED),
    ),
)


def broken(spec: Spec) -> list[str]:
    """The messages of all rules that do not hold, each with its field."""
    faults = [f"spec: {rule.message}" for rule in LEVEL if not rule.holds(spec)]
    faults += [f"spec: {rule.message}" for rule in SPEC if not rule.holds(spec)]
    faults += [f"spec.resources: {rule.message}" for rule in RESOURCES if not rule.holds(spec.resources)]
    if spec.autoscaling is not None:
        faults += autoscaling.broken(spec.autoscaling)
    for index, model in enumerate(spec.models):
        place = f"spec.models[{index}]"
        faults += [f"{place}: {rule.message}" for rule in LEVEL if not rule.holds(model)]
        faults += [f"{place}.uri: {rule.message}" for rule in MODEL if not rule.holds(model)]
        faults += [
            f"{place}.versionPolicy: {rule.message}"
            for rule in VERSION_POLICY
            if not rule.holds(model.version_policy)
        ]
    for index, volume in enumerate(spec.pod.volumes):
        place = f"spec.pod.volumes[{index}]"
        faults += [f"{place}: {rule.message}" for rule in VOLUME if not rule.holds(volume)]
    for index, claim in enumerate(spec.pod.resource_claims):
        place = f"spec.pod.resourceClaims[{index}]"
        faults += [f"{place}: {rule.message}" for rule in CLAIM if not rule.holds(claim)]
    return faults


def validations() -> dict[str, list[dict[str, Any]]]:
    """x-kubernetes-validations of the schema's records, by class name."""
    level = [rule.schema() for rule in LEVEL]
    return {
        "ModelServer": [NAME.schema()],
        "Spec": level + [rule.schema() for rule in SPEC],
        "Model": level + [rule.schema() for rule in MODEL],
        "Volume": [rule.schema() for rule in VOLUME],
        "ResourceClaim": [rule.schema() for rule in CLAIM],
        "VersionPolicy": [rule.schema() for rule in VERSION_POLICY],
        "Resources": [rule.schema() for rule in RESOURCES],
        **autoscaling.validations(),
    }
