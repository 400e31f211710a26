"""What keeps pods from serving, and which server cannot be reached: the same words in several conditions."""

from modelserver_operator import naming
from modelserver_operator.api import UPGRADE_ANNOTATION
from modelserver_operator.api.status import Reason
from modelserver_operator.conditions.remedies import with_remedy
from modelserver_operator.conditions.verdict import Verdict, unknown
from modelserver_operator.observed.facts import Facts
from modelserver_operator.observed.nodes.room import Room, cpus_text, largest
from modelserver_operator.observed.pod import Crash, Pod
from modelserver_operator.observed.rejections import Breaker
from modelserver_operator.observed.report import ModelStatus


def trouble(facts: Facts) -> str:
    """What keeps pods from starting, in the words of its source, with the remedy; empty if unknown."""
    return rejection(facts) if facts.breaker.is_open else with_remedy(_reported(facts))


def rejection(facts: Facts) -> str:
    """Which node rejects pods and why, what to do, and what the operator does meanwhile."""
    breaker = facts.breaker
    cause = with_remedy(f"{_node(breaker)} rejected pods: {breaker.reason}: {breaker.message}")
    return f"{cause.rstrip('. ')}. {_meanwhile(breaker)}; {_next_try(facts)}"


def _node(breaker: Breaker) -> str:
    return f"node {breaker.node}" if breaker.node else "a node"


def _meanwhile(breaker: Breaker) -> str:
    kept = f"he Deployment is kept at replicas={breaker.replicas}"
    if not breaker.is_back:
        return f"T{kept}"
    back = "The pods have the last good template again"
    return back if breaker.replicas is None else f"{back}, and t{kept}"


def _next_try(facts: Facts) -> str:
    breaker = facts.breaker
    what = "one pod of the new template" if breaker.is_back and breaker.replicas is None else "one more pod"
    if breaker.is_trying:
        waits = next((pod for pod in facts.pods if pod.waiting and not pod.is_leaving), None)
        return f"{what} is tried now" + (f", and waits: {waits.waiting}" if waits else "")
    now = f"a change of its fields or a new value of the annotation {UPGRADE_ANNOTATION}"
    if not breaker.next_try:
        return f"the new template is tried again after {now}"
    return f"{what} is tried at {breaker.next_try}, or immediately after {now}"


def _reported(facts: Facts) -> str:
    if facts.rollout and facts.rollout.refused:
        return f"pods cannot be created: {facts.rollout.refused}"
    for pod in facts.pods:
        if pod.waiting and not pod.is_leaving:
            ended = f"; before that it ended with {_ended(pod.crash)}" if pod.crash else ""
            return f"pod {pod.name}: {pod.waiting}{_in_numbers(pod, facts.rooms)}{ended}"
    for pod, status in facts.servers(pod for pod in facts.pods if not pod.is_leaving):
        for model in status.models:
            if error := model_error(model, is_ready=pod.is_ready):
                return f'pod {pod.name}: model "{model.name}": {error}'
    crashes = (pod.crash for pod in facts.failing() if pod.crash)
    crash = max(crashes, key=lambda crash: crash.time, default=None)
    return f"pod {crash.pod}: {_ended(crash)}" if crash else ""


def _in_numbers(pod: Pod, rooms: tuple[Room, ...]) -> str:
    """The CPUs that an unscheduled pod asks for, next to those of the largest node."""
    most = largest(rooms)
    if most is None or "Insufficient cpu" not in pod.waiting:
        return ""
    is_exclusive = pod.qos_class == "Guaranteed" and pod.cpu_request == pod.cpu_request.to_integral_value()
    what = f"{cpus_text(pod.cpu_request)} {'exclusive ' if is_exclusive else ''}CPUs"
    taken = "" if most.cpus < pod.cpu_request else ", of which other pods request too much"
    report = "" if pod.waiting.endswith(".") else "."
    return f"{report} It asks {what}; the largest allocatable node is {most.node} with {most.text()}{taken}"


def _ended(crash: Crash) -> str:
    code = f" (exit code {crash.exit_code})" if crash.exit_code else ""
    return f"{crash.reason}{code}{': ' if crash.message else ''}{crash.message}"


def model_error(model: ModelStatus, *, is_ready: bool = True) -> str:
    """Why the model, or a version of it that should be served, is not; empty when it is.

    `is_ready`: whether callers reach the pod, so that another version serves them meanwhile.
    """
    late = next((version for version in model.versions if version.wanted and version.error), None)
    text = model.error or (late.error if late else None) or ""
    if late is None or (late.error or "") not in text:
        return text
    if f"version {late.version} " not in text:
        text = f"version {late.version}: {text}"
    serving = [version.version for version in model.versions if version.state == "AVAILABLE"]
    is_said = not (serving and is_ready) or "keeps serving" in text
    return text if is_said else f"{text}; version {max(serving)} keeps serving until then"


def unreachable(facts: Facts) -> Verdict | None:
    """A ready pod whose status port does not answer the operator."""
    for pod in facts.ready_pods():
        reply = facts.replies.get(pod.uid)
        if not pod.status_port:
            return unknown(
                Reason.POD_UNREACHABLE,
                f"pod {pod.name}: its container {naming.CONTAINER} has no port named {naming.STATUS_PORT}",
            )
        if reply is not None and reply.status is None:
            return unknown(
                Reason.POD_UNREACHABLE,
                f"pod {pod.name}, status port {pod.status_port}: {reply.problem}. "
                "If a NetworkPolicy applies to the pods, allow the operator to reach that port.",
            )
    return None
