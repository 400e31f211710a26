"""Available and ModelsServed: judged by what the pods report, not by what was applied."""

from modelserver_operator.api import ModelServer
from modelserver_operator.api.status import Reason
from modelserver_operator.conditions.remedies import with_remedy
from modelserver_operator.conditions.reported import awaiting
from modelserver_operator.conditions.trouble import model_error, trouble, unreachable
from modelserver_operator.conditions.verdict import Verdict, fails, holds
from modelserver_operator.observed.facts import Facts
from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.report import ModelStatus, ServerStatus


def available(server: ModelServer, facts: Facts) -> Verdict:
    """At least one pod takes requests."""
    if server.spec.replicas == 0:
        return fails(Reason.SCALED_TO_ZERO, "replicas is 0, so nothing is served")
    return pods_ready(facts, server.spec.replicas)


def pods_ready(facts: Facts, wanted: int) -> Verdict:
    """The same when only the number of replicas is known."""
    ready = len(facts.ready_pods())
    if ready:
        return holds(Reason.PODS_READY, f"{ready} of {max(ready, wanted)} pods are ready")
    started = any(pod.is_running and not pod.is_leaving for pod in facts.pods)
    step = "the models are being loaded and tested" if started else "no container has been started"
    return fails(Reason.NO_POD_READY, trouble(facts) or f"no pod is ready yet: {step}")


def models_served(server: ModelServer, facts: Facts, revision: str) -> Verdict:
    """Every ready pod serves every wanted version of every model, as this generation configures it."""
    ready = facts.ready_pods()
    if not ready:
        absent = available(server, facts)
        return fails(absent.reason, absent.message)
    if verdict := unreachable(facts):
        return verdict
    if facts.is_configuration_back:
        return fails(
            Reason.OLD_CONFIGURATION,
            "the pods serve the configuration that belongs to the last good template: see Ready",
        )
    for pod, status in facts.servers(ready):
        if problem := _not_served(server, pod, status, revision):
            return problem
    if verdict := awaiting(facts):
        return verdict
    names = ", ".join(model.name for model in server.spec.models)
    return holds(Reason.SERVED, f"every ready pod serves {names}")


def _not_served(server: ModelServer, pod: Pod, status: ServerStatus, revision: str) -> Verdict | None:
    by_name = {model.name: model for model in status.models}
    for wanted in server.spec.models:
        model = by_name.get(wanted.name)
        if model is not None and (error := model_error(model)):
            text = with_remedy(f'pod {pod.name}: model "{wanted.name}": {error}')
            return fails(Reason.MODEL_NOT_SERVED, text)
        if status.revision != revision or model is None or model.revision != revision:
            return fails(
                Reason.OLD_CONFIGURATION,
                f'pod {pod.name} still serves model "{wanted.name}" with the previous configuration; '
                "the new one is being loaded alongside",
            )
        if problem := _missing_version(model, wanted.uri):
            return fails(Reason.MODEL_NOT_SERVED, f"pod {pod.name}: {problem}")
    return None


def _missing_version(model: ModelStatus, uri: str) -> str:
    versions = [version for version in model.versions if version.wanted]
    if not versions:
        return (
            f'model "{model.name}" has no version at {uri}: it needs subdirectories with numbers as names: '
            "1, 2, …"
        )
    late = next((version for version in versions if version.state != "AVAILABLE"), None)
    return f'version {late.version} of model "{model.name}" is {late.state}' if late else ""
