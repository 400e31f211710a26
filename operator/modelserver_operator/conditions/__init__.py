"""Status from facts. Pure: the clock is an argument; lastTransitionTime moves only when a status flips."""

from collections.abc import Mapping

from modelserver_operator import naming
from modelserver_operator.api import Condition, ModelServer, Status
from modelserver_operator.api.status import ConditionType, Endpoints, Reason
from modelserver_operator.conditions import summary
from modelserver_operator.conditions.cpus import exclusive_cpus
from modelserver_operator.conditions.readiness import applied, ready
from modelserver_operator.conditions.serving import available, device_bound, models_served
from modelserver_operator.conditions.verdict import Verdict, fails, holds
from modelserver_operator.errors import Invalid, SourceNotSupported
from modelserver_operator.observed.facts import Facts


def judge(server: ModelServer, facts: Facts, revision: str, previous: Status, now: str) -> Status:
    """The status of a valid object."""
    judged: dict[ConditionType, Verdict] = {
        ConditionType.ACCEPTED: holds(Reason.ACCEPTED),
        ConditionType.APPLIED: applied(facts),
        ConditionType.AVAILABLE: available(server, facts),
        ConditionType.MODELS_SERVED: models_served(server, facts, revision),
        ConditionType.EXCLUSIVE_CPUS: exclusive_cpus(server, facts),
        ConditionType.DEVICE_BOUND: device_bound(server, facts),
    }
    judged[ConditionType.READY] = ready(server, facts, judged)
    rollout = facts.rollout
    return Status(
        observed_generation=server.generation,
        replicas=rollout.replicas if rollout else 0,
        ready_replicas=rollout.ready if rollout else 0,
        updated_replicas=rollout.updated if rollout else 0,
        selector=naming.selector_text(server.name),
        conditions=_conditions(judged, server.generation, previous, now),
        endpoints=_endpoints(server),
        tuning=summary.tuning(facts) or previous.tuning,
        models=summary.models(facts) or previous.models,
        last_failure=summary.last_failure(facts, previous),
    )


def reject(error: Invalid, generation: int, previous: Status, now: str) -> Status:
    """The status of an object that is not valid: what runs is left as it is."""
    reason = Reason.SOURCE_NOT_SUPPORTED if isinstance(error, SourceNotSupported) else Reason.INVALID
    verdict = fails(reason, summary.shorten(str(error)))
    kept = [c for c in previous.conditions if c.type not in {ConditionType.ACCEPTED, ConditionType.READY}]
    new = _conditions(
        {ConditionType.ACCEPTED: verdict, ConditionType.READY: verdict}, generation, previous, now
    )
    return previous.model_copy(
        update={"observed_generation": generation, "conditions": [new[0], *kept, new[1]]}
    )


def _conditions(
    judged: Mapping[ConditionType, Verdict], generation: int, previous: Status, now: str
) -> list[Condition]:
    before = {condition.type: condition for condition in previous.conditions}
    return [_condition(kind, verdict, generation, before.get(kind), now) for kind, verdict in judged.items()]


def _condition(
    kind: ConditionType, verdict: Verdict, generation: int, before: Condition | None, now: str
) -> Condition:
    is_same = before is not None and before.status == verdict.status
    return Condition(
        type=kind,
        status=verdict.status,
        reason=verdict.reason,
        message=summary.shorten(verdict.message),
        observed_generation=generation,
        last_transition_time=before.last_transition_time if before is not None and is_same else now,
    )


def _endpoints(server: ModelServer) -> Endpoints:
    host = naming.host(server.name, server.namespace)
    headless = naming.host(naming.headless(server.name), server.namespace)
    ports = server.spec.ports
    return Endpoints(
        grpc=f"{host}:{ports.grpc}", rest=f"{host}:{ports.rest}", grpc_headless=f"{headless}:{ports.grpc}"
    )


def is_settled(status: Status) -> bool:
    """Whether nothing is in progress, so that servers need not be asked again soon."""
    return all(
        c.status == "True"
        for c in status.conditions
        if c.type in {ConditionType.READY, ConditionType.MODELS_SERVED}
    ) or any(c.reason == Reason.SCALED_TO_ZERO for c in status.conditions if c.type == ConditionType.READY)


__all__ = ["Reason", "Type", "Verdict", "is_settled", "judge", "reject"]
