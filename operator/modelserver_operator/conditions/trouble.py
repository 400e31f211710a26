"""What keeps pods from serving, and which server cannot be reached: the same words in several conditions."""

from modelserver_operator.api import ModelServer
from modelserver_operator.api.status import Reason
from modelserver_operator.conditions.verdict import Verdict, unknown
from modelserver_operator.observed.facts import Facts
from modelserver_operator.observed.report import ModelStatus


def trouble(facts: Facts) -> str:
    """What keeps pods from starting, in the words of its source; empty when nothing is known."""
    if facts.rollout and facts.rollout.refused:
        return f"pods cannot be created: {facts.rollout.refused}"
    for pod in facts.pods:
        if pod.waiting and not pod.is_leaving:
            return f"pod {pod.name}: {pod.waiting}"
    for pod, status in facts.servers(pod for pod in facts.pods if not pod.is_leaving):
        for model in status.models:
            if error := model_error(model):
                return f'pod {pod.name}: model "{model.name}": {error}'
    crash = facts.newest_crash()
    return f"pod {crash.pod}: {crash.reason}: {crash.message}" if crash else ""


def model_error(model: ModelStatus) -> str:
    """Why the model, or a version of it that should be served, is not; empty when it is."""
    return model.error or next((v.error for v in model.versions if v.wanted and v.error), "") or ""


def unreachable(server: ModelServer, facts: Facts) -> Verdict | None:
    """A ready pod whose status port does not answer the operator."""
    for pod in facts.ready_pods():
        reply = facts.replies.get(pod.uid)
        if reply is None or reply.status is None:
            problem = reply.problem if reply else "its server has not been asked yet"
            return unknown(
                Reason.POD_UNREACHABLE,
                f"pod {pod.name}, status port {server.spec.ports.status}: {problem}. "
                "If a NetworkPolicy applies to the pods, allow the operator to reach that port.",
            )
    return None
