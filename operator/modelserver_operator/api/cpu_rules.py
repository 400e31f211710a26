"""Rules about a replica's CPUs: what its limit allows, and what each way to CPUs of its own needs."""

from decimal import Decimal

from modelserver_operator.api.fields import quantity
from modelserver_operator.api.rule import Rule
from modelserver_operator.api.spec import DEFAULT_CPU, Resources, Spec

MOST_CPUS = 1_000_000
"""No node has more; CEL could not round a larger number."""


CPU_LIMIT = (
    "[has(self.resources) && has(self.resources.limits) && 'cpu' in self.resources.limits"
    " ? quantity(string(self.resources.limits['cpu']))"
    " : has(self.resources) && has(self.resources.requests) && 'cpu' in self.resources.requests"
    f" ? quantity(string(self.resources.requests['cpu'])) : quantity('{DEFAULT_CPU}')]"
)


def cpu_limit(resources: Resources) -> Decimal:
    """The limit in effect: a request without its limit becomes the limit; the default when neither is set."""
    for amounts in (resources.limits, resources.requests):
        if amounts and "cpu" in amounts:
            return quantity(amounts["cpu"])
    return Decimal(DEFAULT_CPU)


def _both(resources: Resources) -> list[tuple[Decimal, Decimal]]:
    limits, requests = resources.limits or {}, resources.requests or {}
    return [(quantity(limits[key]), quantity(requests[key])) for key in limits.keys() & requests.keys()]


RESOURCES: tuple[Rule[Resources], ...] = (
    Rule(
        "!has(self.limits) || !has(self.requests) || self.requests.all(key, !(key in self.limits) || "
        "quantity(string(self.requests[key])).compareTo(quantity(string(self.limits[key]))) <= 0)",
        "resources: a request is above its limit; raise the limit or lower the request",
        lambda r: all(request <= limit for limit, request in _both(r)),
    ),
)


def at_most_cpu(variable: str) -> str:
    return f"{variable} <= 1 || cpu.sub({variable}).compareTo(quantity('0')) >= 0"


# Whole CPUs are equal to the nearest whole number; int() of the sum rounds.
_WHOLE = f"""
cpu.compareTo(quantity('1')) >= 0 && cpu.compareTo(quantity('{MOST_CPUS}')) <= 0 &&
cpu.sub(int(cpu.asApproximateFloat() + 0.5)).compareTo(quantity('0')) == 0
"""
UNLIMITED = (
    "(self.cpuManagerPolicy == 'external' && !(has(self.resources) && has(self.resources.limits) && "
    "'cpu' in self.resources.limits))"
)


def is_unlimited(spec: Spec) -> bool:
    """Nothing is filled in for a pod that somebody else pins."""
    return spec.cpu_manager_policy == "external" and "cpu" not in (spec.resources.limits or {})


def _has_request_for_cpu_metric(spec: Spec) -> bool:
    scaling = spec.autoscaling
    if spec.cpu_manager_policy != "external" or scaling is None:
        return True
    given = {**(spec.resources.limits or {}), **(spec.resources.requests or {})}
    return "cpu" in given or all(metric.type != "CPU" for metric in scaling.metrics or ())


CPUS: tuple[Rule[Spec], ...] = (
    Rule(
        f"{UNLIMITED} || {CPU_LIMIT}.all(cpu, {at_most_cpu('self.workers')})",
        f"workers is above the CPU limit: raise resources.limits.cpu ({DEFAULT_CPU} when unset) or lower "
        "workers",
        lambda s: is_unlimited(s) or s.workers <= max(Decimal(1), cpu_limit(s.resources)),
    ),
    Rule(
        f"self.cpuManagerPolicy != 'static' || {CPU_LIMIT}.all(cpu, {_WHOLE})",
        "cpuManagerPolicy static needs whole CPUs: make resources.limits.cpu a whole number, or set "
        "cpuManagerPolicy: none",
        lambda s: (
            s.cpu_manager_policy != "static"
            or (1 <= cpu_limit(s.resources) <= MOST_CPUS and cpu_limit(s.resources) % 1 == 0)
        ),
    ),
    Rule(
        "self.cpuManagerPolicy != 'static' || !has(self.resources) || !has(self.resources.limits) || "
        "!has(self.resources.requests) || "
        "self.resources.requests.all(key, !(key in self.resources.limits) || "
        "quantity(string(self.resources.requests[key])).compareTo("
        "quantity(string(self.resources.limits[key]))) == 0)",
        "cpuManagerPolicy static needs requests equal to limits: remove resources.requests, or set "
        "cpuManagerPolicy: none",
        lambda s: s.cpu_manager_policy != "static" or all(a == b for a, b in _both(s.resources)),
    ),
    Rule(
        "self.cpuManagerPolicy != 'external' || !has(self.autoscaling) || !has(self.autoscaling.metrics) || "
        "!self.autoscaling.metrics.exists(m, m.type == 'CPU') || has(self.resources) && "
        "[has(self.resources.limits) && 'cpu' in self.resources.limits, "
        "has(self.resources.requests) && 'cpu' in self.resources.requests].exists(x, x)",
        "autoscaling by CPU is a share of the CPU request, and with cpuManagerPolicy external none is filled "
        "in: set resources.requests.cpu, or use RequestsPerStream or Concurrency",
        _has_request_for_cpu_metric,
    ),
)
