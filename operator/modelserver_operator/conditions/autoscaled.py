"""Autoscaled: what sets replicas, why not further, and what to do where nothing does."""

from collections.abc import Callable

from modelserver_operator import naming
from modelserver_operator.api import KIND, ModelServer
from modelserver_operator.api.autoscaling import Autoscaling
from modelserver_operator.api.status import Reason
from modelserver_operator.conditions.remedies import with_remedy
from modelserver_operator.conditions.trouble import trouble
from modelserver_operator.conditions.verdict import Verdict, fails, holds, unknown
from modelserver_operator.desired.scaling.scaled_object import VALUES
from modelserver_operator.desired.scaling.wish import least, scaler_kind
from modelserver_operator.observed.facts import Facts
from modelserver_operator.observed.scaling.foreign import Foreign
from modelserver_operator.observed.scaling.report import HpaReport

Check = Callable[[ModelServer, Autoscaling, Facts], Verdict | None]
_KEDA = (
    "autoscaling by requests or by a schedule needs KEDA 2.18 or newer, and this cluster does not have it: "
    "install it (helm install keda kedacore/keda), or use only a metric of type CPU"
)
_NO_LOAD = (
    "KEDA cannot read the load from the operator, so replicas stay as they are: check that KEDA's pods reach "
    "the operator's Service, and that the operator reaches the status ports of the pods"
)
_NO_TRIGGER = (
    "KEDA cannot evaluate the triggers of the ScaledObject, so replicas stay as they are: kubectl describe "
    "scaledobject names the one that fails"
)
_BUFFERS = (
    "headroom needs the API CapacityBuffer (autoscaling.x-k8s.io), which this cluster does not have: enable "
    "it in the cluster's autoscaler (Cluster Autoscaler 1.35, GKE 1.35, Karpenter 1.14 with its feature gate "
    "CapacityBuffer), or remove headroom"
)


def autoscaled(server: ModelServer, facts: Facts) -> Verdict | None:
    """None where nobody asked for it and nobody does it."""
    verdict = _scaled(server, facts)
    if refused := facts.outcome.unscaled:
        verdict = fails(Reason.SCALER_NOT_READY, with_remedy("; ".join(refused)))
    if server.spec.headroom is not None and naming.CAPACITY_BUFFER in facts.scaling.missing:
        rest = f" Meanwhile: {verdict.message}" if verdict else ""
        return fails(Reason.NO_CAPACITY_BUFFER, f"{_BUFFERS}.{rest}")
    return verdict


def _scaled(server: ModelServer, facts: Facts) -> Verdict | None:
    wish = server.spec.autoscaling
    if wish is None:
        return _by_others(facts.scaling.foreign)
    for check in CHECKS:
        if verdict := check(server, wish, facts):
            return verdict
    return holds(Reason.AUTOSCALED, _figures(wish, facts))


def _by_others(foreign: tuple[Foreign, ...]) -> Verdict | None:
    if not foreign:
        return None
    said = (_of_replicas(foreign), _of_pods(foreign))
    return holds(Reason.FOREIGN_AUTOSCALER, "; ".join(filter(None, said)))


def _of_replicas(foreign: tuple[Foreign, ...]) -> str:
    scalers = tuple(item for item in foreign if item.changes_replicas)
    if not scalers:
        return ""
    if all(item.target == KIND for item in scalers):
        return f"{_names(scalers)} scales this object"
    return (
        f"{_names(scalers)} scales the Deployment of this object, so replicas of the object is not followed: "
        "aim it at the object instead (apiVersion modelserver.dev/v1alpha1, kind ModelServer)"
    )


def _of_pods(foreign: tuple[Foreign, ...]) -> str:
    vertical = tuple(item for item in foreign if not item.changes_replicas)
    if not vertical:
        return ""
    return (
        f"{_names(vertical)} changes the resources of the pods, which costs them their exclusive CPUs and "
        "distorts what is measured: delete it, or set its updateMode to Off"
    )


def _is_held_back(_server: ModelServer, _wish: Autoscaling, facts: Facts) -> Verdict | None:
    """Two scalers on one object would change its replicas back and forth, or stop each other."""
    foreign = facts.scaling.foreign
    if not foreign:
        return None
    if scalers := tuple(item for item in foreign if item.changes_replicas):
        return fails(
            Reason.FOREIGN_AUTOSCALER,
            f"{_names(scalers)} scales this object already, so the operator makes no scaler of its own: "
            "delete that one, or remove autoscaling",
        )
    return fails(Reason.FOREIGN_AUTOSCALER, _of_pods(foreign))


def _lacks_keda(server: ModelServer, _wish: Autoscaling, facts: Facts) -> Verdict | None:
    needs = scaler_kind(server.spec) == naming.SCALED_OBJECT
    return (
        fails(Reason.KEDA_MISSING, _KEDA) if needs and naming.SCALED_OBJECT in facts.scaling.missing else None
    )


def _is_unread(_server: ModelServer, _wish: Autoscaling, facts: Facts) -> Verdict | None:
    unread = facts.scaling.unread
    return unknown(Reason.SCALER_UNREAD, with_remedy("; ".join(unread))) if unread else None


def _has_old_servers(_server: ModelServer, wish: Autoscaling, facts: Facts) -> Verdict | None:
    if not _asks_for_load(wish):
        return None
    for pod, status in facts.servers(facts.ready_pods()):
        if not status.reports_load:
            return fails(
                Reason.LOAD_NOT_REPORTED,
                f"the server of pod {pod.name} is too old to report its load, so replicas stay as they are: "
                "upgrade it, by image or by a new value of the annotation modelserver.dev/upgrade",
            )
    return None


def _is_not_taken_up(server: ModelServer, _wish: Autoscaling, facts: Facts) -> Verdict | None:
    """Our scaler, and what its controller says about it."""
    kind, scaling = scaler_kind(server.spec), facts.scaling
    if scaling.is_changing:
        other = next(one for one in naming.SCALERS if one != kind)
        return unknown(
            Reason.AWAITING_SCALER,
            f"the {kind} waits until the {other} of this object is gone. One of KEDA that was uninstalled "
            "stays: remove its finalizer",
        )
    if kind == naming.SCALED_OBJECT and (keda := scaling.scaled_object) is not None:
        if keda.is_paused:
            return fails(Reason.SCALER_PAUSED, "the ScaledObject has an annotation of KEDA that pauses it")
        if keda.problem:
            return fails(Reason.SCALER_NOT_READY, f"KEDA does not use the ScaledObject: {keda.problem}")
        if not keda.has_looked:
            return unknown(Reason.AWAITING_SCALER, "KEDA has not reported on the ScaledObject yet")
    if scaling.hpa is None or not scaling.hpa.has_looked:
        return unknown(Reason.AWAITING_SCALER, "the HorizontalPodAutoscaler has not reported yet")
    return None


def _lacks_pods(server: ModelServer, _wish: Autoscaling, facts: Facts) -> Verdict | None:
    """Then nobody can measure anything, and the scaler says so in words of its own."""
    if facts.ready_pods() or not server.spec.replicas:
        return None
    if not (cause := trouble(facts)):
        return unknown(
            Reason.AWAITING_SCALER, "no pod is ready yet to be measured, so replicas stay as they are"
        )
    return fails(
        Reason.PODS_MISSING, f"no pod is ready to be measured, so replicas stay as they are: {cause}"
    )


def _lacks_metrics(_server: ModelServer, wish: Autoscaling, facts: Facts) -> Verdict | None:
    keda, hpa = facts.scaling.scaled_object, facts.scaling.hpa
    if keda is not None and keda.is_fallback:
        return fails(Reason.METRICS_UNAVAILABLE, _NO_LOAD if _asks_for_load(wish) else _NO_TRIGGER)
    if hpa is not None and hpa.problem:
        return fails(
            Reason.METRICS_UNAVAILABLE,
            f"the HorizontalPodAutoscaler cannot scale, so replicas stay as they are: {hpa.problem}",
        )
    if hpa is not None and hpa.lacking and hpa.metrics:
        return fails(
            Reason.METRICS_UNAVAILABLE,
            f"the HorizontalPodAutoscaler has no figure for {' and '.join(hpa.lacking)}, so replicas do not "
            f"go down meanwhile: kubectl describe hpa {hpa.name} tells why. {_figures(wish, facts)}",
        )
    return None


def _asks_for_load(wish: Autoscaling) -> bool:
    return any(metric.type in VALUES for metric in wish.metrics)


def _is_at_zero(server: ModelServer, _wish: Autoscaling, facts: Facts) -> Verdict | None:
    hpa = facts.scaling.hpa
    if server.spec.replicas or hpa is None:
        return None
    if facts.scaling.scaled_object is None:
        return holds(Reason.SCALED_TO_ZERO, "replicas is 0, which stops autoscaling: set it to 1 to go on")
    return holds(Reason.SCALED_TO_ZERO, "scaled to zero until the next schedule begins")


def _is_short(server: ModelServer, wish: Autoscaling, facts: Facts) -> Verdict | None:
    """Replicas were raised, and their pods do not come."""
    ready, wanted = len(facts.ready_pods()), server.spec.replicas
    cause = trouble(facts) if ready < wanted else ""
    if not cause:
        return None
    figures = _figures(wish, facts)
    return fails(
        Reason.PODS_MISSING, f"{wanted} replicas are wanted, and {ready} are ready: {cause} ({figures})"
    )


def _lacks_a_waker(_server: ModelServer, wish: Autoscaling, facts: Facts) -> Verdict | None:
    if wish.min_replicas > 0 or least(wish) == 0:
        return None
    why = (
        "KEDA would stop the last one at work, because it does not count CPU as work. Add a metric of type "
        "RequestsPerStream, or set minReplicas to 1"
        if wish.schedule
        else "at zero no pod reports load, so nothing would start one again. Add a schedule, or set "
        "minReplicas to 1"
    )
    return fails(Reason.NO_WAKER, f"minReplicas is 0, but one replica stays: {why}. {_figures(wish, facts)}")


def _is_limited(_server: ModelServer, wish: Autoscaling, facts: Facts) -> Verdict | None:
    hpa = facts.scaling.hpa
    if hpa is None or hpa.limit != "TooManyReplicas":
        return None
    return holds(
        Reason.AT_MAX_REPLICAS,
        f"the load asks for more than maxReplicas: raise it if the cluster has room. {_figures(wish, facts)}",
    )


CHECKS: tuple[Check, ...] = (
    _is_held_back,
    _lacks_keda,
    _is_unread,
    _has_old_servers,
    _is_not_taken_up,
    _lacks_pods,
    _lacks_metrics,
    _is_at_zero,
    _is_short,
    _lacks_a_waker,
    _is_limited,
)


def _figures(wish: Autoscaling, facts: Facts) -> str:
    """What is measured, the bounds, and when replicas last changed."""
    hpa = facts.scaling.hpa or _NO_HPA
    parts = [
        *hpa.metrics,
        f"replicas {hpa.current} ({least(wish)} to {wish.max_replicas})",
        *([f"wants {hpa.wanted}"] if hpa.wanted != hpa.current else []),
        *([f"last scaled {hpa.last_scale}"] if hpa.last_scale else []),
    ]
    return ", ".join(parts)


_NO_HPA = HpaReport("", 0, 0, (), "", "", is_off=False, is_ambiguous=False, last_scale="", has_looked=False)


def _names(foreign: tuple[Foreign, ...]) -> str:
    return " and ".join(f"{item.kind} {item.name}" for item in foreign)
