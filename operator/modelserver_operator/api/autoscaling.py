"""`autoscaling`: what sets the number of replicas, and its rules."""

import functools
import zoneinfo
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from modelserver_operator.api.fields import Quantity, Record, map_keys, quantity, unique
from modelserver_operator.api.rule import Rule

Bound = Annotated[int, Field(ge=1, le=10000)]
Period = Annotated[int, Field(ge=1, le=1800)]
_ITEM = "[0-9A-Za-z*,/?-]{1,64}"
Cron = Annotated[str, StringConstraints(max_length=324, pattern=rf"^{_ITEM}( {_ITEM}){{4}}$")]
TimeZone = Annotated[
    str, StringConstraints(max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$")
]
_LEAST, _MOST = Decimal("1e-3"), Decimal(10**6)
"""KEDA counts in thousandths."""


class Metric(Record):
    """What is measured, and its target."""

    type: Literal["CPU", "RequestsPerStream", "Concurrency"]
    """RequestsPerStream (recommended): requests in flight and in the queue, divided by the streams, of the
    model for which that is highest. Concurrency: unanswered requests of all models. CPU: the CPU time of the
    server's container, which is at 100 % from full use to any length of queue. The first two need KEDA."""
    average_utilization: Annotated[int, Field(ge=1, le=1000)] | None = None
    """For CPU: the target as a percentage of the requested CPUs. Recommended: 60 to 80."""
    average_value: Quantity | None = None
    """For RequestsPerStream and Concurrency: the target of one replica. Recommended: for RequestsPerStream
    600m to 800m, for Concurrency 0.6 to 0.8 of what one replica can run at the same time."""


class ScheduledReplicas(Record):
    """A least number of replicas between two times of day; needs KEDA."""

    time_zone: TimeZone
    """E.g. Europe/Berlin or Etc/UTC."""
    start: Cron
    """When it begins, as minute, hour, day of the month, month and day of the week: "0 8 * * 1-5"."""
    end: Cron
    """When it ends, in the same notation."""
    replicas: Bound
    """The least number of replicas in between."""


class Policy(Record):
    """How far replicas may change in a period of time."""

    type: Literal["Pods", "Percent"]
    """Whether value counts pods, or is a percentage of the replicas at the start of the period."""
    value: Annotated[int, Field(ge=1, le=10000)]
    """The largest change."""
    period_seconds: Period
    """The period."""


class ScalingRules(Record):
    """How replicas change in one direction."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] | None = None
    """How long the recommendations of the past are considered: down, the highest of them applies; up, the
    lowest."""
    select_policy: Literal["Max", "Min", "Disabled"] | None = None
    """Which of several policies applies; Disabled: replicas do not change in this direction. Default: Max."""
    policies: Annotated[list[Policy], Field(min_length=1, max_length=16)] | None = None
    """How fast replicas may change."""


class Behavior(Record):
    """How fast replicas change, as in a HorizontalPodAutoscaler; a direction that is set has no defaults."""

    scale_up: ScalingRules | None = None
    """Default: immediately, by 4 pods or 100 % in 15 s."""
    scale_down: ScalingRules | None = None
    """Default: after 300 s, by one pod or 10 % a minute."""


class Autoscaling(Record):
    """What sets the number of replicas. Of metrics and schedules, the one that asks for most applies."""

    min_replicas: Annotated[int, Field(ge=0, le=10000)] = 1
    """The least number of replicas; at least 2 for a service that survives the loss of a node. 0 takes effect
    only together with schedule, because at zero no pod reports load, and not with metrics of type CPU alone;
    otherwise one replica stays."""
    max_replicas: Bound
    """The largest number of replicas."""
    metrics: Annotated[
        list[Metric], Field(max_length=3, json_schema_extra=map_keys("type")), unique("type")
    ] = []  # noqa: RUF012 - pydantic copies it
    """What is measured; one of each type."""
    schedule: Annotated[list[ScheduledReplicas], Field(max_length=16)] = []  # noqa: RUF012 - pydantic copies it
    """Times with a least number of replicas, e.g. office hours."""
    scale_to_zero_after_seconds: Annotated[int, Field(ge=0, le=86400)] | None = None
    """With minReplicas 0: how long there is no request and no schedule before the last replica is stopped.
    Default: 300."""
    behavior: Behavior | None = None
    """How fast replicas change: up immediately and down slowly by default."""


@functools.cache
def _time_zones() -> frozenset[str]:
    """Read from hundreds of files."""
    return frozenset(zoneinfo.available_timezones())


def _is_time_zone(name: str) -> bool:
    """True, too, where there is no database of time zones to look it up in."""
    return name in _time_zones() or not _time_zones()


_VALUE = "quantity(string(self.averageValue))"
METRIC: tuple[Rule[Metric], ...] = (
    Rule(
        "self.type != 'CPU' || has(self.averageUtilization) && !has(self.averageValue)",
        "a metric of type CPU needs averageUtilization, e.g. 80, and no averageValue",
        lambda m: m.type != "CPU" or (m.average_utilization is not None and m.average_value is None),
    ),
    Rule(
        "self.type == 'CPU' || has(self.averageValue) && !has(self.averageUtilization)",
        "metrics of type RequestsPerStream and Concurrency need averageValue, e.g. 750m, and no "
        "averageUtilization",
        lambda m: m.type == "CPU" or (m.average_value is not None and m.average_utilization is None),
    ),
    Rule(
        f"!has(self.averageValue) || {_VALUE}.compareTo(quantity('1m')) >= 0 && "
        f"{_VALUE}.compareTo(quantity('{_MOST}')) <= 0",
        "averageValue must be at least 1m and at most 1000000",
        lambda m: m.average_value is None or _LEAST <= quantity(m.average_value) <= _MOST,
    ),
)
SCHEDULE: tuple[Rule[ScheduledReplicas], ...] = (
    Rule(
        # The API server refuses to evaluate this where it does not know the zone.
        "self.timeZone != 'Local' && timestamp('2026-01-01T00:00:00Z').getHours(self.timeZone) >= 0",
        "timeZone must be a name of the IANA time zone database, e.g. Europe/Berlin or Etc/UTC",
        lambda s: _is_time_zone(s.time_zone),
    ),
    Rule(
        "self.start != self.end",
        "start and end of a schedule must be different times",
        lambda s: s.start != s.end,
    ),
)
AUTOSCALING: tuple[Rule[Autoscaling], ...] = (
    Rule(
        "self.minReplicas <= self.maxReplicas",
        "minReplicas is above maxReplicas: lower minReplicas or raise maxReplicas",
        lambda a: a.min_replicas <= a.max_replicas,
    ),
    Rule(
        "has(self.metrics) && size(self.metrics) > 0 || has(self.schedule) && size(self.schedule) > 0",
        "autoscaling needs metrics or schedule: add e.g. metrics: [{type: RequestsPerStream, averageValue: "
        "750m}], or remove autoscaling",
        lambda a: bool(a.metrics or a.schedule),
    ),
    Rule(
        "!has(self.schedule) || self.schedule.all(s, s.replicas <= self.maxReplicas)",
        "a schedule has more replicas than maxReplicas: lower its replicas or raise maxReplicas",
        lambda a: all(item.replicas <= a.max_replicas for item in a.schedule),
    ),
    Rule(
        "!has(self.scaleToZeroAfterSeconds) || self.minReplicas == 0",
        "scaleToZeroAfterSeconds has an effect only with minReplicas 0: remove it, or set minReplicas to 0",
        lambda a: a.scale_to_zero_after_seconds is None or a.min_replicas == 0,
    ),
)


def broken(autoscaling: Autoscaling) -> list[str]:
    """The messages of the rules that do not hold, each with its field."""
    place = "spec.autoscaling"
    faults = [f"{place}: {rule.message}" for rule in AUTOSCALING if not rule.holds(autoscaling)]
    for index, metric in enumerate(autoscaling.metrics):
        faults += [f"{place}.metrics[{index}]: {rule.message}" for rule in METRIC if not rule.holds(metric)]
    for index, item in enumerate(autoscaling.schedule):
        faults += [f"{place}.schedule[{index}]: {rule.message}" for rule in SCHEDULE if not rule.holds(item)]
    return faults


def validations() -> dict[str, list[dict[str, Any]]]:
    """x-kubernetes-validations by class name."""
    return {
        "Autoscaling": [rule.schema() for rule in AUTOSCALING],
        "Metric": [rule.schema() for rule in METRIC],
        "ScheduledReplicas": [rule.schema() for rule in SCHEDULE],
    }
