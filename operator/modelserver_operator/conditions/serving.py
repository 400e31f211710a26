"""Available, ModelsServed and DeviceBound: judged by what the pods say, not by what was applied."""

import re

from modelserver_operator.api import ModelServer
from modelserver_operator.conditions.verdict import Reason, Verdict, fails, holds, unknown
from modelserver_operator.facts import Facts, Pod, Said, SaidModel


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


def trouble(facts: Facts) -> str:
    """What keeps pods from starting, in the words of whoever noticed; empty when nothing is known."""
    if facts.rollout and facts.rollout.refused:
        return f"pods cannot be created: {facts.rollout.refused}"
    for pod in facts.pods:
        if pod.waiting and not pod.is_leaving:
            return f"pod {pod.name}: {pod.waiting}"
    for pod, said in _answers(facts, [pod for pod in facts.pods if not pod.is_leaving]):
        for model in said.models:
            if error := _error(model):
                return f'pod {pod.name}: model "{model.name}": {error}'
    crash = facts.newest_crash()
    return f"pod {crash.pod}: {crash.reason}: {crash.message}" if crash else ""


def _error(model: SaidModel) -> str:
    return model.error or next((v.error for v in model.versions if v.wanted and v.error), "") or ""


def _answers(facts: Facts, pods: list[Pod]) -> list[tuple[Pod, Said]]:
    pairs = ((pod, facts.reports.get(pod.uid)) for pod in pods)
    return [(pod, report.said) for pod, report in pairs if report is not None and report.said is not None]


def unreachable(server: ModelServer, facts: Facts) -> Verdict | None:
    """A ready pod whose status port does not answer the operator."""
    for pod in facts.ready_pods():
        report = facts.reports.get(pod.uid)
        if report is None or report.said is None:
            problem = report.problem if report else "it was not asked yet"
            return unknown(
                Reason.POD_UNREACHABLE,
                f"pod {pod.name}, status port {server.spec.ports.status}: {problem}. "
                "If a NetworkPolicy guards the pods, let the operator reach that port.",
            )
    return None


def models_served(server: ModelServer, facts: Facts, revision: str) -> Verdict:
    """Every ready pod serves every wanted version of every model, as this generation configures it."""
    ready = facts.ready_pods()
    if not ready:
        verdict = available(server, facts)
        return fails(verdict.reason, verdict.message)
    if silent := unreachable(server, facts):
        return silent
    for pod, said in _answers(facts, ready):
        if problem := _pod_serves(server, pod, said, revision):
            return problem
    names = ", ".join(model.name for model in server.spec.models)
    return holds(Reason.SERVED, f"every ready pod serves {names}")


def _pod_serves(server: ModelServer, pod: Pod, said: Said, revision: str) -> Verdict | None:
    found = {model.name: model for model in said.models}
    for wanted in server.spec.models:
        model = found.get(wanted.name)
        if model is not None and (error := _error(model)):
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
    for pod, said in _answers(facts, ready):
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
        for _, said in _answers(facts, ready)
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
