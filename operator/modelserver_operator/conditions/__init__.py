"""Status from facts. Pure: the clock is an argument; lastTransitionTime moves only when a status flips."""

from collections.abc import Mapping

from modelserver_operator import naming
from modelserver_operator.api import Condition, ModelServer, Status
from modelserver_operator.api.status import Endpoints
from modelserver_operator.conditions import report
from modelserver_operator.conditions.cpus import exclusive_cpus
from modelserver_operator.conditions.readiness import applied, ready
from modelserver_operator.conditions.serving import available, device_bound, models_served
from modelserver_operator.conditions.verdict import Reason, Type, Verdict, fails, holds
from modelserver_operator.errors import Invalid
from modelserver_operator.observed.facts import Facts


def judge(server: ModelServer, facts: Facts, revision: str, previous: Status, now: str) -> Status:
    """The status of an object that was carried out, as far as it was."""
    judged: dict[Type, Verdict] = {
        Type.ACCEPTED: holds(Reason.ACCEPTED),
        Type.APPLIED: applied(facts),
        Type.AVAILABLE: available(server, facts),
        Type.MODELS_SERVED: models_served(server, facts, revision),
        Type.EXCLUSIVE_CPUS: exclusive_cpus(server, facts),
        Type.DEVICE_BOUND: device_bound(server, facts),
    }
    judged[Type.READY] = ready(server, facts, judged)
    rollout = facts.rollout
    return Status(
        observed_generation=server.generation,
        replicas=rollout.replicas if rollout else 0,
        ready_replicas=rollout.ready if rollout else 0,
        updated_replicas=rollout.updated if rollout else 0,
        selector=naming.selector_text(server.name),
        conditions=_conditions(judged, server.generation, previous, now),
        endpoints=_endpoints(server),
        tuning=report.tuning(facts) or previous.tuning,
        models=report.models(facts) or previous.models,
        last_failure=report.last_failure(facts, previous),
    )


def reject(error: Invalid, generation: int, previous: Status, now: str) -> Status:
    """The status of an object that cannot be carried out: what runs goes on as it is."""
    verdict = fails(Reason(error.reason), report.shorten(str(error)))
    kept = [c for c in previous.conditions if c.type not in {Type.ACCEPTED, Type.READY}]
    new = _conditions({Type.ACCEPTED: verdict, Type.READY: verdict}, generation, previous, now)
    return previous.model_copy(
        update={"observed_generation": generation, "conditions": [new[0], *kept, new[1]]}
    )


def _conditions(
    judged: Mapping[Type, Verdict], generation: int, previous: Status, now: str
) -> list[Condition]:
    before = {condition.type: condition for condition in previous.conditions}
    return [_condition(kind, verdict, generation, before.get(kind), now) for kind, verdict in judged.items()]


def _condition(
    kind: Type, verdict: Verdict, generation: int, before: Condition | None, now: str
) -> Condition:
    stays = before is not None and before.status == verdict.status
    return Condition(
        type=kind.value,
        status=verdict.status,
        reason=verdict.reason.value,
        message=report.shorten(verdict.message),
        observed_generation=generation,
        last_transition_time=before.last_transition_time if before is not None and stays else now,
    )


def _endpoints(server: ModelServer) -> Endpoints:
    host = naming.host(server.name, server.namespace)
    headless = naming.host(naming.headless(server.name), server.namespace)
    ports = server.spec.ports
    return Endpoints(
        grpc=f"{host}:{ports.grpc}", rest=f"{host}:{ports.rest}", grpc_headless=f"{headless}:{ports.grpc}"
    )


def is_settled(status: Status) -> bool:
    """Whether nothing is on its way, so that servers need not be asked again soon."""
    return all(
        c.status == "True" for c in status.conditions if c.type in {Type.READY, Type.MODELS_SERVED}
    ) or any(c.reason == Reason.SCALED_TO_ZERO for c in status.conditions if c.type == Type.READY)


__all__ = ["Reason", "Type", "Verdict", "is_settled", "judge", "reject"]
