"""What keeps pods from serving, and who cannot be asked: several conditions say it in the same words."""

from modelserver_operator.api import ModelServer
from modelserver_operator.conditions.verdict import Reason, Verdict, unknown
from modelserver_operator.observed.facts import Facts
from modelserver_operator.observed.pod import Pod
from modelserver_operator.observed.report import Said, SaidModel


def trouble(facts: Facts) -> str:
    """What keeps pods from starting, in the words of whoever noticed; empty when nothing is known."""
    if facts.rollout and facts.rollout.refused:
        return f"pods cannot be created: {facts.rollout.refused}"
    for pod in facts.pods:
        if pod.waiting and not pod.is_leaving:
            return f"pod {pod.name}: {pod.waiting}"
    for pod, said in answers_of(facts, [pod for pod in facts.pods if not pod.is_leaving]):
        for model in said.models:
            if error := model_error(model):
                return f'pod {pod.name}: model "{model.name}": {error}'
    crash = facts.newest_crash()
    return f"pod {crash.pod}: {crash.reason}: {crash.message}" if crash else ""


def model_error(model: SaidModel) -> str:
    return model.error or next((v.error for v in model.versions if v.wanted and v.error), "") or ""


def answers_of(facts: Facts, pods: list[Pod]) -> list[tuple[Pod, Said]]:
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
