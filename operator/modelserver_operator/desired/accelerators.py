"""Which device plugin's resources and which groups the pods get for their GPUs and NPUs. Pure.

A device that names a GPU or NPU gets a resource that nodes advertise, unless accelerator.resourceName says
which. What was chosen is kept with the template and changes only with what it was chosen for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from modelserver_operator.api import Spec
from modelserver_operator.api.accelerator_rules import device_forms
from modelserver_operator.api.devices import ACCELERATORS

RESOURCES = {
    "GPU": ("gpu.intel.com/xe", "gpu.intel.com/i915"),
    "NPU": ("npu.intel.com/accel",),
}
"""By family, what Intel's device plugins advertise; of equal amounts the first one is taken."""
MOST_GROUPS = 4
Amounts = Mapping[str, int]


@dataclass(frozen=True)
class Found:
    """What the cluster decides about them."""

    advertised: Amounts | None = None
    """The sum of each resource over the nodes; None where they may not be listed."""
    groups: tuple[int, ...] = ()
    """Of device files that servers could not open."""


UNKNOWN = Found()


@dataclass(frozen=True)
class Allotment:
    """What the pods get."""

    resources: Amounts = field(default_factory=dict)
    groups: tuple[int, ...] = ()
    is_chosen: bool = True
    """False where no node advertises what it needs, and the resources are only the likeliest ones."""


NONE = Allotment()


def families(spec: Spec) -> tuple[str, ...]:
    """The accelerators that the object is about: those that a device names, or accelerator is for."""
    forms = device_forms(spec)
    named = [name for name in ACCELERATORS if any(form.count(name) for form in forms)]
    if spec.accelerator is not None and not named:
        named = [_family_of(spec.accelerator.resource_name or "")]
    return tuple(named)


def family(spec: Spec) -> str:
    """CPU, GPU or NPU: the image that it needs. An accelerator always takes one that can use it."""
    given = (spec.accelerator.resource_name if spec.accelerator else None) or ""
    wanted = {*families(spec), *([_family_of(given)] if given else [])}
    return next((name for name in ACCELERATORS if name in wanted), "CPU")


def _family_of(resource: str) -> str:
    return "NPU" if "npu" in resource.lower() else "GPU"


def demands(spec: Spec) -> dict[str, int]:
    """How many devices of each family a replica needs whose resource the object does not name."""
    given = spec.accelerator
    named = _family_of(given.resource_name) if given and given.resource_name else ""
    forms = device_forms(spec)
    found = {}
    for name in families(spec):
        if name != named:
            least = max([1, *(form.count(name) for form in forms)])
            found[name] = given.count if given and given.count and not named else least
    return found


def given(spec: Spec) -> dict[str, int]:
    """The resource that the object names."""
    accelerator = spec.accelerator
    if accelerator is None or accelerator.resource_name is None:
        return {}
    forms = device_forms(spec)
    least = max(form.count(_family_of(accelerator.resource_name)) for form in forms)
    return {accelerator.resource_name: accelerator.count or max(1, least)}


def decisive(spec: Spec) -> tuple[object, ...]:
    """Resources are chosen again when this changes."""
    return (sorted(demands(spec).items()), sorted(given(spec).items()))


def allot(spec: Spec, found: Found = UNKNOWN, *, before: Amounts | None = None) -> Allotment:
    """`before`: what was chosen for the same demands."""
    resources, is_chosen = given(spec), True
    for name, count in demands(spec).items():
        chosen = _kept(name, before) or _largest(name, found.advertised)
        is_chosen &= chosen is not None
        resources[chosen or RESOURCES[name][0]] = count
    return Allotment(resources, learned(found.groups) if families(spec) else (), is_chosen)


def _kept(name: str, before: Amounts | None) -> str | None:
    return next((resource for resource in RESOURCES[name] if before and resource in before), None)


def _largest(name: str, advertised: Amounts | None) -> str | None:
    offered = [resource for resource in RESOURCES[name] if (advertised or {}).get(resource, 0) > 0]
    return max(offered, key=lambda resource: (advertised or {})[resource], default=None)


def beside(spec: Spec, devices: Iterable[str]) -> tuple[str, ...]:
    """Of resources of device plugins those that stand for a GPU or NPU: the others are in spec.resources."""
    listed = {**(spec.resources.limits or {}), **(spec.resources.requests or {})}
    return tuple(name for name in devices if name not in listed)


def learned(groups: Iterable[int]) -> tuple[int, ...]:
    """Groups that may be given: never that of root, and not any number of them."""
    return tuple(sorted({group for group in groups if group > 0})[:MOST_GROUPS])


def missing(allotment: Allotment, advertised: Amounts | None) -> tuple[str, ...]:
    """Resources of the pods that no node advertises now; none where nodes may not be listed."""
    if advertised is None:
        return () if allotment.is_chosen else tuple(sorted(allotment.resources))
    return tuple(sorted(name for name in allotment.resources if advertised.get(name, 0) <= 0))
