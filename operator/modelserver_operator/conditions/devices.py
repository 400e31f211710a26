"""DeviceBound: the models run on the devices that the object names, and never silently on others."""

from collections.abc import Iterable

from modelserver_operator.api import ModelServer
from modelserver_operator.api.devices import ACCELERATORS, read_device
from modelserver_operator.api.status import Reason
from modelserver_operator.conditions.reported import unheard
from modelserver_operator.conditions.trouble import unreachable
from modelserver_operator.conditions.verdict import Verdict, fails, holds, unknown
from modelserver_operator.desired.accelerators import RESOURCES, families
from modelserver_operator.observed.facts import Facts
from modelserver_operator.observed.nodes.devices import refused
from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.report import ModelStatus


def device_bound(server: ModelServer, facts: Facts) -> Verdict:
    """What the object needs is there, may be used, and is used."""
    ready = facts.ready_pods()
    before = (None if ready else _unadvertised(server, facts)) or _not_permitted(server, facts)
    if before:
        return before
    if not ready:
        return unknown(Reason.NO_POD_READY, "no pod is ready yet, so the device is unknown")
    return unreachable(facts) or unheard(facts) or _served(server, facts)


def _served(server: ModelServer, facts: Facts) -> Verdict:
    """What the ready pods say."""
    pairs = [(pod, model) for pod, status in facts.servers(facts.ready_pods()) for model in status.models]
    for pod, model in pairs:
        if others := _other_devices(model):
            return fails(
                Reason.OTHER_DEVICE,
                f'pod {pod.name}: model "{model.name}" runs on {others} instead of {model.device}',
            )
    # Who has it already needs no node to advertise it: a DRA driver may have given it.
    lacks = not all(set(facts.unadvertised) <= set(pod.devices) for pod in facts.ready_pods())
    if verdict := _unused(facts, families(server.spec)) or (_unadvertised(server, facts) if lacks else None):
        return verdict
    used = ", ".join(sorted({name for _, model in pairs for name in _used(model)})) or "no device yet"
    is_automatic = any(read_device(model.device).is_automatic for _, model in pairs)
    return holds(Reason.AUTOMATIC if is_automatic else Reason.BOUND, f"the models run on {used}")


def _used(model: ModelStatus) -> list[str]:
    """AUTO puts a device in parentheses on which it has only begun."""
    return [name.strip("()") for name in model.execution_devices]


def _other_devices(model: ModelStatus) -> str:
    """Devices that the model runs on although its device string does not allow them."""
    form = read_device(model.device)
    exact = {f"{device.family}.{device.index}" for device in form.named if device.index is not None}
    whole = {device.family for device in form.named if device.index is None}

    def is_allowed(name: str) -> bool:
        family = name.partition(".")[0]
        if not form.named:
            return form.may_use(family) or (form.is_automatic and family == "CPU")
        # A machine with one device of a kind calls it by the kind alone.
        return family in whole or name in exact or (name == family and f"{family}.0" in exact)

    return ", ".join(name for name in _used(model) if not is_allowed(name) and name != model.device)


def _unused(facts: Facts, wanted: Iterable[str]) -> Verdict | None:
    """The pods have a GPU or NPU to themselves, and a choice of OpenVINO's leaves it idle."""
    for pod, status in facts.servers(pod for pod in facts.ready_pods() if pod.devices):
        models = [model for model in status.models if model.execution_devices]
        used = {name.partition(".")[0] for model in models for name in _used(model)}
        if models and wanted and not used & set(wanted):
            idle = " or ".join(wanted)
            return fails(
                Reason.OTHER_DEVICE,
                f"pod {pod.name}: the models run on {', '.join(sorted(used))}, and on no {idle} although "
                f"the pod requests {', '.join(pod.devices)}: the image has no driver, or it is of no use. "
                "Correct that, or set device to what is to be used and remove accelerator",
            )
    return None


def _not_permitted(server: ModelServer, facts: Facts) -> Verdict | None:
    """A device file is in the container, and its server may not open it."""
    pods = [pod for pod in facts.pods if not pod.is_leaving] if families(server.spec) else []
    for pod in pods:
        if files := refused(facts.replies.get(pod.uid)):
            return _refusal(pod, files[0].path, files[0].group)
    return None


def _refusal(pod: Pod, path: str, group: int) -> Verdict:
    if group == 0:
        return fails(
            Reason.DEVICE_NOT_PERMITTED,
            f"pod {pod.name} cannot open {path}, which belongs to group 0: give the device files of the node "
            "a group of their own (usually render), which the pods are given then",
        )
    if group in pod.groups:
        return fails(
            Reason.DEVICE_NOT_PERMITTED,
            f"pod {pod.name} cannot open {path} although it is in its group {group}: check that the file's "
            "mode is 660 on the node, and that the device plugin hands it out for reading and writing",
        )
    return fails(
        Reason.DEVICE_NOT_PERMITTED,
        f"pod {pod.name} cannot open {path}, which belongs to group {group}. The pods are replaced by some "
        "with that group; set accelerator.renderGroup to it, and the first pod has it",
    )


def _unadvertised(server: ModelServer, facts: Facts) -> Verdict | None:
    if not facts.unadvertised:
        return None
    names = ", ".join(facts.unadvertised)
    known = [name for family in ACCELERATORS if family in families(server.spec) for name in RESOURCES[family]]
    cause = (
        f"no node advertises {names}"
        if facts.may_list_nodes
        else "the operator may not list nodes, so it does not know what they advertise"
    )
    return fails(
        Reason.RESOURCE_NOT_ADVERTISED,
        f"{cause}; known are {', '.join(known)}. Install the device plugin, or set accelerator.resourceName "
        "to what it advertises (needed where the nodes do not exist yet). What runs stays as it is till then",
    )
