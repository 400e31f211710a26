"""Rules about a GPU or NPU: it must be of use to a device, and there must be as many as a device names."""

from modelserver_operator.api.devices import DeviceForm, read_device
from modelserver_operator.api.rule import Rule
from modelserver_operator.api.spec import Spec

_DEVICES = "([self.device] + self.models.filter(m, has(m.device)).map(m, m.device))"
_ONLY_EXCLUDES = "^AUTO:-[A-Z]+([.][0-9]+)?(,-[A-Z]+([.][0-9]+)?)*$"


def _may_use_cel(family: str) -> str:
    """Whether the device string d may be carried out on a device of the family."""
    return (
        f"(d == 'AUTO' || d.matches('(^|[:,]){family}') || "
        f"(d.matches('{_ONLY_EXCLUDES}') && !d.matches('-{family}(,|$)')))"
    )


def device_forms(spec: Spec) -> list[DeviceForm]:
    """Of an object's device strings, its own first."""
    return [read_device(text) for text in (spec.device, *(model.device for model in spec.models)) if text]


def _is_used(spec: Spec, *families: str) -> bool:
    return any(form.may_use(family) for form in device_forms(spec) for family in families)


def _is_of_use(spec: Spec) -> bool:
    return spec.accelerator is None or _is_used(spec, "GPU", "NPU")


def _is_of_its_kind(spec: Spec) -> bool:
    name = (spec.accelerator.resource_name if spec.accelerator else None) or ""
    kinds = {"gpu.intel.com/": "GPU", "npu.intel.com/": "NPU"}
    return all(not name.startswith(prefix) or _is_used(spec, family) for prefix, family in kinds.items())


def _are_enough(spec: Spec) -> bool:
    if spec.accelerator is None or spec.accelerator.count is None:
        return True
    count = spec.accelerator.count
    return all(form.count("GPU") <= count for form in device_forms(spec))


def _of_kind(prefix: str, family: str) -> str:
    return (
        f"(!self.accelerator.resourceName.startsWith('{prefix}') || "
        f"{_DEVICES}.exists(d, {_may_use_cel(family)}))"
    )


ACCELERATORS: tuple[Rule[Spec], ...] = (
    Rule(
        f"!has(self.accelerator) || {_DEVICES}.exists(d, {_may_use_cel('GPU')} || {_may_use_cel('NPU')})",
        "accelerator is set, but no device uses it: set device to GPU, NPU or AUTO, or remove accelerator",
        _is_of_use,
    ),
    Rule(
        "!has(self.accelerator) || !has(self.accelerator.resourceName) || "
        f"({_of_kind('gpu.intel.com/', 'GPU')} && {_of_kind('npu.intel.com/', 'NPU')})",
        "accelerator.resourceName is of a kind that no device may use: correct it, or name that kind in "
        "device (a name with - before it is excluded)",
        _is_of_its_kind,
    ),
    Rule(
        "!has(self.accelerator) || !has(self.accelerator.count) || "
        f"{_DEVICES}.all(d, d.findAll('(^|[:,])GPU[.][0-9]+')"
        ".all(g, int(g.split('.')[1]) < self.accelerator.count))",
        "device names a GPU that a replica does not get: GPU.N needs accelerator.count of N + 1 or more",
        _are_enough,
    ),
)
