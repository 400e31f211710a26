"""Available, ModelsServed and DeviceBound: judged by what the pods say, not by what was applied."""

import re

from modelserver_operator.api import ModelServer
from modelserver_operator.conditions.trouble import answers_of, model_error, trouble, unreachable
from modelserver_operator.conditions.verdict import Reason, Verdict, fails, holds, unknown
from modelserver_operator.observed.facts import Facts
from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.report import Said, SaidModel


def available(server: ModelServer, facts: Facts) -> Verdict:
    """At least one pod takes requests."""
    if server.spec.replicas == 0:
        return fails(Reason.SCALED_TO_ZERO, "replicas is 0, nothing is served")
    ready = len(facts.ready_pods())
    if ready:
        return holds(Reason.PODS_READY, f"{ready} of {server.spec.replicas} pods are ready")
    return fails(
        Reason.NO_POD_READY, trouble(facts) or "no pod is ready yet: models are loaded and tried first"
    )


def models_served(server: ModelServer, facts: Facts, revision: str) -> Verdict:
    """Every ready pod serves every wanted version of every model, as this generation configures it."""
    ready = facts.ready_pods()
    if not ready:
        verdict = available(server, facts)
        return fails(verdict.reason, verdict.message)
    if silent := unreachable(server, facts):
        return silent
    for pod, said in answers_of(facts, ready):
        if problem := _pod_serves(server, pod, said, revision):
            return problem
    names = ", ".join(model.name for model in server.spec.models)
    return holds(Reason.SERVED, f"every ready pod serves {names}")


def _pod_serves(server: ModelServer, pod: Pod, said: Said, revision: str) -> Verdict | None:
    found = {model.name: model for model in said.models}
    for wanted in server.spec.models:
        model = found.get(wanted.name)
        if model is not None and (error := model_error(model)):
            return fails(Reason.MODEL_NOT_SERVED, f'pod {pod.name}: model "{wanted.name}": {error}')
        if said.revision != revision or model is None or model.revision != revision:
            return fails(
                Reason.OLD_CONFIGURATION,
                f'pod {pod.name} still serves model "{wanted.name}" as configured before; '
                "the new one is loaded next to it",
            )
        versions = [version for version in model.versions if version.wanted]
        if late := [version for version in versions if version.state != "AVAILABLE"]:
            return fails(
                Reason.MODEL_NOT_SERVED,
                f'pod {pod.name}: version {late[0].version} of model "{wanted.name}" is {late[0].state}',
            )
        if not versions:
            return fails(
                Reason.MODEL_NOT_SERVED,
                f'pod {pod.name}: model "{wanted.name}" has no version at {wanted.uri}: '
                "it needs directories 1, 2, …",
            )
    return None


def device_bound(server: ModelServer, facts: Facts) -> Verdict:
    """The models execute where the object says."""
    ready = facts.ready_pods()
    if not ready:
        return unknown(Reason.NO_POD_READY, "no pod is ready, so nobody could be asked")
    if verdict := unreachable(server, facts):
        return verdict
    seen: set[str] = set()
    for pod, said in answers_of(facts, ready):
        for model in said.models:
            seen.update(model.execution_devices)
            if strays := _strays(model):
                return fails(
                    Reason.OTHER_DEVICE,
                    f'pod {pod.name}: model "{model.name}" executes on {strays}, wanted is {model.device}',
                )
    where = ", ".join(sorted(seen)) or "no device yet"
    automatic = any(
        ":" in model.device or model.device == "AUTO"
        for _, said in answers_of(facts, ready)
        for model in said.models
    )
    return holds(Reason.AUTOMATIC if automatic else Reason.BOUND, f"models execute on {where}")


def _strays(model: SaidModel) -> str:
    """Devices the model executes on, but was not wanted on; AUTO alone may take any."""
    if model.device == "AUTO":
        return ""
    wanted = set(re.findall(r"(?:CPU|GPU|NPU)(?:\.\d+)?", model.device))
    return ", ".join(
        device
        for device in model.execution_devices
        if device not in wanted and device.partition(".")[0] not in wanted and device != model.device
    )
